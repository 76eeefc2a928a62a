# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# advise: tells which services of this host would gain from the bypass, and which would be harmed.

# Reads what `bench --json` has printed. The bypass on one CPU and on two gives, for each mode and
# size, the least and the most of what to expect. A file without a size that advise compares with
# (rows[] in host/helper/advise/gain.c) would change nothing, so it is refused.
read_bench() { # FILE -> $gains: words by four, the ratios in hundredths
	[ -f "$1" ] || err "--bench: expected a file with what 'socket-bypass bench --json' printed, found no file $1"
	gains=$(head -c 65536 "$1" | tr -d ' \t\r\n' | tr '}' '\n' | awk '
		function value(name) {
			if (!match($0, "\"" name "\":(\"[a-z]+\"|[0-9.]+)(,|$)")) return ""
			name = substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3)
			gsub(/[",]/, "", name)
			return name
		}
		value("way") == "bypass" {
			cell = value("mode") " " value("size"); ratio = int(value("ratio") * 100 + 0.5)
			if (cell !~ /^(rr|stream) [1-9][0-9]*$/ || ratio < 1 || ratio > 10000) { bad = 1; exit }
			if (cell ~ / (64|1024|16384|65536|262144)$/) known = 1
			if (!(cell in least)) { order[++n] = cell; least[cell] = most[cell] = ratio }
			if (ratio < least[cell]) least[cell] = ratio
			if (ratio > most[cell]) most[cell] = ratio
		}
		END {
			if (bad || !n) exit 1
			if (!known) exit 2
			for (i = 1; i <= n; i++) print order[i], least[order[i]], most[order[i]]
		}')
	case $? in
	0) ;;
	2) err "--bench: expected figures of a size that advise compares with (64, 1024, 16384, 65536 or 262144), found none in $1" ;;
	*) err "--bench: expected what 'socket-bypass bench --json' printed, found something else in $1" ;;
	esac
}

# What somebody else has installed may not be readable for this version; what else there is to tell
# does not depend on it.
list_enrolled() { # -> $enrolled: the inodes of sockets that take the bypass already
	lines=$(list_all_flows 2>&1 && say "$lines") || warn "note: which sockets take the bypass already is not known: $lines"
	enrolled=$(say "$lines" | awk 'NF >= 16 && length($1) == 16 { print $6 }')
}

cmd_advise() {
	[ -z "${SOCKET_BYPASS_PLACE:-}" ] || err "advise: expected a host's own processes and network namespaces, found those of a pod, which sees no others; run it on the node itself (docs/reference/advise.md)"
	# It looks at what every instance bypasses. A stack names one for the folder of the files
	# that it sent for this run, and that instance may not be installed.
	instance=
	list_enrolled
	find_probe
	set -- "$seconds"
	[ -z "$json" ] || set -- "$@" json
	# As the programs decide it (is_fionread_right() in bpf/socket_bypass.h).
	if ! counts_redirected; then
		set -- "$@" misses
	elif counts_tcp; then
		set -- "$@" exact
	fi
	if [ -n "$bench" ]; then
		read_bench "$bench"
		# shellcheck disable=SC2086 # split on purpose: words of digits and letters
		set -- "$@" gains $gains
	fi
	say "$enrolled" | "$probe" advise "$@" || err "advise: failed for the reason above"
}
