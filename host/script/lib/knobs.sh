# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Reads and writes settings in maps. Both supported machine types are little-endian.

# Must match enum knob in bpf/socket_bypass.h.
drain_knob=0 policy_knob=1 queue_knob=2 refresh_knob=4 unread_knob=5

get_knob() { # FOLDER N -> $value
	read_map numbers "$1/maps/knobs" "$2"
	value=${out#* }
}

put_number() { # MAP-PIN N VALUE
	# shellcheck disable=SC2046 # one argument a byte
	must map update pinned "$1" key hex "0$2" 00 00 00 value hex $(printf '%016x\n' "$3" | awk '{ for (i = 15; i > 0; i -= 2) print substr($0, i, 2) }')
}

set_knob() { # FOLDER N VALUE
	get_knob "$1" "$2"
	[ "$value" -ne "$3" ] || return 0
	put_number "$1/maps/knobs" "$2" "$3"
	changed=1
}

# True if FIONREAD of an enrolled socket counts what came over TCP, and false if the probe cannot
# tell.
counts_tcp() { [ "$("$probe" unread 2>&1)" = exact ]; } # reads $probe

# Tells the programs that. Otherwise the knob stays 0 and they are cautious.
put_unread() { # FOLDER
	# An earlier version has no such knob.
	[ -e "$1/maps/feeds" ] || return 0
	find_probe "$home/$generation"
	counts_tcp || return 0
	put_number "$1/maps/knobs" "$unread_knob" 1
}
