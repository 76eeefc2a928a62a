# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Encodes a policy into the bytes that bpf/policy.h reads.

encode_policy() { # EVERYTHING PORTS CIDRS; prints 2320 bytes as hex words, or why it cannot
	everything=$1 ports=$2 cidrs=$3 awk '
		function fail(what) { print "policy: expected " what | "cat >&2"; exit 1 }
		function byte(v) { printf "%02x ", v; length_++ }
		function u16(v) { byte(v % 256); byte(int(v / 256)) }
		function pad(n) { while (length_ < n) byte(0) }
		function is(text, most) { return text ~ /^[0-9]+$/ && length(text) < 6 && text + 0 <= most }
		function v4(text,   part, i) { # writes a[12..15]
			if (split(text, part, /[.]/) != 4) return 0
			for (i = 1; i <= 4; i++) {
				if (!is(part[i], 255) || part[i] ~ /^0./) return 0
				a[11 + i] = part[i]
			}
			return 1
		}
		function words(text, at,   part, n, i, k, v) { # into a[at..] -> its end, or 99
			n = split(text, part, /:/)
			for (i = 1; i <= n; i++) {
				if (part[i] !~ /^[0-9a-f]+$/ || length(part[i]) > 4 || at > 14) return 99
				for (v = 0; part[i] != ""; part[i] = substr(part[i], 2)) v = v * 16 + index("123456789abcdef", substr(part[i], 1, 1))
				a[at++] = int(v / 256); a[at++] = v % 256
			}
			return at
		}
		function v6(text,   at, n, i, tail) {
			if (text ~ /[.]/) { # a dotted tail stands for two words
				for (at = length(text); substr(text, at, 1) != ":"; at--) if (at < 2) return 0
				if (!v4(substr(text, at + 1))) return 0
				text = substr(text, 1, at) sprintf("%x:%x", a[12] * 256 + a[13], a[14] * 256 + a[15])
			}
			at = index(text, "::")
			if (!at) return words(text, 0) == 16
			tail = words(substr(text, at + 2), 0)
			if (tail > 14) return 0
			for (i = 0; i < tail; i++) end[i] = a[i]
			n = words(substr(text, 1, at - 1), 0)
			if (n + tail > 14) return 0
			for (i = n; i < 16; i++) a[i] = i < 16 - tail ? 0 : end[i - 16 + tail]
			return 1
		}
		BEGIN {
			ranges = split(ENVIRON["ports"], port, /,/)
			nets = split(tolower(ENVIRON["cidrs"]), cidr, /,/)
			if (ranges > 64 || nets > 64) fail("at most 64 ports and 64 CIDRs, found " ranges " and " nets)
			byte(ENVIRON["everything"]); pad(4); byte(ranges); pad(8); byte(nets); pad(12)
			bit[3260] = 1; bit[860] = 2; bit[2049] = 4; bit[10809] = 8 # is_taken_over()
			for (i = 1; i <= ranges; i++) { named += bit[port[i]]; bit[port[i]] = 0 }
			byte(named); pad(16)
			for (i = 1; i <= ranges; i++) {
				n = split(port[i], p, /-/)
				if (n == 1) p[++n] = p[1]
				if (n != 2 || !is(p[1], 65535) || !is(p[2], 65535) || p[1] < 1 || p[1] + 0 > p[2] + 0) fail("a port (1 to 65535) or a range such as 8000-8999, found \"" port[i] "\"")
				u16(p[1]); u16(p[2])
			}
			pad(272)
			split("256 128 64 32 16 8 4 2 1", size, " ") # some awks have no ^
			for (i = 1; i <= nets; i++) {
				n = split(cidr[i], p, /\//)
				most = p[1] ~ /:/ ? 128 : 32
				bits = n == 1 ? most : p[2]
				for (j = 0; j < 12; j++) a[j] = j > 9 ? 255 : 0
				if (n < 1 || n > 2 || !is(bits, most) || !(most == 32 ? v4(p[1]) : v6(p[1]))) fail("a CIDR such as 10.0.0.0/8 or fd00::/8, found \"" cidr[i] "\"")
				bits += 128 - most
				for (j = 0; j < 16; j++) {
					n = bits - 8 * j; m[j] = size[n < 0 ? 1 : n > 8 ? 9 : n + 1]
					byte(a[j] - a[j] % m[j])
				}
				for (j = 0; j < 16; j++) byte(256 - m[j])
			}
			pad(2320)
		}'
}
