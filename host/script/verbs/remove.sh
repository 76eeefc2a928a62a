# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# remove, detach, and the deletes of single steps.

# Every delete concerns the whole instance and undoes all later stages too, because a later stage
# may exist although its own step never finished.
cmd_detach() {
	[ -n "$bpftool" ] || [ ! -d "$B/$instance" ] || err "bpftool: expected one to detach $instance with, found none; install it and run this again"
	disable_boot
	[ -z "$bpftool" ] || recover_lost
	retire_instance "$instance"
	settle_splice_guard
	ignore rm -f "$home/current" "$home/cgroup"
}

cmd_verdict_detach() { cmd_detach; }
cmd_program_unload() { cmd_detach; }
cmd_map_remove() { cmd_detach; }

cmd_remove() {
	cmd_detach
	drop_link
	# The folder is renamed first: one that is half removed may have no probe left to take the
	# lock with.
	[ ! -d "$home" ] || ensure mv -T "$home" "$state_dir/_removed-$instance"
	drop_leftovers
	ignore rm -rf "$state_dir/_staged-$instance"
	ignore rmdir "$state_dir"
	ignore rmdir "$B"
}

cmd_object_remove() { cmd_remove; }
