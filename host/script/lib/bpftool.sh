# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Calls of bpftool. With -j it prints its own errors on stdout as {"error":...}, and libbpf's log on
# stderr.

bpf() { out=$("$bpftool" -j "$@" 2>&1); }
must() { bpf "$@" || refuse "$@"; }
refuse() { err "bpftool $1 $2 ${4:-$3} failed: $(explain)"; }

lookup() { # MAP-PIN KEY-BYTES; bpftool exits with 0 even if it may not read the map's BTF
	# shellcheck disable=SC2086 # one argument a byte
	must map lookup pinned "$1" key hex $2
	case $out in *'"value":["0x'*) ;; *) refuse map lookup pinned "$1" ;; esac
}

# Prints the most useful line of $out: the verifier's last one, else libbpf's, else bpftool's.
explain() {
	say "$out" | awk '
		/^processed [0-9]+ insns/ && last !~ /BEGIN PROG LOAD LOG/ { verifier = last }
		/^libbpf: .*([Ff]ail|[Ee]rror|not |[Uu]nknown)/ && !libbpf { libbpf = $0 }
		/"error":/ { sub(/.*"error":"/, ""); sub(/".*/, ""); bpftool = $0 }
		{ last = $0 }
		END { print verifier ? verifier : libbpf ? libbpf : bpftool ? bpftool : last ? last : "no answer" }'
}

field() { # NAME -> $value, the first one of that name in $out
	value=${out#*\""$1"\":}
	[ "$value" != "$out" ] || value=
	value=${value%%[],\}]*}
	value=${value#\"} value=${value%\"}
}

id_of() { # map|prog PIN -> $value, empty when there is no such pin
	value=
	[ -e "$2" ] || return 0
	if bpf "$1" show pinned "$2"; then
		field id
	elif [ -e "$2" ]; then # else a run beside this report has removed it between the two looks
		refuse "$1" show pinned "$2"
	fi
}

bytes() { # the bytes of the first value in $out, as hex words
	say "$out" | sed 's/.*"value":\["0x//; s/"\].*//; s/","0x/ /g'
}

count_keys() { # MAP-PIN
	# A value that is gone by the time it is looked up is an error inside the list.
	"$bpftool" -j map dump pinned "$1" 2>/dev/null | awk '/^[{]"error":/ { bad = 1 } { n += gsub(/"key":\[/, "") } END { if (!bad) print n + 0; exit bad }'
}
