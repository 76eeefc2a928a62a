# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Makes and checks the pins of a generation. A check fails where a pin is missing or is not ours.

is_map() { # PIN TYPE KEY VALUE ENTRIES
	[ -e "$1" ] || return
	must map show pinned "$1"
	case $out in *"\"type\":\"$2\""*"\"bytes_key\":$3,\"bytes_value\":$4,\"max_entries\":$5,"*) ;; *) return 1 ;; esac
}

has_maps() { # FOLDER SOCKETS PENDING
	is_map "$1/sockets" sockhash 8 8 "$2" && is_map "$1/claims" lru_hash 16 16 "$3"
}

# Prints the maps whose pins are gone. Which of the later maps a generation has, its object tells:
# one of an earlier version has fewer.
list_lost_maps() { # FOLDER
	for map in $map_names $late_names $shared_names; do
		[ ! -e "$1/maps/$map" ] || continue
		case " $map_names " in
		*" $map "*) ;;
		*) grep -qw -e "$map" "$state_dir/${1#"$B"/}/track.bpf.o" 2>/dev/null || continue ;;
		esac
		say "$map"
	done
}

is_program() { # FOLDER PIN TYPE; true if it uses the maps that are pinned beside it
	[ -e "$1/$2" ] || return
	must prog show pinned "$1/$2"
	case $out in *"\"type\":\"$3\""*) ;; *) return 1 ;; esac
	used=${out#*\"map_ids\":[} used=,${used%%]*},
	for map in "$1/sockets" "$1/maps/state" "$1/maps/knobs" "$S/maps/feeds"; do
		# A program of an earlier version has no map `feeds`.
		[ "$map" != "$S/maps/feeds" ] || [ -e "$1/maps/feeds" ] || continue
		id_of map "$map"
		case $used in *",$value,"*) ;; *) return 1 ;; esac
	done
	[ -z "$(list_lost_maps "$1")" ]
}

has_track() { is_program "$1" track sock_ops; }
has_redirect() { is_program "$1" redirect sk_msg; }

# bpftool cannot show what is attached to a map, so a link beside the map, which goes when the map
# goes, records it.
has_verdict() { # FOLDER
	id_of prog "$1/redirect"
	[ -n "$value" ] && [ "$(readlink "$1/verdict")" = "$value" ]
}

make_maps() { # FOLDER SOCKETS PENDING
	make_folder "$1"
	must map create "$1/sockets" type sockhash key 8 value 8 entries "$2" name sockets
	must map create "$1/claims" type lru_hash key 16 value 16 entries "$3" name claims
}

load_track() { # FOLDER OBJECT; pins under other names and renames, the program last
	folder=$1 object=$2
	ignore rm -rf "$folder/track-new" "$folder/maps-new"
	set -- map name sockets pinned "$folder/sockets" map name claims pinned "$folder/claims"
	for map in $shared_names; do
		# A preflight loads the program before these maps are made.
		[ ! -e "$S/maps/$map" ] || set -- "$@" map name "$map" pinned "$S/maps/$map"
	done
	if ! bpf prog load "$object" "$folder/track-new" type sockops "$@" pinmaps "$folder/maps-new"; then
		# The object is of an earlier version if an upgrade stopped half-way and a boot
		# followed.
		case $out in *"find map '"*) ;; *) err "bpftool prog load $folder/track-new failed: $(explain)" ;; esac
		ignore rm -rf "$folder/maps-new"
		must prog load "$object" "$folder/track-new" type sockops map name sockets pinned "$folder/sockets" map name claims pinned "$folder/claims" pinmaps "$folder/maps-new"
	fi
	ensure mv -T "$folder/maps-new" "$folder/maps"
	ensure mv -T "$folder/track-new" "$folder/track"
}

load_beside() { # FOLDER load|loadall OBJECT PIN WORD...; with the maps that FOLDER has pinned
	folder=$1 how=$2 object=$3 pin=$4
	shift 4
	for map in $map_names $late_names $shared_names; do
		[ ! -e "$folder/maps/$map" ] || set -- "$@" map name "$map" pinned "$folder/maps/$map"
	done
	bpf prog "$how" "$object" "$pin" "$@"
}

load_redirect() { # FOLDER OBJECT
	load_beside "$1" load "$2" "$1/redirect" type sk_msg || err "bpftool prog load $1/redirect failed: $(explain)"
}

attach_verdict() { # FOLDER
	must prog attach pinned "$1/redirect" msg_verdict pinned "$1/sockets"
	id_of prog "$1/redirect"
	put_link "$1/verdict" "$value"
}

# Builds the generation up to a stage. Whatever a killed run, a person or a reboot left incomplete
# is removed and made again, so a step works even if the steps before it have been undone.
build() { # maps|track|redirect|verdict
	shape=$(kept shape) mine=$B/$instance/$generation objects=$home/$generation
	[ -f "$objects/track.bpf.o" ] || err "$objects: expected the files of the generation, found none; run object install first"
	[ -n "$shape" ] || err "instance $instance: expected its map sizes, found none; run map create first"
	make_feeds "${shape% *}"
	[ "$1" != maps ] || warn_of_feeds "${shape% *}"
	if ! has_maps "$mine" "${shape% *}" "${shape#* }"; then
		retire "$mine"
	elif [ -e "$mine/maps" ] || [ -e "$mine/redirect" ]; then
		has_track "$mine" || retire "$mine"
	fi
	if [ ! -d "$mine" ]; then
		undo_with "rm -rf '$mine'"
		make_maps "$mine" "${shape% *}" "${shape#* }"
		changed=1
	fi
	[ "$1" != maps ] || return 0
	if [ ! -e "$mine/track" ]; then
		undo_with "cd '$mine' && rm -rf track track-new maps maps-new"
		load_track "$mine" "$objects/track.bpf.o"
		put_unread "$mine"
		changed=1
	fi
	[ "$1" != track ] || return 0
	if ! has_redirect "$mine"; then
		ignore rm -f "$mine/redirect" "$mine/verdict"
		undo_with "rm -f '$mine/redirect'"
		load_redirect "$mine" "$objects/redirect.bpf.o"
		changed=1
	fi
	[ "$1" != redirect ] || return 0
	if ! has_verdict "$mine"; then
		undo_with "bpf prog detach pinned '$mine/redirect' msg_verdict pinned '$mine/sockets'; rm -f '$mine/verdict'"
		attach_verdict "$mine"
	fi
}

do_build() { claim_owner && build "$1"; }

create_maps() {
	claim_owner
	keep shape "$sockets $pending"
	build maps
}
