# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# map create: makes the pinned sockhash.

cmd_map_create() { step map object create_maps; }
