# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Finds the instances. Reports take no lock, so what they look at may disappear meanwhile.

is_there() { [ -d "$home" ] || [ -d "$B/$instance" ]; }

# -> $instances: the one that --instance names, or else all of them
find_instances() {
	instances=$instance
	if [ -z "$instance" ]; then
		instances=$(for folder in "$state_dir"/* "$B"/*; do ! is_name "${folder##*/}" || [ ! -d "$folder" ] || say "${folder##*/}"; done | sort -u)
	elif ! is_there; then
		err "instance $instance: expected it in $state_dir or $B, found neither"
	fi
}

# Reports take no lock, so an upgrade may remove FOLDER while a report looks at it. Returns 1 then,
# so that the caller skips the folder; otherwise the failed look ends the run.
skip_gone() { # FOLDER WHAT-A-LOOK-SAID
	[ -d "$1" ] || return
	# The removal may have come to a pin that the look wanted, and not to the folder yet.
	sleep 0.2 2>/dev/null || sleep 1
	[ -d "$1" ] || return
	say "${2##*"$nl"}" | shorten >&2
	exit 1
}
