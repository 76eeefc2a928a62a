# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Warns of listening programs that the bypass is known to harm. A pod sees only its own processes,
# so the script for pods leaves this part out.

# True if a systemd unit already keeps its processes from splicing.
is_filtered() { # UNIT
	allowed=" $(systemctl show --property=SystemCallFilter -- "$1" 2>/dev/null | sed -n 's/^SystemCallFilter=~//p') "
	case $allowed in *' splice:'* | *' splice '*) ;; *) return 1 ;; esac
}

# Prints a note for each program that listens on these ports and is known to be harmed, with what to
# do about it. SPLICES is 1 if programs that splice are harmed; ASKS is 1 if those that trust
# FIONREAD are.
name_listeners() { # PORTS (empty: all) SPLICES ASKS
	find_probe
	listed=$("$probe" listeners "${1:-1-65535}" 2>&1)
	# No errno of splice helps 3proxy, which gives up at any, nor pasta and passt, which have no
	# other way to read. HAProxy 3.3 repeats the splice at EINVAL, so it needs ENOSYS.
	say "$listed" | splices=$2 asks=$3 release=$(uname -r) awk '
		function describe(kind) {
			if (kind == "asks") return ENVIRON["asks"] ? kind : ""
			if (!ENVIRON["splices"]) return ""
			if (kind == "splice") return "HAProxy with \047option splice-*\047"
			if (kind == "unread") return "HAProxy, whose configuration cannot be read: it splices with \047option splice-*\047"
			if (kind == "known" || kind == "stubborn") return "one that splices"
			return kind == "go" ? "a Go program, which splices where it copies from one connection to another" : ""
		}
		/^probe: / { sub(/^probe: /, "note: "); print "-\t-\t-\t-\t" $0 }
		$1 == "listener" {
			port = $2; pid = $3; name = $0
			for (i = 0; i < 7; i++) sub(/^[^ ]* /, "", name)
			found = describe($4)
			if (found == "") next
			errno = $4 ~ /^(asks|stubborn)$/ ? "-" : found ~ /^HAProxy/ ? "ENOSYS" : "EINVAL"
			key = $6 "\t" errno "\t" $5 "\t" name "\t" found
			if (!(key in first)) { order[++n] = key; first[key] = pid }
			if (!((key, pid) in met)) { met[key, pid]; processes[key]++ }
			if (!((key, port) in met_port)) {
				met_port[key, port]
				if (++ports[key] < 9) list[key] = list[key] (ports[key] > 1 ? ", " : "") port
			}
		}
		END {
			for (i = 1; i <= n; i++) {
				key = order[i]; split(key, part, "\t")
				its = "port" (ports[key] > 1 ? "s " : " ") list[key] (ports[key] > 8 ? " and " ports[key] - 8 " more" : "")
				which = "process " first[key] (processes[key] > 1 ? " and " processes[key] - 1 " more" : "")
				what = "expected no program that splices where the kernel has no method for spliceGuard, found " part[5]
				if (part[5] == "asks") what = "expected a kernel whose FIONREAD counts what comes through the bypass (6.6.128, 6.12.75, 6.18.14, 7.0 or newer), found " ENVIRON["release"] ", on which it hangs at longer requests"
				printf "%s\t%s\t%s\t%s\tnote: %s (%s, %s): %s\n", part[1], part[2], part[3], its, part[4], which, its, what
			}
		}' | while IFS='	' read -r unit errno filtered its what; do
		[ "$its" = - ] || what="$what; leave out $its"
		case $errno:$unit in
		-:*) ;;
		*:-) what="$what, or keep it from splicing (SystemCallFilter=~splice:$errno where it is a unit of systemd)" ;;
		*)
			[ "$filtered" = - ] || ! is_filtered "$unit" || continue
			what="$what, or type 'systemctl edit $unit', write '[Service]' and below it 'SystemCallFilter=~splice:$errno', and restart it"
			;;
		esac
		warn "$what"
	done
}
