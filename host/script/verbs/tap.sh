# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# tap: writes the messages of a port to a file for Wireshark. The probe does the work, and takes the
# place of this shell, so that signals reach it.

cmd_tap() {
	find_instances
	# shellcheck disable=SC2086 # split on purpose: names are plain
	set -- $instances
	[ $# -gt 0 ] || err "tap: expected an instance, found none installed"
	[ $# -eq 1 ] || usage "tap: expected --instance, found several instances: $*"
	instance=$1 serving=$(recorded serving "$1")
	[ -n "$serving" ] || err "instance $instance: expected a generation that serves, found none; nothing is bypassed"
	home=$state_dir/$instance folder=$B/$instance/$serving
	for map in $(list_lost_maps "$folder"); do
		case $map in counters | knobs | taps) err "instance $instance: expected maps/$map pinned in $folder, found that pin gone; run pulumi up with detectDrift, or type 'socket-bypass boot start --instance $instance' (in a pool, delete the pod), which makes it again" ;; esac
	done
	[ -e "$folder/maps/taps" ] || err "instance $instance: expected a generation that can be tapped, found $serving of an earlier version; install this version first"
	find_probe
	exec "$probe" tap "$B/$instance" "$serving" "$port" "$seconds" "$snaplen" "$max_bytes" "$max_rate" "$write"
}
