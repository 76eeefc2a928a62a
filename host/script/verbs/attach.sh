# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# attach: takes over from the generation that serves.

# The generation already serves, so a failed adopt is only a warning: old connections stay on TCP.
adopt_too() {
	cleanup="rm -rf '$mine/adopt'; $cleanup"
	why=$( (cmd_adopt) 2>&1) || why="note: open connections stay on TCP: ${why#socket-bypass: }"
	warn "$why"
}

undo_attach() {
	bpf cgroup detach "$cgroup_folder" sock_ops pinned "$mine/track"
	set_knob "$mine" "$drain_knob" 1
}

cmd_attach() { step attach selftest do_attach; }

do_attach() {
	claim_owner
	check_cgroup
	check_rivals
	[ "$verb" != attach ] || refuse_kernel
	[ "$verb" = 'boot start' ] || check_boot
	# The step of the self-test may have run before a reboot into another kernel.
	[ -z "$(kept kernel)" ] || is_proven || run_selftest
	check_everything "$(policy_of everything)" "$(policy_of enabled)" "$splice_guard"
	build verdict
	recover_lost
	old=
	for other in $instance $rivals; do
		for folder in "$B/$other"/*; do
			[ "$folder" = "$mine" ] || ! is_generation "${folder##*/}" || old="$old $folder"
		done
	done
	for folder in $old; do
		[ -e "$folder/maps/knobs" ] || continue
		get_knob "$folder" "$drain_knob"
		[ "$value" -eq 0 ] || continue
		undo_with "set_knob '$folder' $drain_knob 0"
		drain_gently "$folder"
		set_knob "$folder" "$drain_knob" 1
	done
	put_splice_guard
	list_hooks
	id_of prog "$mine/track"
	if ! places_of "$value" | grep -qxF -e "$cgroup_folder"; then
		undo_with undo_attach
		must cgroup attach "$cgroup_folder" sock_ops pinned "$mine/track" multi
		changed=1
	fi
	if [ -f "$home/policy" ]; then
		hex=$(policy_declared) || exit
		put_policy "$mine" "$hex" "$(policy_of queue)" "$(refresh_declared)" "$(drain_declared)"
	else
		warn "note: no policy is set yet, so nothing is bypassed"
		set_knob "$mine" "$drain_knob" 0
	fi
	record cgroup "$cgroup"
	record serving "$generation"
	# The new generation serves. From here on a failure is not undone; the next run finishes the
	# rest.
	undo=
	for folder in $old; do
		retire "$folder"
	done
	for other in $rivals; do
		retire_instance "$other"
	done
	[ -z "$take_over" ] || disable_rivals
	list_hooks
	detach_program "$mine/track" "$cgroup_folder"
	keep cgroup "$cgroup"
	put_link "$home/current" "$generation"
	# `boot start` runs from the boot unit, which must not change itself and cannot write there.
	if [ "$verb" != 'boot start' ]; then
		[ "$boot" = true ] || disable_boot
		keep boot "$boot"
		[ "$boot" = false ] || enable_boot
	fi
	[ -z "$adopt" ] || adopt_too
}
