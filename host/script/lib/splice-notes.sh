# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# When to look for those programs.

# Whether FIONREAD of an enrolled socket counts what was redirected to it (bpf/socket_bypass.h,
# COUNTS_REDIRECTED).
counts_redirected() { grep -q msg_tot_len /sys/kernel/btf/vmlinux; }

# Once a run, where they would be harmed.
warn_of_listeners() { # WORD; $way
	[ "$enabled" = true ] && [ -z "$is_warned" ] || return 0
	# A pod sees no process but its own.
	[ -z "${SOCKET_BYPASS_PLACE:-}" ] || return 0
	is_warned=1 splices='' asks=''
	[ "$way" != none ] || [ "$1" = off ] || splices=1
	counts_redirected || asks=1
	[ -z "$splices$asks" ] || name_listeners "$ports" "$splices" "$asks"
}
