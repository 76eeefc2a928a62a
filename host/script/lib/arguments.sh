# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# What was typed.

parse() {
	verb=${1:-help}
	[ $# -eq 0 ] || shift
	case $verb in
	object | map | program | verdict | policy | boot)
		verb="$verb ${1:-}"
		[ $# -eq 0 ] || shift
		;;
	esac
	case $verb in
	program\ *)
		program=${1:-nothing}
		[ $# -eq 0 ] || shift
		case $program in track | redirect) ;; *) usage "$verb: expected track or redirect, found $program" ;; esac
		;;
	esac
	case $verb in
	'object install' | 'map create' | 'program load' | 'verdict attach' | selftest | 'policy set' | attach | apply) kind=create ;;
	'object remove' | 'map remove' | 'program unload' | 'verdict detach' | detach | remove) kind=delete ;;
	drain | resume | adopt | 'boot start') kind=switch ;;
	preflight | status | metrics | flows | bench | help) kind=report ;;
	*) usage "expected a verb, found $verb" ;;
	esac
	while [ $# -gt 0 ]; do
		word=1 flag=${1#--}
		case $1 in
		--take-over | --force | --everything | --off | --compile | --json | --adopt) ;;
		--instance | --generation | --owner | --state-dir | --cgroup | --from | --digest | --sockets | --pending | --ports | --cidrs | --enabled | --boot | --queue-bytes | --refresh-seconds | --drain-seconds | --timeout | --epoch | --textfile | --seconds | --splice-guard)
			[ $# -ge 2 ] || usage "$1: expected a value, found nothing"
			case $2 in *[[:cntrl:]]*) usage "$1: expected one line of printable text" ;; esac
			word=$2
			shift
			;;
		*) usage "$verb: expected a flag, found $1" ;;
		esac
		shift
		case $flag in *-*) flag=${flag%-*}_${flag#*-} ;; esac
		# Only names of the list above come here.
		eval "$flag=\$word"
	done
}

check_arguments() {
	[ -z "$instance" ] || is_name "$instance" || usage "--instance: expected at most 64 of a-z, 0-9 and dashes, found $instance"
	[ -z "$generation" ] || is_generation "$generation" || usage "--generation: expected 12 hex digits, found $generation"
	[ ${#owner} -le 1024 ] || usage "--owner: expected at most 1024 bytes, found ${#owner}"
	case $state_dir/ in
	*//* | */./* | */../* | *\'* | [!/]*) usage "--state-dir: expected a clean absolute path, found $state_dir" ;;
	esac
	for word in "sockets $sockets" "pending $pending" "queue-bytes $queue_bytes" "refresh-seconds $refresh_seconds" "drain-seconds $drain_seconds" "timeout $timeout" "epoch ${epoch:-0}" "seconds $seconds"; do
		is_number "${word#* }" || usage "--${word%% *}: expected a number, found ${word#* }"
	done
	[ "$seconds" -ge 6 ] || usage "--seconds: expected at least 6, found $seconds"
	case $enabled in true | false) ;; *) usage "--enabled: expected true or false, found $enabled" ;; esac
	case $boot in true | false) ;; *) usage "--boot: expected true or false, found $boot" ;; esac
	is_guard_word "$splice_guard" || usage "--splice-guard: expected auto, require or off, found $splice_guard"
	[ "$kind" = report ] || need --instance "$instance"
	if [ "$kind" = create ]; then
		need --generation "$generation"
		need --owner "$owner"
	fi
	case $verb in
	preflight | 'policy set' | apply)
		[ -n "$everything$ports$cidrs" ] || [ "$verb" = preflight ] || usage "$verb: expected --everything, --ports or --cidrs, found none"
		[ -z "$everything" ] || [ -z "$ports$cidrs" ] || usage "$verb: expected --everything or a filter, found both"
		[ "$verb" = preflight ] || everything=${everything:-0}
		why=$(encode_policy "${everything:-0}" "$ports" "$cidrs" 2>&1 >/dev/null) || usage "$why"
		;;
	esac
}
