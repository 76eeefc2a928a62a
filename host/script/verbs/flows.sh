# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# flows: lists each enrolled connection.

# For awk: the notation of an address, from what flows.bpf.o prints.
flow_functions='
	function number(hex,   v) {
		for (v = 0; hex != ""; hex = substr(hex, 2)) v = v * 16 + index("123456789abcdef", substr(hex, 1, 1))
		return v
	}
	function dotted(word) { return int(word / 256) "." word % 256 }
	function address(text,   i, part, run) { # in the notation of RFC 5952
		if (split(text, part, /:/) < 8) return text
		text = ":"
		for (i = 1; i < 9; i++) text = text sprintf("%x", part[i] = number(part[i])) ":"
		for (run = ":0:0:0:0:0:0:0:0:"; !(i = index(text, run)) && length(run) > 5; run = substr(run, 3)) continue
		if (i) text = substr(text, 1, i) substr(text, i + length(run) - 1)
		if (text ~ /^::ffff:[^:]*:[^:]*:$/) return "::ffff:" dotted(part[7]) "." dotted(part[8])
		if (text !~ /^::/) text = substr(text, 2)
		return text ~ /::$/ ? text : substr(text, 1, length(text) - 1)
	}
	function place(host, port) { return (host ~ /:/ ? "[" host "]" : host) ":" port }
'

# Reads, for each generation, a line that names it and the lines of flows.bpf.o; then who has which
# socket open.
show_flows() {
	awk -v json="$json" "$json_functions$flow_functions"'
		# Splits the line of a socket into f. Its processes go into who as JSON, and into
		# f["at"] as text.
		function take(key,   i, n, pid) {
			split(flow[key], f, " ")
			f[13] = address(f[13]); f[15] = address(f[15])
			f["at"] = place(f[13], f[14]); who = ""
			n = split(owners[f[6]], pid, " ")
			if (json == "" && n) f["at"] = f["at"] " " command[pid[1]] "/" pid[1] (n > 1 ? "+" n - 1 : "")
			else for (i = 1; i <= n; i++) who = more(who, "{\"pid\":" pid[i] ",\"command\":" quote(command[pid[i]]) "}")
		}
		function end_of(key) {
			if (key == "") return "null"
			take(key)
			return "{\"address\":\"" f[13] "\",\"port\":" f[14] ",\"remoteAddress\":\"" f[15] "\",\"remotePort\":" f[16] ",\"processes\":[" who "],\"state\":\"" modes[f[4] + 1] "\",\"messages\":" f[8] ",\"bytes\":" f[9] ",\"sent\":" f[10] ",\"unread\":" (f[3] < 0 ? "null" : f[3]) ",\"unreadByTcp\":" f[11] ",\"bytesByTcp\":" (f[17] == "" ? "null" : f[17]) ",\"why\":" (f[12] == "-" ? "null" : quote(f[12])) "}"
		}
		function row(from, to,   unread, at) {
			if (from == "") return
			if (to != "") { take(to); unread = f[3]; at = f["at"] }
			take(from)
			if (to == "") at = place(f[15], f[16])
			put(f["at"], at, modes[f[4] + 1], f[8], f[9], unread < 0 ? "" : unread, f[12])
		}
		function put(from, to, mode, messages, bytes, unread, why) {
			left[++rows] = from; right[rows] = to
			rest[rows] = sprintf("%-6s %10s %14s %10s  %s", mode, messages, bytes, unread, why)
			if (length(from) > widest) widest = length(from)
			if (length(to) > wider) wider = length(to)
		}
		BEGIN { split("wait spill bypass leave", modes, " ") }
		$1 == "generation" { label = $2 " " $3; drained = $4; next }
		# An earlier version gives no bytes by TCP; a later one may add fields at the end.
		NF >= 16 && length($1) == 16 {
			if ($4 == 3 && drained) $12 = "drained"
			key = label " " $1
			if (!(key in flow)) order[++n] = key # the kernel may list one twice
			flow[key] = $0; wanted[$6]
			if ($5 !~ /^0*$/) { peer[key] = label " " $5; peer[label " " $5] = key }
			next
		}
		$1 == "owner" && $2 in wanted && last[$2] != $3 {
			owners[$2] = owners[$2] " " (last[$2] = $3)
			command[$3] = substr($0, length($1 $2 $3) + 4)
		}
		END {
			put("FROM", "TO", "STATE", "MESSAGES", "BYTES", "UNREAD", "WHY NOT")
			for (i = 1; i <= n; i++) {
				one = order[i]; two = peer[one] in flow ? peer[one] : ""
				if (one in done) continue
				done[two]
				split(flow[one], f, " ")
				if (!f[7]) { key = one; one = two; two = key }
				if (json == "") { row(one, two); row(two, one); continue }
				split(order[i], of, " ")
				printf "%s{\"instance\":\"%s\",\"generation\":\"%s\",\"client\":%s,\"server\":%s}", (i > 1 ? ",\n" : "["), of[1], of[2], end_of(one), end_of(two)
			}
			if (json != "") print (n ? "" : "[") "]"
			else if (rows < 2) print "no connection is enrolled"
			else for (i = 1; i <= rows; i++) printf "%-" widest "s  %-" wider "s  %s\n", left[i], right[i], rest[i]
		}'
}

list_flows() { # FOLDER
	get_knob "$1" "$drain_knob"
	drain=$value
	list_sockets "$1" || err "${1##*/}: listing its sockets failed: $(explain)"
	say "generation $instance ${1##*/} $drain$nl$listed"
}

list_all_flows() { # -> $lines
	lines=
	find_instances
	for instance in $instances; do
		home=$state_dir/$instance
		for folder in "$B/$instance"/*; do
			# The link `serving` would resolve to the generation a second time.
			{ [ ! -L "$folder" ] && [ -e "$folder/maps/knobs" ]; } || continue
			seen=$(list_flows "$folder" 2>&1) || skip_gone "$folder" "$seen" || continue
			lines=$lines$seen$nl
		done
	done
}

add_owners() { # $lines -> $lines, with who has which socket open
	[ -n "$lines" ] || return 0
	find_probe
	owners=$("$probe" owners) || err "$verb: listing who has which socket open failed for the reason above"
	lines=$lines$owners
}

tell_of_more() { # $lines
	say "$lines" | awk '
		$1 == "generation" { of = $2 " " $3 }
		NF > 17 && length($1) == 16 { more[of] = NF - 17 }
		END { for (of in more) print of, more[of] }' | while read -r instance generation more; do
		warn "note: instance $instance: generation $generation is of a later version and has $more values of each socket that are not shown; its own script shows them: sh $state_dir/$instance/socket-bypass flows"
	done
}

cmd_flows() {
	list_all_flows
	tell_of_more
	add_owners
	say "$lines" | show_flows
}
