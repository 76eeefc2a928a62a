# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# bench: makes a trial as the self-test does, and attaches it to the cgroup only while it measures
# the bypass.

# Another instance on a cgroup above would bypass the plain connections too, unless none of its
# ports is one that the kernel assigns to clients.
check_plain() {
	list_rivals
	for other in $rivals; do
		folder=$B/$other/$(recorded serving "$other") home=$state_dir/$other
		(get_knob "$folder" "$drain_knob") >/dev/null 2>&1 || [ -e "$folder/maps/knobs" ] || continue
		get_knob "$folder" "$drain_knob"
		[ "$value" -eq 0 ] || continue
		policy_of ports | tr , '\n' | awk -F - -v given="$(cat /proc/sys/net/ipv4/ip_local_port_range)" '
			BEGIN { split(given, range, " ") }
			$1 == "" || ($1 + 0 <= range[2] && $NF + 0 >= range[1]) { bad = 1 }
			END { exit bad || !NR }' || err "bench: expected nothing that bypasses its plain connections too, found instance $other on $(recorded cgroup "$other"); type 'socket-bypass drain --instance $other', and resume afterwards"
	done
}

# Reads lines of cell (mode, size, CPUs), way, and the probe's answer. Prints the medians of each,
# and the ratio to plain TCP.
show_bench() {
	awk -v json="$json" '
		function median(which,   i, j, n, v, t) {
			n = count[$0]
			for (i = 1; i <= n; i++) {
				match(answer[$0, i], "\"" which "\":[0-9.]*")
				t = substr(answer[$0, i], RSTART + length(which) + 3, RLENGTH - length(which) - 3)
				for (j = i; j > 1 && v[j - 1] + 0 > t + 0; j--) v[j] = v[j - 1]
				v[j] = t
			}
			return v[int((n + 1) / 2)]
		}
		{
			line = $5; $5 = ""
			if (!count[$0]++) order[++rows] = $0
			answer[$0, count[$0]] = line
		}
		END {
			row = "%-24s %-4s %-11s %10s %10s %8s %8s %7s\n"
			if (json == "") printf row, "", "CPUs", "", "1/s", "Mbit/s", "p50 us", "p99 us", "ratio"
			else row = ",\n{\"mode\":\"%s\",\"size\":%s,\"cpus\":%s,\"way\":\"%s\",\"rps\":%s,\"mbps\":%s,\"p50us\":%s,\"p99us\":%s,\"ratio\":%s}"
			for (i = 1; i <= rows; i++) {
				$0 = order[i]
				p50 = median("p50us"); p99 = median("p99us"); rps = median("rps")
				if ($4 == "plain") plain = rps
				ratio = sprintf("%.2f", plain > 0 ? rps / plain : 0)
				format = i == 1 && json != "" ? "[" substr(row, 3) : row
				if (json != "") printf format, $1, $2, $3, $4, rps, median("mbps"), p50 == "" ? "null" : p50, p99 == "" ? "null" : p99, ratio
				else printf row, ($1 == "rr" ? "request/response " : "stream ") ($2 < 1024 ? $2 " B" : $2 / 1024 " KiB"), $3, $4 == "unix" ? "Unix socket" : $4 == "plain" ? "plain TCP" : $4, rps, median("mbps"), p50, p99, ratio
			}
			if (json != "") print "]"
		}'
}

cmd_bench() {
	drop_leftovers
	for place in "$v2"/socket-bypass-bench-*; do
		! is_number "${place#"$v2"/socket-bypass-bench-}" || kill -0 "${place##*-}" 2>/dev/null || drop_place "$place"
	done
	check_cgroup
	find_probe
	make_place bench
	cleanup="drop_place '$place'; $cleanup"
	# Other instances are allowed here; check_plain refuses those that would distort the
	# results.
	cgroup=${place#"$v2"} cgroup_folder=$place take_over=1
	preflight
	check_plain
	trial=$B/_try-$$
	# drop_place comes before the removal of the pins, because a pod detaches the program by its
	# pin.
	cleanup="drop_place '$cgroup_folder'; ignore rm -rf '$trial'; ignore rmdir '$B'; $cleanup"
	make_folder "$B"
	make_trial "$(find_file track.bpf.o)" "$(find_file redirect.bpf.o)"
	cpus=$(sed -n 's/^Cpus_allowed_list:[^0-9]*//p' /proc/self/status | awk -F , '{ for (i = 1; i <= NF; i++) { split($i "-" $i, c, "-"); for (; c[1] + 0 <= c[2] + 0; c[1]++) if (++n < 3) print c[1] } }')
	cpu=${cpus%%"$nl"*} runs=
	for cell in 'rr 64' 'rr 16384' 'stream 65536'; do
		for last in $cpus; do
			for _ in 1 2 3; do
				for way in plain bypass unix; do
					[ "$way" != bypass ] || must cgroup attach "$cgroup_folder" sock_ops pinned "$trial/track" multi
					case $way in unix) transport=unix ;; *) transport=tcp ;; esac
					# On a busy host the shortest runs may get no CPU time.
					for ms in $((seconds * 1000 / 54)) 500 1000 2000; do
						answer=$(run_in_place "$cgroup_folder" "$probe" bench --mode "${cell% *}" --size "${cell#* }" --transport "$transport" --pin "$cpu,$last" --ms "$ms" 2>&1) && break
						[ "$ms" != 2000 ] || err "bench: a run of $way ($cell) failed: $answer"
					done
					[ "$way" != bypass ] || must cgroup detach "$cgroup_folder" sock_ops pinned "$trial/track"
					runs="$runs$cell $((1 + (cpu != last))) $way $answer$nl"
				done
			done
		done
	done
	count_all "$trial"
	case $counts in *'redirected_messages 0'*) err "bench: expected redirected messages, found none" ;; esac
	say "${runs%"$nl"}" | show_bench
}
