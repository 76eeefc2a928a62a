# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# verdict attach: attaches the sk_msg program to the sockhash.

cmd_verdict_attach() { step verdict redirect do_build verdict; }
