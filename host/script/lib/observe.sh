# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Collects facts about an instance, one a line: a kind, then name=text or name:=JSON, separated by
# tabs.

fact() (
	IFS='	'
	say "$*"
)

problem() { fact problem "what=$1"; }
lost_pin() { # PIN
	problem "$g: $1 is not pinned"
	fact lost "pin=$1"
}

is_whole() { # STEP
	case $1 in
	object) [ "$(kept files)" = "$(digest "$home/$(kept declared)")" ] && cmp_script ;;
	map) has_maps "$mine" "${shape% *}" "${shape#* }" ;;
	track) has_track "$mine" ;;
	redirect) has_redirect "$mine" ;;
	verdict) has_verdict "$mine" ;;
	selftest) is_proven ;;
	policy) has_policy "$mine" ;;
	attach)
		find_unit
		id_of prog "$mine/track"
		[ "$serving" = "$(kept declared)" ] && [ "$current" = "$serving" ] && [ -n "$value" ] &&
			[ "$(places_of "$value")" = "$v2${cgroup%/}" ] && { ! wants_unit || [ "$(cat "$unit_file")" = "$(boot_unit)" ]; }
		;;
	esac
}

cmp_script() { [ "$(cat "$home/socket-bypass")" = "$(cat "$home/$(kept declared)/socket-bypass")" ]; }

# Says for each step whether its result is still there and what changed it last. The epoch is for
# stacks of earlier versions: the number that the step was told to keep, plus one if its result is
# not whole.
observe_epochs() {
	mine=$B/$instance/$(kept declared) shape=$(kept shape)
	set --
	for name in object map track redirect verdict selftest policy attach; do
		number=$(kept "epoch-$name") serial=$(kept "serials/$name") whole=true
		(is_whole "$name" >/dev/null 2>&1) || number=$((${number:-0} + 1)) whole=false
		set -- "$@" "$name:=${number:-0}"
		fact step "$name" "whole:=$whole" "serial:=$(number_in "${serial%% *}")" "generation=${serial##* }"
	done
	fact epochs "$@"
	[ -z "$(kept kernel)" ] || is_proven || problem "the self-test passed on kernel $(kept kernel), and this is $(kernel_build)"
	is_whole object || problem "$(kept declared): its files are not those that were installed"
}

# Anybody may choose the name of a program, so any but plain characters become "?". The probe's own
# splices, made to test the guard, are left out.
observe_splice_guard() {
	declared=$(readlink "$S/for-$instance/serving") way=$(splice_way)
	reasons=
	[ "$way" != none ] || [ "${declared:-off}" = off ] || reasons=$(kept splice-why | tr '\t' ' ')
	if is_waitall_seen; then seen=true; else seen=false; fi
	fact splice "declared=${declared:-off}" "method=$way" "why=$reasons" "waitall:=$seen"
	# A concurrent run may have removed the map.
	if ask_map numbers "$S/maps/programs"; then
		say "$out" | awk '
			function byte(at) { return index("123456789abcdef", substr($1, at, 1)) * 16 + index("123456789abcdef", substr($1, at + 1, 1)) }
			NF {
				name = ""
				for (i = 1; c = byte(i); i += 2) name = name (c < 33 || c > 126 || c == 34 || c == 92 ? "?" : sprintf("%c", c))
				kept[name] += $2; refused[name] += $3
			}
			END { for (name in kept) if (name !~ /^probe-(x86_64|aarch64)$/) printf "splicer\tprogram=%s\tkept:=%.0f\trefused:=%.0f\n", name, kept[name], refused[name] }' | sort
	fi
	[ "${declared:-off}" != require ] || [ "$way" != none ] || problem "the splice guard is not attached"
}

# This also removes what a killed tap has left.
observe_tap() { # FOLDER
	[ -e "$1/maps/taps" ] || return 0
	find_probe
	seen=$("$probe" tapped "${1%/*}" "${1##*/}") || return
	[ -z "$seen" ] || fact tap "port:=${seen% *}" "snaplen:=${seen#* }"
}

observe_generation() { # FOLDER
	fact generation "generation=$g"
	for pin in prog/track prog/redirect map/sockets map/claims; do
		id_of "${pin%/*}" "$1/${pin#*/}"
		id=$value
		[ -n "$id" ] || { lost_pin "${pin#*/}" && continue; }
		field name && name=$value
		field tag && tag=$value
		field type && type=$value
		field max_entries
		case $pin in
		prog/*) fact program "${pin#*/}" "id:=$id" "name=$name" "tag=$tag" ;;
		*) fact map "${pin#*/}" "id:=$id" "type=$type" "entries:=$value" ;;
		esac
	done
	lost=$(list_lost_maps "$1")
	for map in $lost; do lost_pin "maps/$map"; done
	[ -n "$lost" ] || has_track "$1" || problem "$g: track does not use the maps pinned beside it"
	[ -n "$lost" ] || has_redirect "$1" || problem "$g: redirect does not use the maps pinned beside it"
	has_verdict "$1" || problem "$g: the verdict is not attached to the sockhash"
	id_of prog "$1/track"
	say "$hooks" | while read -r id flags place; do
		place=${place#"$v2"}
		[ "$id" != "$value" ] || fact attached "generation=$g" "flags=$flags" "cgroup=${place:-/}"
	done
	places=$(places_of "${value:-none}")
	expected=
	[ "$g" != "$serving" ] || expected=$v2${cgroup%/}
	[ "$places" = "$expected" ] || problem "$g: expected to be attached to ${expected:-nothing}, found ${places:-nothing}"
	for map in counters knobs policies; do
		[ ! -e "$1/maps/$map" ] || continue
		[ "$g" != "$serving" ] || fact unreadable "instance=$instance"
		return 0
	done
	get_knob "$1" "$drain_knob"
	enrolled=$(count_keys "$1/sockets" || say null)
	fact state "drain:=$(yes_no "$value")" "sockets:=$enrolled"
	observe_tap "$1"
	if [ "$g" = "$serving" ] && [ -f "$home/policy" ]; then
		faults=$(list_policy_faults "$1") || exit
		[ -z "$faults" ] || say "$faults" | while read -r fault; do
			problem "$g: $fault"
		done
	fi
	count_all "$1"
	# shellcheck disable=SC2046 # split on purpose: each word is name:=value
	fact counters $(say "$counts" | sed 's/ /:=/')
	ranges=
	[ "$g" != "$serving" ] || [ ! -f "$home/policy" ] || ranges=$(ranges_declared)
	count_ports "$1" "$ranges" "$enrolled"
	say "$counts" | while read -r name redirected redirected_bytes by_tcp bytes_by_tcp open; do
		[ -z "$name" ] || fact ports "ports=$name" "enrolled:=$open" "messages:=$redirected" "bytes:=$redirected_bytes" "tcpMessages:=$by_tcp" "tcpBytes:=$bytes_by_tcp"
	done
	count_reasons "$1"
	# shellcheck disable=SC2046 # split on purpose: each word is name:=value
	[ -z "$counts" ] || fact reasons $(say "$counts" | sed 's/ /:=/')
}

# Counts the connections that the policy covers, whether or not they are enrolled. A unit with few
# rights may read maps but not the sockets of every network namespace; then the fact says why.
observe_established() { # FOLDER
	live_policy "$1"
	if counted=$("$reader" established "$1/maps/policies" "$slot" "$v2${cgroup%/}" 2>&1); then
		say "$counted" | while read -r name number; do
			case $name in
			unseen) fact unseen "what=$number" ;;
			*) fact established "ports=$name" "connections:=$number" ;;
			esac
		done
	else
		fact unseen "what=$(say "${counted#probe: established: }" | tr '\t\n' '  ')"
	fi
}

observe() {
	serving=$(recorded serving) cgroup=$({ recorded cgroup || kept cgroup; } | tr '\t\n' '  ') current=$(readlink "$home/current")
	cgroup=${cgroup% }
	fact instance "instance=$instance" "owner=$(owner_recorded | tr '\t' ' ')" "declared=$(kept declared)" "serving=$serving" "current=$current" "cgroup=$cgroup"
	[ ! -f "$home/policy" ] || fact policy "everything:=$(yes_no "$(policy_of everything)")" "ports=$(policy_of ports)" "cidrs=$(policy_of cidrs)" "enabled:=$(policy_of enabled)" "queueBytes:=$(policy_of queue)" "refreshSeconds:=$(refresh_declared)"
	[ -n "$serving" ] || problem "nothing is attached"
	[ "$current" = "$serving" ] || problem "current is ${current:-nothing}, not the serving generation"
	[ "${serving:-$(kept declared)}" = "$(kept declared)" ] || problem "$(kept declared) is declared but $serving serves"
	list_hooks
	for folder in "$B/$instance"/*; do
		g=${folder##*/}
		is_generation "$g" || continue
		seen=$(observe_generation "$folder" 2>&1) || skip_gone "$folder" "$seen" || continue
		say "$seen"
	done
	folder=$B/$instance/$serving
	# A pod sees only its own processes, and with them one network namespace.
	if [ -n "$serving" ] && [ -z "${SOCKET_BYPASS_PLACE:-}" ] && [ -e "$folder/maps/knobs" ] && [ -e "$folder/maps/policies" ]; then
		if seen=$(observe_established "$folder" 2>&1) || skip_gone "$folder" "$seen"; then say "$seen"; fi
	fi
	observe_splice_guard
	find_unit
	! wants_unit || [ -z "$serving" ] || [ -e "$unit_file" ] || problem "the boot unit $unit is not there"
	observe_epochs
}

# A report of all instances goes on when one cannot be read: it has the facts up to there.
observe_one_of() { # THE-ONLY-INSTANCE or nothing -> $seen
	seen=$(observe) && return
	[ -z "$1" ] || exit 1
	warn "instance $instance: looking at it failed for the reason above; the other instances follow"
	seen=$seen$nl$(problem "looking at it failed; 'socket-bypass status --instance $instance' says why" && fact unreadable "instance=$instance")
}
