# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# adopt: enrols connections that are older than the attachment.

# In the order of enum task in bpf/adopt.bpf.c, after its two inputs.
task_names='adopted seen enrolled other_cgroup policy special busy left noted full refused no_callbacks'

check_iterator() {
	find_release
	what=$(list_faults | sed -n 's/^\([^|]*\)|refuse|iterator|\(.*\)/\2 (\1 has it)/p')
	[ -z "$what" ] || err "adopt: expected a kernel with $what, found $release; update it, or give --force if your vendor has fixed it" 3
}

# Three passes over the sockets of every network namespace; see adopt.bpf.c.
adopt_open() { # -> $report: one line for each name=value
	serving=$(recorded serving) mine=$B/$instance/$(recorded serving)
	[ -n "$serving" ] || err "instance $instance: expected a generation that serves, found none; run attach first"
	get_knob "$mine" "$drain_knob"
	[ "$value" -eq 0 ] || err "instance $instance: expected one that is not drained, found it drained; run resume, or set enabled: true"
	object=$home/$serving/adopt.bpf.o
	[ -f "$object" ] || err "$object: expected the iterator that adopts connections, found none; declare adopt: true, with which it is sent"
	cgroup_folder=$v2$(recorded cgroup)
	id=$(ls -di "$cgroup_folder") || err "$cgroup_folder: expected the cgroup that is attached to, found none; run attach again"
	[ -n "$force" ] || check_iterator
	find_probe
	trial=$mine/adopt
	ignore rm -rf "$trial"
	cleanup="rm -rf '$trial'; $cleanup"
	make_folder "$trial"
	load_beside "$mine" load "$object" "$trial/adopt" pinmaps "$trial/maps" || err "kernel: expected one that loads adopt.bpf.o (Linux 6.12 or newer), found: $(explain); leave adopt out on this host, or update its kernel" 3
	tasks=$trial/maps/tasks
	# shellcheck disable=SC2086 # split on purpose: busybox ls prints blanks before the number
	set -- $id
	put_number "$tasks" 0 "$1"
	for pass in 0 1 2; do
		put_number "$tasks" 1 "$pass"
		"$probe" iterate "$trial/adopt" || err "adopt: looking at every socket failed for the reason above; run this again"
	done
	count_all "$trial" tasks "cgroup pass $task_names"
	report=$(say "$counts" | awk '
		{ n[$1] = $2 }
		NR > 2 && $1 != "noted" && $1 != "no_callbacks" { print $1 "=" $2 }
		END {
			alone = n["noted"] - 2 * (n["adopted"] + n["full"] + n["refused"])
			print "unpaired=" (alone > 0 ? alone : 0)
			exit n["no_callbacks"] > 0
		}') || err "kernel: expected Linux 6.12 or newer, which can call a sock_ops program for sockets that are established, found $(uname -r)" 3
}

cmd_adopt() {
	adopt_open
	if [ -n "$json" ]; then
		say "$report" | awk -F = '{ t = t (t == "" ? "" : ",") "\"" $1 "\":" $2 } END { print "{" t "}" }'
	else
		say "$report" | tr '\n' ' ' | sed 's/ $//'
		say
	fi
}
