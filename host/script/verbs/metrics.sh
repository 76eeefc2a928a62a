# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# metrics: prints OpenMetrics, or for the textfile collector the older Prometheus text format.

to_metrics() {
	counters=$(counter_table) families=$(port_table) awk -F '\t' -v text="$textfile" -v host="kernel=\"$(uname -r)\",machine=\"$(machine)\"" '
		function value(i) { return substr($i, index($i, "=") + 1) }
		function add(name, labels, number) { samples[name] = samples[name] "socket_bypass_" name "{" labels "} " number "\n" }
		# The older text format gives a family the name of its samples, and has no type
		# info.
		function family(name, type, help,   short) {
			short = "socket_bypass_" name
			if (text != "") sub(/info/, "gauge", type)
			else sub(/_(total|info)$/, "", short)
			printf "# TYPE %s %s\n%s# HELP %s %s.\n%s", short, type, name ~ /bytes/ && text == "" ? "# UNIT " short " bytes\n" : "", short, help, samples[name]
		}
		# Adds a sample of the whole host once, although each instance reports it.
		function add_once(name, labels, number) {
			if (!((name, labels) in told)) add(name, labels, number)
			told[name, labels] = 1
		}
		function end_instance() {
			if (instance == "") return
			add("up", "instance=\"" instance "\"", !unreadable)
			add("healthy", "instance=\"" instance "\"", !bad)
			bad = unreadable = 0
		}
		$1 == "instance" { end_instance(); instance = value(2); serving = value(5) }
		$1 == "problem" { bad = 1 }
		$1 == "unreadable" { unreadable = 1 }
		$1 == "lost" { add("lost_pin", labels ",pin=\"" value(2) "\"", 1) }
		$1 == "splice" { add_once("splice_guard", "method=\"" value(3) "\"", value(3) != "none") }
		$1 == "splicer" {
			add_once("splicing_sockets_total", "program=\"" value(2) "\"", value(3))
			add_once("refused_splices_total", "program=\"" value(2) "\"", value(4))
		}
		$1 == "generation" { generation = value(2); labels = "instance=\"" instance "\",generation=\"" generation "\""; tags = "" }
		$1 == "program" { tags = tags "," $2 "=\"" value(5) "\"" }
		$1 == "map" && $2 == "sockets" { add("max_sockets", labels, value(5)) }
		$1 == "state" {
			add("info", labels tags "," host, 1)
			add("serving", labels, generation == serving)
			add("draining", labels, value(2) == "true")
			if (value(3) != "null") add("enrolled_sockets", labels, value(3))
			tapped[labels] = 0
		}
		$1 == "ports" {
			of = labels ",ports=\"" value(2) "\""
			add("enrolled_connections", of, value(3))
			add("port_messages_total", of ",path=\"bypass\"", value(4))
			add("port_messages_total", of ",path=\"tcp\"", value(6))
			add("port_bytes_total", of ",path=\"bypass\"", value(5))
			add("port_bytes_total", of ",path=\"tcp\"", value(7))
		}
		$1 == "reasons" { for (i = 2; i <= NF; i++) add("not_redirected_total", labels ",reason=\"" substr($i, 1, index($i, ":") - 1) "\"", value(i)) }
		$1 == "established" { add("established_connections", "instance=\"" instance "\",ports=\"" value(2) "\"", value(3)) }
		$1 == "tap" { tapped[labels] = 1 }
		$1 == "counters" { add("tapped", labels, tapped[labels]) }
		$1 == "counters" { for (i = 2; i <= NF; i++) add(substr($i, 1, index($i, ":") - 1) "_total", labels, value(i)) }
		END {
			end_instance()
			family("info", "info", "What serves: the tags of the programs and the system")
			family("up", "gauge", "1 when the state and the counters of the installation could be read")
			family("healthy", "gauge", "1 when all that is declared is there (socket-bypass status tells what is not)")
			family("lost_pin", "gauge", "1 for each pin of a generation that is gone; the label names it")
			family("serving", "gauge", "1 for the generation that new connections go to")
			family("draining", "gauge", "1 when everything goes over TCP")
			family("enrolled_sockets", "gauge", "Sockets in the sockhash, two for a connection")
			family("max_sockets", "gauge", "Room in the sockhash")
			family("tapped", "gauge", "1 while a tap writes messages to a file")
			family("splice_guard", "gauge", "1 where programs that splice are protected; the label says by which method")
			family("splicing_sockets_total", "counter", "Sockets left on TCP because their program splices from them, or asks for all bytes by MSG_WAITALL")
			family("refused_splices_total", "counter", "Splices refused, so that the program takes recv() for what was redirected")
			n = split(ENVIRON["families"], row, "\n")
			for (i = 1; i <= n; i++) {
				split(row[i], part, "|")
				family(part[1], part[2], part[3])
			}
			n = split(ENVIRON["counters"], row, "\n")
			for (i = 1; i <= n; i++) {
				split(row[i], part, "|")
				family(part[1] "_total", "counter", part[2])
			}
			print "# EOF"
		}'
}

cmd_metrics() {
	[ -z "$textfile" ] || [ -d "$textfile" ] || err "--textfile $textfile: expected a folder, found none; create it, or name the one that node-exporter reads"
	facts='' one=$instance
	find_instances
	for instance in $instances; do
		home=$state_dir/$instance
		is_there || continue
		observe_one_of "$one"
		facts=$facts$seen$nl
	done
	metrics=$(say "$facts" | to_metrics)
	if [ -z "$textfile" ]; then
		say "$metrics"
		return
	fi
	# The probe writes the file safely, because the folder may belong to another user.
	find_probe
	why=$(say "$metrics" | "$probe" write "$textfile" socket-bypass.prom 2>&1) || err "--textfile ${why#probe: write: }"
	say "$textfile/socket-bypass.prom"
}
