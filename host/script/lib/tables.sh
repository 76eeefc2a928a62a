# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# The tables of verbs and flags, by which the command line is parsed and help is printed.

# Kind, name, help. The function of a verb is cmd_ and its words, joined by `_`. A `create` or
# `delete` is a step of a stack; a `switch` changes what serves; a `report` changes nothing and
# takes no lock.
verb_table() {
	cat <<'END'
create|apply|all of these steps, in this order:
create|object install|preflight, then the files of a generation
create|map create|the pinned sockhash
create|program load|track or redirect: the pinned sock_ops or sk_msg program
create|verdict attach|sk_msg on the sockhash
create|selftest|proof on this kernel, in a private cgroup
create|policy set|what may be bypassed; live
create|attach|sock_ops on the cgroup and the boot unit; takes over from the serving generation
delete|remove|undo everything; so does:
delete|object remove|
delete|detach|drain, take off and unpin, but keep the files; so do:
delete|verdict detach|
delete|program unload|track or redirect
delete|map remove|
report|preflight|tell what is missing or in the way; with --ports (--cidrs) also who listens there and splices; mounts bpffs if need be
report|status|what is declared, what is there, what differs
report|metrics|OpenMetrics text of the same and the counters
report|flows|each enrolled connection: its ends, processes, state, counts, and why it is not redirected
report|bench|plain TCP, bypass and Unix sockets on this host, in a private cgroup
switch|drain|back to TCP with every connection kept
switch|resume|and to the bypass again
switch|adopt|enrol open connections that were there before the attach; answers how many, and why not others
switch|boot start|what the boot unit runs: all steps again, as they were declared, from the files that are here
report|help|this text
END
}

# Name, rule for the value (`switch`: takes none), default, name of the value in help, help.
flag_table() {
	cat <<'END'
instance|name||NAME|a-z, 0-9 and dashes
generation|generation||DIGEST|12 hex digits
owner|text||TEXT|who installs
take-over|switch|||create although another owner or instance is there
force|switch|||remove although another owner's; adopt on any kernel
cgroup|text|/|PATH|below the cgroup v2 mount; / is the whole host
state-dir|path|/var/lib/socket-bypass|DIR|
from|text||DIR|the unpacked bundle, default the script's folder
digest|text||TEXT|object install: of what was sent, so that another bundle is another line
sockets|number|65536|N|room for enrolled sockets
pending|number|8192|N|room for connections being paired
everything|switch|||every port and address; or:
ports|text||6379,8000-8999|860, 2049, 3260 and 10809 only where a port names them
cidrs|text||10.0.0.0/8,fd00::/8|
enabled|bool|true|BOOL|false: installed but drained
boot|bool|true|BOOL|false: no boot unit; have something else run boot start
queue-bytes|number|0|N|one reader may leave unread; 0: 4 MiB
refresh-seconds|number|0|N|a message by TCP each way at least so often; 0: 30 to 300 s, by kernel
drain-seconds|number|10|N|wait for unread bytes before detaching
timeout|number|30|N|selftest: seconds
epoch|number||N|a step keeps this number; status tells it, and one more where the step has drifted
seconds|number|30|N|bench: in all, at least 6
off|switch|||selftest: skip it
compile|switch|||object install: compile here
json|switch|||status, flows, adopt, bench: as JSON
adopt|switch|||attach: then adopt; a line on stderr says what came of it
splice-guard|guard|auto|WORD|protects programs that splice where the kernel lets it, else refuses --everything; require, off
textfile|text||DIR|metrics: into DIR/socket-bypass.prom, for the textfile collector of node-exporter
END
}
