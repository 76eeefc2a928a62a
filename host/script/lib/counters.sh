# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Reads the counters, of which each CPU has its own copy.

# Name and help, in the order of enum counter in bpf/socket_bypass.h.
counter_table() {
	cat <<'END'
pairs|Connections whose ends found each other
redirected_messages|Messages redirected
redirected_bytes|Bytes redirected
tcp_messages|Messages of enrolled sockets sent over TCP
remote_skipped|Ends whose peer is not known to be on this host
policy_skipped|Ends that the policy leaves alone
spills|Directions that went to TCP for a while
returns|Directions that returned to the bypass
leaves|Directions that went to TCP for good
gone|Sockets that left the sockhash before they closed
unpaired|Sockets that never found their peer
refused_busy|Sockets refused because another sockmap holds them
refused_full|Sockets refused because a map is full
refused_other|Sockets refused for another reason
redirect_failed|Redirects that the kernel refused
short_skipped|Connections to services whose connections are too short to gain
rearmed|Callback flags set again after another program cleared them
drained|Directions that left because of a drain
refused_options|Sockets and directions left on TCP because of an option that needs it
doubtful_messages|Messages sent over TCP because the socket may have more than one reader
refused_deferred|Ends left on TCP because their connection begins with bytes
tap_lost|Messages that a tap missed in whole or in part
END
}

count_all() { # FOLDER [MAP NAMES] -> $counts, one line for each: name and value
	names=${3:-$(counter_table | sed 's/|.*//' | tr '\n' ' ')}
	read_map numbers "$1/maps/${2:-counters}"
	counts=$(say "$out" | awk -v names="$names" '
		{ total[NR] = $2 }
		END {
			split(names, name, " ")
			for (i = 1; i in name; i++) print name[i], i in total ? total[i] : 0
		}')
}
