# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Calls of bpftool. With -j it prints its own errors on stdout as {"error":...}, and libbpf's log on
# stderr.

bpf() { out=$("$bpftool" -j "$@" 2>&1); }
must() { bpf "$@" || refuse "$@"; }
refuse() { err "bpftool $1 $2 ${4:-$3} failed: $(explain)"; }

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
