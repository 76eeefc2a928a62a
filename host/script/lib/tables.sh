# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# The tables of verbs and flags, by which the command line is parsed and help is printed.

# Kind, name, help. The function of a verb is cmd_ and its words, joined by `_`. A `create` or
# `delete` is a step of a stack; a `switch` changes what serves; a `report` changes nothing that
# serves and takes no lock.
verb_table() {
	cat <<'END'
create|apply|runs all of these steps, in this order:
create|object install|runs preflight, then installs the files of a generation
create|map create|makes and pins the sockhash
create|program load|track or redirect: loads and pins the sock_ops or the sk_msg program
create|verdict attach|attaches the sk_msg program to the sockhash
create|selftest|tests the programs on this kernel, in a private cgroup
create|policy set|sets what may be bypassed, live
create|attach|attaches the sock_ops program to the cgroup and writes the boot unit; takes over from the serving generation
delete|remove|undoes everything; so does:
delete|object remove|
delete|detach|drains, detaches and unpins, but keeps the files; so do:
delete|verdict detach|
delete|program unload|track or redirect
delete|map remove|
report|preflight|says what is missing or in the way; with --ports or --cidrs also which listening programs may be harmed; mounts bpffs if need be
report|status|shows what is declared, what is there, what differs
report|metrics|prints state and counters as OpenMetrics text
report|flows|shows each enrolled connection: its ends, processes, state, counts, and why it is not redirected
report|advise|watches all TCP connections of this host and tells which services would gain, which would be harmed, and which ports to list; loads nothing into the datapath
report|top|shows live, for each port and connection, how much takes the bypass, how much goes over TCP, and why; q quits
report|tap|writes the messages of a port that take the bypass to a file for Wireshark, for a while
report|bench|measures plain TCP, bypass and Unix sockets on this host, in a private cgroup
switch|drain|puts everything back on TCP and keeps every connection
switch|resume|undoes a drain
switch|adopt|enrols connections that were open before the attach; answers how many, and why not others
switch|boot start|runs all steps again as they were declared, from the files on this host; the boot unit calls it
report|version|prints the version of the package that this script belongs to
report|help|prints this text
END
}

# Name, rule for the value (`switch`: takes none), default, name of the value in help, help.
flag_table() {
	cat <<'END'
instance|name||NAME|a-z, 0-9 and dashes
generation|generation||DIGEST|12 hex digits
owner|text||TEXT|who owns the instance
take-over|switch|||takes over from another owner or instance
force|switch|||removes an instance of another owner; adopts on any kernel
cgroup|text|/|PATH|below the cgroup v2 mount; / is the whole host
state-dir|path|/var/lib/socket-bypass|DIR|
from|text||DIR|the unpacked bundle, default the script's folder
digest|text||TEXT|object install: digest of the sent files, so that another bundle makes another command line
sockets|number|65536|N|room for enrolled sockets
pending|number|8192|N|room for connections being paired
everything|switch|||every port and address; or:
ports|text||6379,8000-8999|includes 860, 2049, 3260 and 10809 only if listed by themselves, not in a range
cidrs|text||10.0.0.0/8,fd00::/8|
enabled|bool|true|BOOL|false: installed but drained
boot|bool|true|BOOL|false: no boot unit; have something else run boot start
queue-bytes|number|0|N|how much one reader may leave unread; 0: 4 MiB
refresh-seconds|number|0|N|sends a message over TCP each way at least this often; 0: every 30 to 300 s, by kernel
drain-seconds|number|10|N|how long to wait for unread bytes before detaching
timeout|number|30|N|selftest: time limit in seconds
epoch|number||N|number that a step keeps; status shows it, plus one if the step has drifted
seconds|number||N|bench: duration in all, at least 6; advise: how long to watch; tap: at most 3600; 30 for each; top: ends after so long
interval|number|2|N|top: seconds between two looks
count|number||N|top: ends after so many intervals
port|number||N|tap: of either end
write|text||FILE|tap, also as -w: a file that does not exist yet, or - for stdout
snaplen|number|1048576|N|tap: bytes kept of each message; 0: headers alone
max-bytes|number|268435456|N|tap: ends before the file is larger
max-rate|number|33554432|N|tap: bytes of the file a second; what is more is counted
off|switch|||selftest: skips the test
compile|switch|||object install: compiles on this host
json|switch|||status, flows, advise, top, adopt, bench: prints JSON
bench|path||FILE|advise: what bench --json printed on this host, for the gain to expect
adopt|switch|||attach: also adopts, and reports the result on stderr
splice-guard|guard|auto|WORD|auto: protects programs that splice if the kernel can, else refuses --everything; require: refuses a kernel that cannot; off
textfile|text||DIR|metrics: writes DIR/socket-bypass.prom for the textfile collector of node-exporter
END
}
