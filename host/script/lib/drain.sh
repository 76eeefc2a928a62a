# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Drains, sweeps and retires a generation.

load_flows() { # FOLDER
	bpf prog load "$object" "$flows" type classifier map name sockets pinned "$1/sockets" map name peers pinned "$1/maps/peers" && return
	# The flows program of an older generation has no map `peers`.
	case $out in *"find map 'peers'"*) bpf prog load "$object" "$flows" type classifier map name sockets pinned "$1/sockets" ;; *) return 1 ;; esac
}

list_sockets() { # FOLDER -> $listed, by that generation's own probe and program
	its=$state_dir/${1#"$B"/}
	find_probe "$its"
	# A report may list the sockets at the same time as a drain, so each run pins its own
	# program.
	flows=$1/flows-$$
	# A report that was killed while it looked has left its own. Its number says nothing here if
	# it ran in a pod.
	ignore rm -f "$flows"
	find "$1" -name 'flows-*' -mmin +1 -exec rm -f {} + 2>/dev/null
	object=$(find_file flows.bpf.o "$its") && load_flows "$1" && out=$("$probe" list "$flows" "$1/sockets" 2>&1)
	code=$? listed=$out
	ignore rm -f "$flows"
	return "$code"
}

# Gives connections one second in which each goes to TCP only once its reader has taken everything
# (DRAIN_GENTLY in bpf/socket_bypass.h). The rest go to TCP after that, whatever is unread.
drain_gently() { # FOLDER
	get_knob "$1" "$drain_knob"
	[ "$value" -eq 0 ] && [ "$drain_seconds" -gt 0 ] && [ "$(count_keys "$1/sockets")" -ne 0 ] || return 0
	set_knob "$1" "$drain_knob" 2
	ensure sleep 1
}

# Drains, then takes every socket with empty queues out of the map. It waits at most $drain_seconds
# for sockets that hold unread bytes.
sweep() { # FOLDER -> $left, $unread
	drain_gently "$1"
	set_knob "$1" "$drain_knob" 1
	left=$(count_keys "$1/sockets") || left=-1
	unread=0 final=
	[ "$left" -ne 0 ] || return 0
	find_probe
	ensure "$probe" grace
	# A thread that has been told to redirect cannot be seen while another one sleeps in plain
	# TCP on the same socket, so it gets time to finish.
	ensure sleep 1
	deadline=$(($(seconds_up) + drain_seconds))
	while list_sockets "$1"; do
		# shellcheck disable=SC2046 # split on purpose: three numbers
		set -- "$1" $(say "$listed" | awk 'NF > 1 { n[$2]++; n[0]++ } END { print n[0] + 0, n["idle"] + 0, n["unread"] + 0 }')
		left=$2 unread=$4
		[ "$2" -gt 0 ] && [ -z "$final" ] || return 0
		[ "$(seconds_up)" -lt "$deadline" ] || final=1
		# bpftool ends the batch at a socket that has closed meanwhile; the next round
		# continues.
		say "$listed" | awk -v map="$1/sockets" '$2 == "idle" { gsub(/../, "& ", $1); print "map delete pinned " map " key hex " $1 }' | ignore "$bpftool" batch file -
		prune_feeds
		[ "$3" -gt 0 ] || sleep 0.2 2>/dev/null || sleep 1
	done
	left=$(count_keys "$1/sockets") || left=0
	warn "note: ${1##*/}: listing its sockets failed: $(explain); $left stay enrolled"
}

drop_pins() { # FOLDER; tries again, because a report may pin its program there meanwhile
	for _ in 1 2 3 4 5 6 7 8 9; do
		rm -rf "$1" 2>/dev/null && return
		sleep 0.2 2>/dev/null || sleep 1
	done
	ensure rm -rf "$1"
}

# Drains a generation, detaches it from its cgroups and unpins it. Sockets with unread bytes
# continue over TCP and keep the programs and maps in the kernel until they close.
retire() { # FOLDER
	[ -d "$1" ] || return 0
	changed=1 left=0 unread=0
	# A trial serves nobody, and the run that made it may be removing it right now.
	[ "${1##*/}" = selftest ] || [ ! -e "$1/maps/knobs" ] || [ ! -e "$1/sockets" ] || sweep "$1"
	if [ -e "$1/track" ]; then
		list_hooks
		detach_program "$1/track"
	fi
	[ ! -L "$1/verdict" ] || ignore "$bpftool" prog detach pinned "$1/redirect" msg_verdict pinned "$1/sockets"
	drop_pins "$1"
	total_left=$((total_left + left)) total_unread=$((total_unread + unread))
	[ "$left" -eq 0 ] || warn "note: ${1##*/}: $left sockets stay enrolled and go on over TCP until they close; $unread of them hold unread bytes"
}

left_over() { [ "$total_left" -eq 0 ] || say " left=$total_left unread=$total_unread"; }

retire_instance() { # INSTANCE; removes all that it has in bpffs
	for folder in "$B/$1"/*; do
		[ -L "$folder" ] || retire "$folder"
	done
	drop_pins "$B/$1"
}
