# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Counters, which each processor has its own of.

count_all() { # FOLDER [MAP NAMES] -> $counts: name and value a line
	must map dump pinned "$1/maps/${2:-counters}"
	counts=$(say "$out" | awk -v names="${3:-$counter_names}" '
		function number(text,   n, byte, v) { # "0x01","0x00",...
			for (n = split(text, byte, /","/); n > 0; n--) {
				sub(/.*0x/, "", byte[n])
				v = v * 256 + index("123456789abcdef", substr(byte[n], 1, 1)) * 16 + index("123456789abcdef", substr(byte[n], 2, 1))
			}
			return v
		}
		{
			split(names, name, " ")
			for (i = split($0, entry, /"key":\[/); i > 1; i--) {
				sub(/"formatted".*/, "", entry[i])
				key = number(substr(entry[i], 1, 27)) + 1
				n = split(entry[i], cpu, /"value":\[/)
				for (j = 2; j <= n; j++) total[key] += number(substr(cpu[j], 1, 55))
			}
			for (i = 1; i in name; i++) printf "%s %.0f\n", name[i], total[i]
		}')
}
