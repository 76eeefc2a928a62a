# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# top: shows live what flows lists, as rates: by port and by connection.

# Reads a look, a line `now SECONDS-BETWEEN`, and the look after it. Prints one frame: in a terminal
# as large as that, else as a block of text or a line of JSON.
show_top() {
	awk -v json="$json" -v screen="$screen" -v lines="${size% *}" -v columns="${size#* }" -v interval="$interval" -v took="$took" -v clock="$clock" "$json_functions$flow_functions"'
		function since(value, before) { return seconds > 0 ? (value - (before + 0 > value ? 0 : before)) / seconds : 0 }
		# A number in at most five characters.
		function short(value,   i) {
			if (value < 9.95 && value != int(value)) return sprintf("%.1f", value)
			for (i = 0; value >= 9999.5 && i < 5; i++) value /= 1000
			return sprintf(i && value < 9.95 ? "%.1f" : "%.0f", value) substr("kMGTP", i, i > 0)
		}
		function cut(text, width) { return length(text) > width ? substr(text, 1, width - 1) "~" : text }
		function put(text) {
			if (screen == "") { print text; return }
			printf "%s%s\033[K", printed++ ? "\n" : "", substr(text, 1, columns)
		}
		function end_of(one, remote,   n, pid, port) {
			if (one == "") return remote
			split(flow[one], g, " ")
			port = g[14]
			n = split(owners[g[6]], pid, " ")
			if (wide) return place(address(g[13]), port) (n ? " " command[pid[1]] "/" pid[1] (n > 1 ? "+" n - 1 : "") : "")
			return cut(n ? command[pid[1]] : "?", most - length(port) - 1) ":" port
		}
		# Keeps the busiest in best[list, 1..room], the first one first.
		function rank(list, key, value, room,   i) {
			i = held[list] < room ? ++held[list] : room + 1
			for (; i > 1 && weight[list, i - 1] < value; i--) {
				if (i > room) continue
				weight[list, i] = weight[list, i - 1]; best[list, i] = best[list, i - 1]
			}
			if (i > room) return
			weight[list, i] = value; best[list, i] = key
		}
		function reasons_of(port,   i, n, top, name, r, text) {
			n = split(whys[port], name, " ")
			for (r = 0; r < 2; r++) {
				top = ""
				for (i = 1; i <= n; i++) if (name[i] != "" && (top == "" || why[port, name[i]] > why[port, name[top]])) top = i
				if (top == "") break
				text = text (text == "" ? "" : ", ") name[top] " " why[port, name[top]]
				name[top] = ""
			}
			return text == "" ? "-" : text
		}
		function members_of(port,   i, n, name, t) {
			n = split(whys[port], name, " ")
			for (i = 1; i <= n; i++) t = more(t, quote(name[i]) ":" why[port, name[i]])
			return "{" t "}"
		}
		function rates(m, b, t, u) { return sprintf("\"bypass\":{\"messages\":%.1f,\"bytes\":%.1f},\"tcp\":{\"messages\":%.1f,\"bytes\":%s}", m, b, t, u == "" ? "null" : sprintf("%.1f", u)) }

		$1 == "now" { seconds = $2; is_now = 1; next }
		$1 == "guard" { guard = $2; next }
		$1 == "generation" {
			label = $2 " " $3; drained = $4
			if (is_now) { names = names (names == "" ? "" : ", ") $2 " " $3 (drained ? " (drained)" : ""); list = more(list, "{\"instance\":" quote($2) ",\"generation\":" quote($3) ",\"draining\":" (drained ? "true" : "false") "}") }
			next
		}
		$1 == "counter" {
			if (is_now) fresh += since($4, pairs[$2, $3]); else pairs[$2, $3] = $4
			next
		}
		NF >= 16 && length($1) == 16 {
			key = label " " $1
			if (!is_now) { messages[key] = $8; bytes[key] = $9; sent[key] = $10; by_tcp[key] = $17; next }
			# The kernel may list one twice.
			if (!(key in flow)) { order[++n] = key; peer[key] = label " " $5 }
			if ($5 !~ /^0*$/) peer[label " " $5] = key
			if ($4 == 3 && drained) $12 = "drained"
			flow[key] = $0; wanted[$6]
			next
		}
		is_now && $1 == "owner" && $2 in wanted && last[$2] != $3 {
			owners[$2] = owners[$2] " " (last[$2] = $3)
			command[$3] = substr($0, length($1 $2 $3) + 4)
		}
		END {
			split("wait spill bypass leave", modes, " ")
			room = screen == "" ? 20 : int((lines - 7) / 3); if (room < 1) room = 1
			pairs_room = screen == "" ? 20 : lines - 7 - room; if (pairs_room < 1) pairs_room = 1
			wide = screen == "" || columns >= 140
			for (i = 1; i <= n; i++) {
				key = order[i]; split(flow[key], f, " ")
				other = peer[key] in flow ? peer[key] : ""
				server = f[7] ? other : key
				port = f[7] ? f[16] : f[14]
				if (f[7] && other != "") { split(flow[other], g, " "); port = g[14] }
				m[key] = since(f[8], messages[key]); b[key] = since(f[9], bytes[key])
				t[key] = since(f[10] - f[8], sent[key] - messages[key])
				u[key] = f[17] == "" ? "" : since(f[17], by_tcp[key])
				if (!(port in seen)) { ports[++found] = port; seen[port] }
				# A connection counts at its client, or at its server alone.
				if (f[7] || other == "") { connections++; conns[port]++ }
				M[port] += m[key]; B[port] += b[key]; T[port] += t[key]; U[port] += u[key]
				if (f[17] != "") tcp_known[port]
				if (f[3] > 0) unread[port] += f[3]
				if (f[12] != "-") { if (!((port, f[12]) in why)) whys[port] = whys[port] " " f[12]; why[port, f[12]]++ }
				if (server != "" && !(port in program)) {
					split(flow[server], g, " ")
					if (split(owners[g[6]], pid, " ")) program[port] = command[pid[1]]
				}
				rank("pairs", key, seconds > 0 ? m[key] + t[key] + (b[key] + u[key]) / 1e9 : f[10], pairs_room)
			}
			for (i = 1; i <= found; i++) {
				port = ports[i]
				all_m += M[port]; all_b += B[port]; all_t += T[port]; all_u += U[port]; all_unread += unread[port]
				rank("ports", port, M[port] + T[port] + conns[port] / 1e9, room)
			}
			if (json != "") {
				printf "{\"version\":1,\"time\":%s,\"seconds\":%.2f,\"lookSeconds\":%.2f,\"spliceGuard\":%s,\"generations\":[%s],\"connections\":%d,\"newConnections\":%.1f,%s,\"unread\":%.0f,\"ports\":[", quote(clock), seconds, took / 100, quote(guard), list, connections, fresh, rates(all_m, all_b, all_t, all_u), all_unread
				for (i = 1; i <= held["ports"]; i++) {
					port = best["ports", i]
					printf "%s{\"port\":%s,\"program\":%s,\"connections\":%d,%s,\"unread\":%.0f,\"why\":%s}", (i > 1 ? "," : ""), port, port in program ? quote(program[port]) : "null", conns[port], rates(M[port], B[port], T[port], port in tcp_known ? U[port] : ""), unread[port], members_of(port)
				}
				printf "],\"otherPorts\":%d,\"directions\":[", found - held["ports"]
			} else {
				if (screen != "") printf "\033[H"
				put(sprintf("socket-bypass top  %s", clock) (screen != "" ? sprintf("  every %d s, q quits", interval) : "") (took > interval * 100 ? sprintf("  a look takes %.1f s", took / 100) : "") "  " (names == "" ? "nothing serves" : names))
				put(sprintf("%d connections, %s new/s  bypass %s msg/s %s B/s  TCP %s msg/s  unread %s B  splice guard %s", connections, short(fresh), short(all_m), short(all_b), short(all_t), short(all_unread), guard))
				if (!n) put("no connection is enrolled")
				else {
					put("")
					put(sprintf("%5s  %-15s %7s %9s %6s %6s %6s %6s  %s", "PORT", "PROGRAM", "CONNS", "BYPASS/s", "B/s", "TCP/s", "B/s", "UNREAD", "WHY NOT"))
				}
				for (i = 1; i <= held["ports"]; i++) {
					port = best["ports", i]
					put(sprintf("%5s  %-15s %7d %9s %6s %6s %6s %6s  %s", port, cut(port in program ? program[port] : "?", 15), conns[port], short(M[port]), short(B[port]), short(T[port]), port in tcp_known ? short(U[port]) : "?", short(unread[port]), reasons_of(port)))
				}
				if (found > held["ports"]) put(sprintf("%5s  and %d more", "", found - held["ports"]))
				if (n) put("")
				if (!wide) { most = int((columns - 53) / 2); if (most > 21) most = 21; if (most < 9) most = 9 }
			}
			for (i = 1; i <= held["pairs"]; i++) {
				key = best["pairs", i]; split(flow[key], f, " ")
				other = peer[key] in flow ? peer[key] : ""
				its = ""
				if (other != "") { split(flow[other], g, " "); its = g[3] }
				left[i] = end_of(key); right[i] = end_of(other, place(address(f[15]), f[16]))
				if (json != "") {
					printf "%s{\"from\":%s,\"to\":%s,\"state\":\"%s\",%s,\"unread\":%s,\"why\":%s}", (i > 1 ? "," : ""), quote(left[i]), quote(right[i]), modes[f[4] + 1], rates(m[key], b[key], t[key], u[key]), (its == "" || its < 0 ? "null" : its), (f[12] == "-" ? "null" : quote(f[12]))
					continue
				}
				if (!wide) right[i] = cut(right[i], most)
				if (length(left[i]) > widest) widest = length(left[i])
				if (length(right[i]) > wider) wider = length(right[i])
				rest[i] = sprintf("%9s %6s %6s %6s %6s  %s", short(m[key]), short(b[key]), short(t[key]), (u[key] == "" ? "?" : short(u[key])), (its == "" || its < 0 ? "?" : short(its)), f[12] (f[12] != "-" && wide ? " (" modes[f[4] + 1] ")" : ""))
			}
			if (json != "") { printf "],\"otherDirections\":%d}\n", n - held["pairs"]; exit }
			if (widest < 4) widest = 4
			if (n) put(sprintf("%-" widest "s  %-" wider "s %9s %6s %6s %6s %6s  %s", "FROM", "TO", "BYPASS/s", "B/s", "TCP/s", "B/s", "UNREAD", "WHY NOT"))
			for (i = 1; i <= held["pairs"]; i++) put(sprintf("%-" widest "s  %-" wider "s %s", left[i], right[i], rest[i]))
			if (screen == "" && n > held["pairs"]) print "and " n - held["pairs"] " more directions"
			if (screen != "") printf "\033[J"; else print ""
		}'
}

# Prints what flows lists, and how many connections each generation has enrolled so far.
look_at_rates() {
	list_all_flows
	add_owners
	say "$lines"
	for instance in $instances; do
		for folder in "$B/$instance"/*; do
			{ [ ! -L "$folder" ] && [ -e "$folder/maps/counters" ]; } || continue
			its=$(count_all "$folder" 2>&1 && say "$counts") || skip_gone "$folder" "$its" || continue
			say "$its" | sed -n "s/^pairs /counter $instance ${folder##*/} /p"
		done
	done
	say "guard $(splice_way)"
}

read_ticks() { read -r up _ </proc/uptime && ticks=${up%.*}${up#*.}; } # -> $ticks, 0.01 s each

enter_screen() {
	screen=
	{ [ -t 1 ] && [ -z "$json" ] && [ "${TERM:-dumb}" != dumb ]; } || return 0
	modes=$(stty -g 2>/dev/null </dev/tty) || return 0
	cleanup="leave_screen; $cleanup"
	screen=1
	# A read of the terminal answers after 0.2 s, or at a key.
	stty -icanon -echo min 0 time 2 susp undef quit undef </dev/tty
	printf '\033[?1049h\033[?25l'
}

leave_screen() {
	[ -n "$screen" ] || return 0
	screen=
	printf '\033[?25h\033[?1049l'
	stty "$modes" </dev/tty
}

# Waits until $deadline, or for the key that quits.
pause_top() {
	while :; do
		if [ -n "$screen" ]; then
			key=$(dd bs=1 count=1 2>/dev/null </dev/tty) || exit 1
			case $key in q | Q) exit ;; esac
		fi
		read_ticks
		[ "$ticks" -lt "$deadline" ] || return 0
		[ -z "$screen" ] || continue
		rest=$((deadline - ticks))
		[ "$rest" -lt 100 ] || rest=100
		sleep "$((rest / 100)).$((rest / 10 % 10))$((rest % 10))" 2>/dev/null || sleep 1
	done
}

cmd_top() {
	one=$instance before='' began='' shown=0 size='24 80'
	# What main ignores would leave a closed terminal or a reader that has gone unnoticed.
	trap 'exit 129' HUP
	trap 'exit 131' QUIT
	trap 'exit 141' PIPE
	trap 'exit 143' TERM
	enter_screen
	read_ticks
	end=$((ticks + ${seconds:-0} * 100))
	while :; do
		read_ticks
		start=$ticks instance=$one
		seen=$(look_at_rates 2>&1) || {
			leave_screen
			say "${seen##*"$nl"}" | shorten >&2
			exit 1
		}
		read_ticks
		took=$((ticks - start))
		if [ -n "$screen" ]; then
			size=$(stty size 2>/dev/null </dev/tty)
			case $size in '' | 0* | *' 0') size='24 80' ;; esac
		fi
		if [ -n "$before$screen" ]; then
			if [ -n "$screen" ]; then clock=$(date +%T); else clock=$(date -u +%Y-%m-%dT%H:%M:%SZ); fi
			between=$((start - ${began:-$start}))
			say "$before${nl}now $((between / 100)).$((between / 10 % 10))$((between % 10))$nl$seen" | show_top || exit
		fi
		[ -z "$before" ] || shown=$((shown + 1))
		[ "$shown" != "$count" ] || return 0
		[ -z "$seconds" ] || [ "$ticks" -lt "$end" ] || return 0
		before=$seen began=$start deadline=$((start + interval * 100))
		pause_top
	done
}
