# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# selftest: proves the programs on this kernel before anything serves.

drop_selftest() { # also of killed runs: while we hold the lock, no other run has one
	trial=$B/$instance/selftest
	[ -z "${SOCKET_BYPASS_PLACE:-}" ] || drop_place "$SOCKET_BYPASS_PLACE"
	for parent in $(selftest_parents); do
		for place in "${parent%/}"/socket-bypass-selftest-*; do
			[ ! -d "$place" ] || drop_place "$place"
		done
	done
	ignore rm -rf "$B/$instance/selftest"
}

cmd_selftest() {
	step selftest verdict run_selftest
	say "{\"serial\":$serial,\"selftest\":\"$result\",\"kernel\":\"$(uname -r)\",\"machine\":\"$(machine)\",\"pairs\":$pairs,\"redirected\":$messages,\"spliceGuard\":\"$(splice_way)\",\"facts\":${facts:-null}}"
}

run_selftest() {
	claim_owner
	pairs=0 messages=0 facts=null result=off
	drop_selftest
	put_splice_guard
	if [ -n "$off" ]; then
		is_proven || keep kernel off
		return 0
	fi
	check_cgroup
	[ -f "$home/$generation/track.bpf.o" ] || err "$home/$generation: expected the files of the generation, found none; run object install first"
	cleanup="drop_selftest; $cleanup"
	was=$changed
	make_trial "$home/$generation/track.bpf.o" "$home/$generation/redirect.bpf.o"
	find_probe
	make_place selftest
	must cgroup attach "$place" sock_ops pinned "$trial/track" multi
	answer=$(run_in_place "$place" "$probe" selftest --seconds "$timeout")
	code=$?
	failed=$(say "$answer" | awk '{ n = split($0, part, /":[{]"ok":false/); for (i = 1; i < n; i++) { sub(/.*"/, "", part[i]); printf " %s", part[i] } }')
	[ "$code$failed" = 0 ] || err "selftest: expected every case to pass, found${failed:- none} failed (exit $code): $answer; nothing was attached to $cgroup"
	count_all "$trial"
	pairs=$(say "$counts" | sed -n 's/^pairs //p') messages=$(say "$counts" | sed -n 's/^redirected_messages //p')
	case " $pairs $messages " in *' 0 '*) err "selftest: expected redirected messages, found $messages in $pairs pairs; nothing was attached to $cgroup" ;; esac
	facts=$(say "$answer" | sed -n 's/.*"facts":\([{][^}]*}\).*/\1/p')
	keep kernel "$(kernel_build)"
	# The trial is thrown away, so it is no change of the step.
	changed=$was result=passed
}
