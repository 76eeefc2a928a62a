# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Finds our programs whose pins are gone.

# True if the program is ours. It is called for programs without pins: bpffs was unmounted, or
# somebody removed the pins.
is_lost() { # PROGRAM-ID -> $used, the ids of its maps
	bpf prog show id "$1" || return
	used=${out#*\"map_ids\":[} used=$(say "${used%%]*}" | tr , ' ')
	case $out in *'"name":"track_sockets"'*) ;; *) return 1 ;; esac
	for name in $map_names; do
		id_by_name "$name" || return
	done
}

id_by_name() { # NAME -> $value, the ID of the map of that name among $used
	for value in $used; do
		bpf map show id "$value" || return
		case $out in *"\"name\":\"$1\""*) return ;; esac
	done
	return 1
}

# Pins such programs again, as a generation that is then retired.
recover_lost() {
	lost_place=$(kept_place)
	[ -n "$lost_place" ] || return 0
	list_ours
	list_hooks
	for lost in $(say "$hooks" | place="$lost_place" awk '{ id = $1; sub(/^[^ ]* [^ ]* /, "") } $0 == ENVIRON["place"] { print id }'); do
		case $ours in *" $lost "*) continue ;; esac
		is_lost "$lost" || continue
		[ -n "$bpffs" ] || err "bpffs: expected one to pin sock_ops program $lost in, which is attached to $lost_place, found none; mount one at /sys/fs/bpf and run this again"
		warn "note: $lost_place: expected sock_ops program $lost to be pinned, found its pins gone; it is drained and detached"
		folder=$B/$instance/$(printf '%012x' "$lost")
		make_folder "$B/$instance"
		make_folder "$folder"
		make_folder "$folder/maps"
		for name in $map_names; do
			id_by_name "$name" || err "program $lost: expected its map $name, found none; run this again"
			[ -e "$folder/maps/$name" ] || must map pin id "$value" "$folder/maps/$name"
			case $name in sockets | claims) [ -e "$folder/$name" ] || must map pin id "$value" "$folder/$name" ;; esac
		done
		[ -e "$folder/track" ] || must prog pin id "$lost" "$folder/track"
	done
}
