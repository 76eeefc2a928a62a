#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Tells how busy this machine is, and warns if that will make tests slow: `sh tools/setup/load.sh
# [PROC]`, where PROC is /proc by default.
set -eu

proc=${1:-/proc}
awk '
	FILENAME ~ /loadavg$/ { one = $1; five = $2; fifteen = $3 }
	FILENAME ~ /stat$/ && /^cpu[0-9]/ { cores++ }
	/^MemTotal:/ { total = $2 / 1048576 }
	/^MemAvailable:/ { free = $2 / 1048576 }
	END {
		printf "machine: load average %s, %s, %s (1, 5 and 15 minutes) on %d cores; %.1f of %.1f GiB of memory available\n",
			one, five, fifteen, cores, free, total
		if (one > cores) busy = "more runs than it has cores for"
		if (free < 2) busy = busy (busy ? ", and " : "") "little memory is left"
		if (busy) print "machine: BUSY: " busy "; the tests take longer, and a rare failure is likelier. It will be called flaky."
	}' "$proc/loadavg" "$proc/stat" "$proc/meminfo"
