# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Decides when to look for the programs of listeners.sh.

# True if FIONREAD of an enrolled socket counts what was redirected to it (COUNTS_REDIRECTED in
# bpf/socket_bypass.h).
counts_redirected() { grep -q msg_tot_len /sys/kernel/btf/vmlinux; }

# Warns once a run, if such programs would be harmed.
warn_of_listeners() { # WORD; reads $way
	[ "$enabled" = true ] && [ -z "$is_warned" ] || return 0
	# A pod sees only its own processes.
	[ -z "${SOCKET_BYPASS_PLACE:-}" ] || return 0
	is_warned=1 splices='' asks=''
	[ "$way" != none ] || [ "$1" = off ] || splices=1
	counts_redirected || asks=1
	[ -z "$splices$asks" ] || name_listeners "$ports" "$splices" "$asks"
}
