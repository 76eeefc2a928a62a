# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Predicates on the values of flags.

is_name() { case $1 in '' | -* | *[!a-z0-9-]*) return 1 ;; *) [ ${#1} -le 64 ] ;; esac }
is_generation() { case $1 in *[!0-9a-f]*) return 1 ;; *) [ ${#1} -eq 12 ] ;; esac }
is_guard_word() { case $1 in auto | require | off) ;; *) return 1 ;; esac }
is_number() { case $1 in '' | *[!0-9]* | 0?*) return 1 ;; *) [ ${#1} -le 15 ] ;; esac }
number_in() { if is_number "$1"; then say "$1"; else say 0; fi; }
