# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# One lock for the whole host, on our folder in bpffs. The probe takes it and runs the script again.

# /proc shows a removed folder as "... (deleted)", and a lock on one excludes nobody.
is_locked() (
	[ -n "${SOCKET_BYPASS_LOCK-}" ] || return
	for fd in "/proc/$$/fd"/*; do
		[ "$(readlink "$fd")" != "$B" ] || return 0
	done
	return 1
)

lock() { # the script's own arguments
	make_folder "$B"
	is_locked && return
	[ "${SOCKET_BYPASS_LOCK:-0}" -lt 20 ] || err "$B: locking it failed: it was removed each time; run this again"
	find_probe
	export SOCKET_BYPASS_LOCK=$((${SOCKET_BYPASS_LOCK:-0} + 1))
	[ -n "$cleanup" ] || exec "$probe" lock "$B" 120 -- sh "$script" "$@"
	# No exec here: if this run is stopped or times out while it waits, finish() must still
	# remove the files that were sent.
	"$probe" lock "$B" 120 -- sh "$script" "$@"
	exit
}
