# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Which instances there are. Reports take no lock, so what they look at may go.

is_there() { [ -d "$home" ] || [ -d "$B/$instance" ]; }

# The instance that is named, else all -> $instances
find_instances() {
	instances=$instance
	if [ -z "$instance" ]; then
		instances=$(for folder in "$state_dir"/* "$B"/*; do ! is_name "${folder##*/}" || [ ! -d "$folder" ] || say "${folder##*/}"; done | sort -u)
	elif ! is_there; then
		err "instance $instance: expected it in $state_dir or $B, found neither"
	fi
}

# Reports take no lock, so an upgrade may remove what they are looking at: that is no failure.
skip_gone() { # FOLDER WHAT-A-LOOK-SAID
	[ -d "$1" ] || return
	say "${2##*"$nl"}" | shorten >&2
	exit 1
}
