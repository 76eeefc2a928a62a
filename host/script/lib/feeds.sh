# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# The maps that all generations share with the splice guard.

# Prints the keys of `feeds`, a dash, and the keys of all enrolled sockets.
list_feeds() {
	read_map keys "$S/maps/feeds"
	say "$out$nl-"
	for pin in "$B"/*/*/sockets; do
		[ -e "$pin" ] || continue
		read_map keys "$pin"
		say "$out"
	done
}

# Deletes the entries of sockets that no instance has enrolled any more, because a run was killed or
# an earlier version took them out. A socket enters `sockets` before `feeds`, so `feeds` is read
# first. A key begins with the socket's cookie.
prune_feeds() {
	[ -e "$S/maps/feeds" ] || return 0
	# If a list is incomplete, nothing may be deleted by it.
	feeds=$(list_feeds 2>/dev/null) || return 0
	say "$feeds" | awk -v map="$S/maps/feeds" '
		$1 == "-" { there = 1; next }
		{ cookie = substr($1, 1, 12) }
		!there { known[cookie] = 1; next }
		{ delete known[cookie] }
		END {
			delete known["000000000000"]
			delete known[""]
			# A delete of a missing key would end the batch, so the key is inserted
			# first.
			for (cookie in known) {
				key = cookie "0000"; gsub(/../, "& ", key)
				print "map update pinned " map " key hex " key "value hex 00 00 00 00 00 00 00 00"
				print "map delete pinned " map " key hex " key
			}
		}' | ignore "$bpftool" batch file -
}

# Makes the shared maps. If somebody removed their pins while a generation serves, that generation's
# own pins restore them.
make_feeds() { # SOCKETS
	make_folder "$S"
	make_folder "$S/maps"
	for map in $shared_names; do
		for pin in "$B"/*/*/maps/"$map"; do
			[ ! -e "$pin" ] || [ -e "$S/maps/$map" ] || ignore bpf map pin pinned "$pin" "$S/maps/$map"
		done
	done
	[ -e "$S/maps/feeds" ] || must map create "$S/maps/feeds" type hash key 8 value 8 entries $(($1 < 65536 ? 131072 : 2 * $1)) name feeds flags 1
	[ -e "$S/maps/past" ] || must map create "$S/maps/past" type lru_hash key 8 value 8 entries 8192 name past
	[ -e "$S/maps/splicers" ] || must map create "$S/maps/splicers" type lru_hash key 8 value 8 entries 16384 name splicers
	[ -e "$S/maps/programs" ] || must map create "$S/maps/programs" type lru_hash key 16 value 16 entries 1024 name programs
}

# `feeds` is made once, with the size that the first instance asks for.
warn_of_feeds() { # SOCKETS
	must map show pinned "$S/maps/feeds"
	room=${out#*\"max_entries\":} room=${room%%[,\}]*}
	[ "$room" -ge "$1" ] || warn "note: limits.sockets is $1, but the instances of this host have room for $room sockets that are redirected to: what finds none stays on TCP, until all instances have been removed once"
}
