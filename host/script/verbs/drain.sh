# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# drain and resume; $verb tells which.

cmd_resume() { cmd_drain; }

cmd_drain() {
	[ -d "$B/$instance" ] || err "instance $instance: expected it in $B, found nothing pinned"
	for folder in "$B/$instance"/*; do
		[ -e "$folder/maps/knobs" ] || continue
		if [ "$verb" = drain ]; then
			sweep "$folder"
			total_left=$((total_left + left)) total_unread=$((total_unread + unread))
		elif [ "${folder##*/}" = "$(recorded serving)" ]; then
			set_knob "$folder" "$drain_knob" 0
		fi
	done
}
