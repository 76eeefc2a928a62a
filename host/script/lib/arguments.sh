# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Parses the command line into $verb, $kind, and one variable for each flag.

variable_of() { # FLAG -> $variable
	case $1 in *-*) variable=${1%-*}_${1#*-} ;; *) variable=$1 ;; esac
}

parse() {
	[ $# -gt 0 ] || set -- help
	[ "$1" != --version ] || { shift && set -- version "$@"; }
	verb='' group=
	while IFS='|' read -r its name _; do
		case $name in
		"$1") verb=$name kind=$its words=1 ;;
		"$1 ${2:-}") verb=$name kind=$its words=2 ;;
		"$1 "*) group=" ${2:-}" ;;
		esac
	done <<-END
		$(verb_table)
	END
	[ -n "$verb" ] || usage "expected a verb, found $1$group"
	shift "$words"
	case $verb in *' '*) second=${verb#* } ;; *) second= ;; esac
	case $verb in
	program\ *)
		program=${1:-nothing}
		[ $# -eq 0 ] || shift
		case $program in track | redirect) ;; *) usage "$verb: expected track or redirect, found $program" ;; esac
		;;
	esac
	# Assigned here because shellcheck does not see which variables eval sets or reads.
	state_dir='' boot='' drain_seconds='' timeout='' seconds='' flags=' '
	interval='' count='' snaplen='' max_bytes='' max_rate=''
	# shellcheck disable=SC2034
	while IFS='|' read -r flag rule default _; do
		flags="$flags--$flag:$rule "
		# Here and below, only names from the table reach eval.
		variable_of "$flag"
		eval "$variable=\$default"
	done <<-END
		$(flag_table)
	END
	while [ $# -gt 0 ]; do
		[ "$1" != -w ] || { shift && set -- --write "$@"; }
		case $1 in *[!a-z-]*) usage "$verb: expected a flag, found $1" ;; esac
		word=1
		variable_of "${1#--}"
		case $flags in
		*" $1:switch "*) ;;
		*" $1:"*)
			[ $# -ge 2 ] || usage "$1: expected a value, found nothing"
			case $2 in *[[:cntrl:]]*) usage "$1: expected one line of printable text" ;; esac
			word=$2
			shift
			;;
		*) usage "$verb: expected a flag, found $1" ;;
		esac
		shift
		eval "$variable=\$word"
	done
}

check_arguments() {
	while IFS='|' read -r flag rule default _; do
		variable_of "$flag"
		eval "word=\$$variable"
		# A flag without a default may be left out, and then counts as empty.
		[ -z "$word$default" ] || check_word "--$flag" "$rule" "$word"
	done <<-END
		$(flag_table)
	END
	[ ${#owner} -le 1024 ] || usage "--owner: expected at most 1024 bytes, found ${#owner}"
	case $state_dir/ in
	*//* | */./* | */../* | *\'* | [!/]*) usage "--state-dir: expected a clean absolute path, found $state_dir" ;;
	esac
	case $verb in
	bench) check_range --seconds "${seconds:=30}" 6 999999 ;;
	advise) check_range --seconds "${seconds:=30}" 1 3600 ;;
	top)
		for flag in interval count seconds; do
			eval "word=\${$flag:-1}"
			check_range "--$flag" "$word" 1 86400
		done
		;;
	tap)
		[ -n "$port" ] || usage "tap: expected --port, found none"
		[ -n "$write" ] || usage "tap: expected -w FILE, found none"
		check_range --port "$port" 1 65535
		check_range --seconds "${seconds:=30}" 1 3600
		check_range --snaplen "$snaplen" 0 1048576
		check_range --max-bytes "$max_bytes" 65536 1099511627776
		check_range --max-rate "$max_rate" 65536 1099511627776
		;;
	esac
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

check_range() { # FLAG NUMBER LEAST MOST
	{ [ "$2" -ge "$3" ] && [ "$2" -le "$4" ]; } || usage "$1: expected $3 to $4, found $2"
}

check_word() { # FLAG RULE WORD
	case $2 in
	name) is_name "$3" || usage "$1: expected at most 64 of a-z, 0-9 and dashes, found $3" ;;
	generation) is_generation "$3" || usage "$1: expected 12 hex digits, found $3" ;;
	number) is_number "$3" || usage "$1: expected a number, found $3" ;;
	bool) case $3 in true | false) ;; *) usage "$1: expected true or false, found $3" ;; esac ;;
	guard) is_guard_word "$3" || usage "$1: expected auto, require or off, found $3" ;;
	esac
}
