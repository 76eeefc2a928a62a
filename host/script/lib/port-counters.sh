# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Reads the counters of each range of ports, and those of the reasons why messages go over TCP.

# Name, type and help of a family of metrics.
port_table() {
	cat <<'END'
port_messages_total|counter|Messages of enrolled sockets, by range of the policy and by path: bypass or tcp
port_bytes_total|counter|Bytes of enrolled sockets, by range of the policy and by path: bypass or tcp
enrolled_connections|gauge|Connections of which both ends are enrolled, by range of the policy
established_connections|gauge|Established connections that the policy covers, with both ends on this host, enrolled or not
not_redirected_total|counter|Messages of enrolled sockets sent over TCP, by reason
END
}

# In the order of enum why in bpf/socket_bypass.h.
reason_names='other peer-unknown first-message tcp-unread reader-busy reader-shared reader-behind memory refresh drain reader-locked small-messages much-by-tcp options reader-splices reader-waitall peer-gone'

# Prints a line for each range: its name, the messages and bytes that were redirected, those that
# went over TCP, and the number of enrolled connections. Ranges of the policy in force are listed
# even if they had no traffic. `other`, which counts the ranges that the map had no room for, is
# listed only if it had some. If something else removes a socket from the sockhash, the socket
# counts as enrolled until it sends or closes, so the sum is cut to what the sockhash can hold.
count_ports() { # FOLDER RANGES SOCKETS -> $counts; empty if an earlier version has made the maps
	counts=
	[ -e "$1/maps/port_counters" ] || return 0
	read_map numbers "$1/maps/port_counters"
	counts=$(say "$out" | ranges=$2 sockets=$3 awk '
		function digit(at) { return index("123456789abcdef", substr($1, at, 1)) }
		function port(at) { return digit(at) * 16 + digit(at + 1) + (digit(at + 2) * 16 + digit(at + 3)) * 256 }
		NF {
			first = port(1); last = port(5)
			if (!first) name = last == 1 ? "other" : "any"
			else name = first == last ? first : first "-" last
			# The two are read one after the other, and a connection may end in between.
			open = $6 - $7 > 0 ? $6 - $7 : 0
			if (name != "other" || $2 || $4 || $6) { row[++rows] = name " " $2 " " $3 " " $4 " " $5; enrolled[rows] = open }
			total += open
			seen[name]
		}
		END {
			most = ENVIRON["sockets"] ~ /^[0-9]+$/ ? int((ENVIRON["sockets"] + 1) / 2) : total
			for (i = 1; i <= rows; i++) printf "%s %.0f\n", row[i], (total > most ? int(enrolled[i] * most / total) : enrolled[i])
			n = split(ENVIRON["ranges"], range, ",")
			for (i = 1; i <= n; i++) {
				split(range[i] "-" range[i], p, "-")
				name = range[i] == "any" ? "any" : p[1] == p[2] ? p[1] + 0 : p[1] + 0 "-" p[2] + 0
				if (!(name in seen)) print name, 0, 0, 0, 0, 0
				seen[name]
			}
		}' | sort -n)
}

count_reasons() { # FOLDER -> $counts, one line for each: name and value
	counts=
	[ ! -e "$1/maps/tcp_reasons" ] || count_all "$1" tcp_reasons "$reason_names"
}
