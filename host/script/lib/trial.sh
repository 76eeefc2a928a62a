# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# A trial has its own maps and programs and a private cgroup, and is always removed.

selftest_parents() {
	say "$v2"
	sed -n "s:^0\\:\\::$v2:p" /proc/self/cgroup
}

make_trial() { # TRACK-OBJECT REDIRECT-OBJECT; in the folder $trial
	make_maps "$trial" 4096 1024
	load_track "$trial" "$1"
	load_redirect "$trial" "$2"
	attach_verdict "$trial"
	put_policy "$trial" "$(encode_policy 1 '' '')" 0 0 0
	# UNREAD_TRUSTED: sockets are enrolled whatever FIONREAD counts, so that the self-test can
	# measure that.
	put_number "$trial/maps/knobs" "$unread_knob" 2
}

make_place() { # NAME
	# A pod cannot make a cgroup. The container's own cgroup, where the script already runs,
	# holds only the pod's processes.
	place=${SOCKET_BYPASS_PLACE:-}
	[ -z "$place" ] || return 0
	for parent in $(selftest_parents); do
		place=${parent%/}/socket-bypass-$1-$$
		ignore mkdir "$place"
		why=$("$probe" cgroup "$place" -- true 2>&1) && break
		ignore rmdir "$place"
		place=
	done
	[ -n "$place" ] || err "$1: expected a cgroup of its own below $v2, found: $why; run as root with CAP_DAC_OVERRIDE, where the cgroup tree is writable"
}

run_in_place() { # CGROUP-FOLDER COMMAND...
	folder=$1
	shift
	if [ -n "${SOCKET_BYPASS_PLACE:-}" ]; then "$@"; else "$probe" cgroup "$folder" -- "$@"; fi
}

drop_place() { # CGROUP-FOLDER
	[ -d "$1" ] || return 0
	if [ "$1" = "${SOCKET_BYPASS_PLACE:-}" ]; then
		ignore bpf cgroup detach "$1" sock_ops pinned "$trial/track"
		return 0
	fi
	for _ in 1 2 3 4 5 6 7 8 9; do
		while read -r pid; do ignore kill -9 "$pid"; done <"$1/cgroup.procs"
		rmdir "$1" 2>/dev/null && break
		sleep 0.2 2>/dev/null || sleep 1
	done
}

drop_leftovers() { # removes what killed runs left
	for folder in "$B"/_try-*; do
		kill -0 "${folder##*-}" 2>/dev/null || ignore rm -rf "$folder"
	done
	settle_splice_guard
	ignore rm -rf "$state_dir"/_removed-*
}
