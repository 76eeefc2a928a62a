# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Turns the facts of observe.sh into JSON.

json_functions='
	BEGIN { for (i = 1; i < 32; i++) control[sprintf("%c", i)] = sprintf("\\u%04x", i) }
	function quote(s,   i, c, t) {
		for (i = 1; i <= length(s); i++) { c = substr(s, i, 1); t = t (c == "\"" || c == "\\" ? "\\" c : c in control ? control[c] : c) }
		return "\"" t "\""
	}
	function more(list, item) { return list (list == "" ? "" : ",") item }
'

to_json() {
	awk -F '\t' "$json_functions"'
		function value(i) { return substr($i, index($i, "=") + 1) }
		function member(i,   k) {
			k = index($i, "=")
			return substr($i, k - 1, 1) == ":" ? quote(substr($i, 1, k - 2)) ":" value(i) : quote(substr($i, 1, k - 1)) ":" quote(value(i))
		}
		function members(from,   i, t) {
			for (i = from; i <= NF; i++) t = more(t, member(i))
			return t
		}
		function paths(bypass, tcp) { return "{\"bypass\":" value(bypass) ",\"tcp\":" value(tcp) "}" }
		function close_generation() {
			if (g != "") generations = more(generations, "{" g ",\"tap\":" tap ",\"programs\":{" programs "},\"maps\":{" maps "},\"counters\":{" counters "},\"ports\":[" ports "],\"notRedirected\":{" reasons "}}")
			programs = maps = counters = ports = reasons = ""; tap = "null"
		}
		$1 == "instance" { head = members(2) }
		$1 == "epochs" { head = head ",\"epochs\":{" members(2) "}" }
		$1 == "step" { steps = more(steps, quote($2) ":{" members(3) "}") }
		$1 == "policy" { head = head ",\"policy\":{" members(2) "}" }
		$1 == "splice" { head = head ",\"spliceGuard\":{" members(2) ",\"programs\":[" ; guard = 1 }
		guard && $1 != "splice" && $1 != "splicer" { head = head splicers "]}"; guard = 0 }
		$1 == "splicer" { splicers = more(splicers, "{" members(2) "}") }
		$1 == "problem" { problems = more(problems, quote(substr($0, 14))) }
		$1 == "attached" { attached = more(attached, "{" members(2) "}") }
		$1 == "generation" { close_generation(); g = members(2) }
		$1 == "state" { g = g "," members(2) }
		$1 == "tap" { tap = "{" members(2) "}" }
		$1 == "program" { programs = more(programs, quote($2) ":{" members(3) "}") }
		$1 == "map" { maps = more(maps, quote($2) ":{" members(3) "}") }
		$1 == "counters" { counters = members(2) }
		$1 == "ports" { ports = more(ports, "{" member(2) "," member(3) ",\"messages\":" paths(4, 6) ",\"bytes\":" paths(5, 7) "}") }
		$1 == "reasons" { reasons = members(2) }
		$1 == "established" { established = more(established, "{" members(2) "}") }
		$1 == "unseen" { unseen = substr($0, 13) }
		END {
			close_generation()
			print "{" head ",\"established\":[" established "],\"unseen\":" quote(unseen) ",\"steps\":{" steps "},\"healthy\":" (problems == "" ? "true" : "false") ",\"problems\":[" problems "],\"attached\":[" attached "],\"generations\":[" generations "]}"
		}'
}
