#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# socket-bypass: TCP between two sockets of this host skips the TCP/IP stack.
#
# usage: sh socket-bypass VERB [FLAG]...
#
#   apply                          all of these, in this order:
#     object install               preflight, then the files of a generation
#     map create                   the pinned sockhash
#     program load track|redirect  the pinned sock_ops and sk_msg programs
#     verdict attach               sk_msg on the sockhash
#     selftest                     proof on this kernel, in a private cgroup
#     policy set                   what may be bypassed; live
#     attach                       sock_ops on the cgroup and the boot unit; takes over from the serving generation
#   remove                         undo all; also detach, verdict detach, program unload track|redirect, map remove, object remove
#   preflight                      tell what is missing or in the way; with --ports (--cidrs) also who listens there and splices; mounts bpffs if need be
#   status                         what is declared, what is there, what differs
#   metrics                        OpenMetrics text of the same and the counters
#   flows                          each enrolled connection: its ends, processes, state, counts, and why it is not redirected
#   bench                          plain TCP, bypass and Unix sockets on this host, in a private cgroup
#   drain, resume                  back to TCP with every connection kept, and again
#   adopt                          enrol open connections that were there before the attach; answers how many, and why not others
#   boot start                     what the boot unit runs: all steps again, as they were declared, from the files that are here
#
#   --instance NAME --generation DIGEST --owner TEXT     a-z 0-9 -; 12 hex digits; who installs
#   --take-over, --force           create although another owner or instance is there; remove although another owner's, adopt on any kernel
#   --cgroup PATH                  below the cgroup v2 mount, default / (the whole host)
#   --state-dir DIR, --from DIR    default /var/lib/socket-bypass; the unpacked bundle, default the script's folder
#   --sockets N, --pending N       room for enrolled sockets (65536) and for connections being paired (8192)
#   --everything, or --ports 6379,8000-8999 and/or --cidrs 10.0.0.0/8,fd00::/8; 860, 2049, 3260 and 10809 only where a port names them
#   --enabled BOOL                 false: installed but drained
#   --boot BOOL                    false: no boot unit; have something else run boot start
#   --refresh-seconds N            a message by TCP each way at least so often, default 0: 30 to 300 s, by kernel
#   --queue-bytes N                one reader may leave unread, default 0: 4 MiB
#   --drain-seconds N              wait for unread bytes before detaching, default 10
#   --off, --timeout N             selftest: skip it; bound in seconds (30)
#   --compile, --json              object install: compile here; status, flows, adopt, bench: as JSON
#   --adopt                        attach: then adopt; a line on stderr says what came of it
#   --splice-guard WORD            object install, selftest, attach: auto (default) protects programs that splice where the kernel lets it, and where it
#                                  does not, refuses --everything; require, off
#   --epoch N                      a step keeps this number; status tells it, and one more where the step has drifted
#   --textfile DIR                 metrics: into DIR/socket-bypass.prom, for the textfile collector of node-exporter
#   --seconds N                    bench: in all, default 30, at least 6
#
# Twice is as good as once. stdout answers, stderr talks. A step answers with its serial, which grows when it changed anything.
# Exit 1 refused or failed, 2 wrong usage, 3 not supported by this kernel. Waits at most 120 s for another run on this host;
# detach and remove then end within --drain-seconds and about 10 s more for each generation.

set -u
umask 077
export LC_ALL=C
# Internal: tests put stand-ins before the real tools with SOCKET_BYPASS_PATH.
export PATH="${SOCKET_BYPASS_PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin}"

map_names='claims counters knobs notes peers policies services sockets state'
shared_names='feeds past splicers'
counter_names='pairs redirected_messages redirected_bytes tcp_messages remote_skipped policy_skipped spills returns leaves gone unpaired refused_busy refused_full refused_other redirect_failed short_skipped rearmed drained refused_options doubtful_messages refused_deferred'
task_names='adopted seen enrolled other_cgroup policy special busy left noted full refused no_callbacks'
link=/usr/local/sbin/socket-bypass
# Internal: tests set these two where no systemd runs.
systemd=${SOCKET_BYPASS_SYSTEMD:-/run/systemd/system} unit_folder=${SOCKET_BYPASS_UNITS:-/etc/systemd/system}
nl='
'

# --- helpers ---

say() { printf '%s\n' "$*"; }
# What others chose (names of cgroups, targets of links) may hold what moves a cursor: C0, DEL, and C1 as UTF-8 has it.
c1=$(printf '\302[\200-\237]')
warn() { printf 'socket-bypass: %s\n' "$*" | sed "s/$c1/?/g" | tr '\000-\011\013-\037\177' '?' >&2; }
look_of() { printf '%s' "$(ls -ldn "$1")" | tr '\n' '?'; }
ignore() { "$@" >/dev/null 2>&1 || :; }

err() { # MESSAGE [EXIT]
	warn "$1"
	exit "${2:-1}"
}

usage() { err "$1; see sh $script help" 2; }

ensure() { # COMMAND...
	why=$("$@" 2>&1) || err "$*: expected it to work, found: ${why##*"$nl"}"
}

need() { # FLAG VALUE
	[ -n "$2" ] || usage "$verb: expected $1"
}

make_folder() {
	[ -d "$1" ] || ensure mkdir -p -m 0700 "$1"
}

# What undo holds runs when a verb fails or is stopped, latest first; what cleanup holds runs in any case.
undo_with() { undo="($*); $undo"; }

finish() {
	code=$?
	trap '' INT TERM
	trap - EXIT
	[ "$code" -eq 0 ] || eval "$undo"
	eval "$cleanup"
	exit "$code"
}

# --- bpftool: with -j its own errors come on stdout as {"error":...}, libbpf's log on stderr ---

bpf() { out=$("$bpftool" -j "$@" 2>&1); }

must() { bpf "$@" || refuse "$@"; }
refuse() { err "bpftool $1 $2 ${4:-$3}: expected it to work, found: $(explain)"; }

lookup() { # MAP-PIN KEY-BYTES: bpftool that may not see the map's types says so and ends well
	# shellcheck disable=SC2086 # one argument a byte
	must map lookup pinned "$1" key hex $2
	case $out in *'"value":["0x'*) ;; *) refuse map lookup pinned "$1" ;; esac
}

# The most telling line of $out: what the verifier said last, else libbpf, else bpftool.
explain() {
	say "$out" | awk '
		/^processed [0-9]+ insns/ && last !~ /BEGIN PROG LOAD LOG/ { verifier = last }
		/^libbpf: .*([Ff]ail|[Ee]rror|not |[Uu]nknown)/ && !libbpf { libbpf = $0 }
		/"error":/ { sub(/.*"error":"/, ""); sub(/".*/, ""); bpftool = $0 }
		{ last = $0 }
		END { print verifier ? verifier : libbpf ? libbpf : bpftool ? bpftool : last ? last : "no answer" }'
}

field() { # NAME: its first value in $out -> $value
	value=${out#*\""$1"\":}
	[ "$value" != "$out" ] || value=
	value=${value%%[],\}]*}
	value=${value#\"} value=${value%\"}
}

id_of() { # map|prog PIN -> $value, empty when there is no such pin
	value=
	[ -e "$2" ] || return 0
	if bpf "$1" show pinned "$2"; then
		field id
	elif [ -e "$2" ]; then # else a run beside this report has removed it between the two looks
		refuse "$1" show pinned "$2"
	fi
}

bytes() { # the bytes of the first value in $out, as hex words
	say "$out" | sed 's/.*"value":\["0x//; s/"\].*//; s/","0x/ /g'
}

# --- places ---

mount_of() { # TYPE FIRST-CHOICE
	awk -v type="$1" -v first="$2" '$3 == type && (path == "" || $2 == first) { path = $2 } END { print path }' /proc/mounts
}

find_places() {
	bpffs=$(mount_of bpf /sys/fs/bpf) v2=$(mount_of cgroup2 /sys/fs/cgroup)
	case $bpffs in *[!a-zA-Z0-9/_-]*) err "bpffs: expected a plain mount point, found $bpffs" ;; esac
	# A pod is given our folder of its node's bpffs and nothing beside it.
	bpffs=${bpffs%/socket-bypass}
	B=${bpffs:-/no-bpffs}/socket-bypass S=$B/_splice
	# Ubuntu's bpftool is a wrapper that fails under a kernel it has no package for; any of the real ones will do.
	for tool in bpftool /usr/lib/linux-tools/*/bpftool /usr/lib/linux-tools-*/bpftool; do
		"$tool" version >/dev/null 2>&1 && bpftool=$tool && break
	done
}

mount_bpffs() {
	[ -z "$bpffs" ] || return 0
	mount -t bpf -o mode=0700,nosuid,nodev,noexec bpf /sys/fs/bpf || return
	warn "note: no bpffs was mounted; mounted one at /sys/fs/bpf with mode=0700"
	bpffs=/sys/fs/bpf B=/sys/fs/bpf/socket-bypass S=$B/_splice
}

machine() { uname -m | sed 's/^arm64$/aarch64/'; }

find_file() ( # NAME [FOLDER]: in a generation's folder, else in the nearest, first in that of the script that runs
	for folder in "${2:-}" "$from" "$here" "$home/$generation" "$home/$(kept declared)" "$here/$(cat "$here/declared" 2>/dev/null)" "$home/current" "$home"/* "$here/current"; do
		[ -f "$folder/$1" ] && say "$folder/$1" && return
	done
	return 1
)

find_probe() { # [FOLDER]
	probe=$(find_file "probe-$(machine)" "${1:-}") || err "probe-$(machine): expected it in $here or $home, found none; this host is of type $(machine): declare it so (machine), or run object install again"
}

# --- who may have written here ---

# Root's own, no link, not writable by others. A sticky folder keeps others from replacing what is there, and not from making it
# anew when a cleaner has emptied /tmp; so it will do only for what was unpacked just now.
is_safe() ( # PATH [sticky]
	sticky=${2:-}
	# shellcheck disable=SC2046 # split on purpose: mode, links, user
	set -f -- $(ls -ldn "$1" 2>/dev/null)
	case $sticky${3:-}${1:-} in
	0[d-]????-??-* | sticky0[d-]????-??-* | sticky0d????????[tT]*) ;;
	*) return 1 ;;
	esac
)

unsafe_ancestor() ( # PATH [sticky]
	path=$1
	while :; do
		if [ -e "${path:-/}" ] || [ -L "$path" ]; then
			is_safe "${path:-/}" "${2:-}" || { say "${path:-/}" && return; }
		fi
		[ -n "$path" ] || return 0
		path=${path%/*}
	done
)

# What a flag names: the script that runs was trusted by whoever started it, with all that lies beside it.
unsafe_bundle() (
	[ "$from" != "$here" ] || return 0
	for path in "$from"/*; do
		[ ! -e "$path" ] || is_safe "$path" || { say "$path" && return; }
	done
	unsafe_ancestor "$from" sticky
)

unsafe_pin() { # the instance's first thing in bpffs that is not root's, is writable by others, or is a link but no record
	# shellcheck disable=SC2012 # busybox find has no -printf, and names in bpffs are plain
	ls -lnR "$B/$instance" 2>/dev/null | awk '
		/:$/ { folder = $0; sub(/:$/, "", folder) }
		/^[-bcdlps][-r][-w]/ {
			bad = /^l/ ? $9 !~ /^(owner|cgroup|serving|verdict)(-new)?$/ : /^.....w/ || /^........w/
			if (bad || $3 != 0) { print folder "/" $9; exit }
		}'
}

# A bpffs that was mounted without a mode is open to all (1777), so anybody may have made our folder first, and would make it
# again while root removes it.
claim_place() {
	[ -e "$B" ] || [ -L "$B" ] || return 0
	# shellcheck disable=SC2012 # one entry, of which only the number of its owner is read
	[ "$(ls -ldn "$B" | awk '{ print $3 }')" != 0 ] || return 0
	find_probe
	aside=$("$probe" claim "$B") || return 0
	[ -z "$aside" ] || warn "note: $B: expected root's own, found another user's; moved to $aside, which nothing of ours reads; look who made it, and mount bpffs with mode=0700"
}

check_trust() {
	bad=$(unsafe_bundle)
	[ -z "$bad" ] || err "$bad: expected what root runs to be root's own, not writable by others, and no link; found $(look_of "$bad"); choose another --from"
	bad=$(unsafe_ancestor "${home%/}")
	[ -n "$bad" ] || [ "$kind" != create ] || claim_place
	if [ -z "$bad" ] && { [ -e "$B" ] || [ -L "$B" ]; }; then
		is_safe "$B" && bad=$(unsafe_pin) || bad=$B
	fi
	# What a run beside this one has removed meanwhile is no danger.
	[ -e "$bad" ] || [ -L "$bad" ] || bad=
	[ -z "$bad" ] || err "$bad: expected root's own, not writable by others (sticky or not), and no link; found $(look_of "$bad"); remove it, correct it, or choose another --state-dir"
}

# --- records: in bpffs a link whose target is the text (it holds no files), in the state directory a file ---

recorded() { readlink "$B/${2:-$instance}/$1" 2>/dev/null; }
kept() { cat "$home/$1" 2>/dev/null; }

put_link() { # PATH TEXT
	[ "$(readlink "$1")" != "$2" ] || return 0
	ignore rm -f "$1-new"
	# Others may write to the folder of the link for hand-typed commands: into no folder that they put in the way.
	ensure ln -sn -- "$2" "$1-new"
	ensure mv -fT "$1-new" "$1"
	changed=1
}

record() { put_link "$B/$instance/$1" "$2"; }

keep() { # NAME TEXT
	[ "$(kept "$1")" != "$2" ] || return 0
	# Not every shell says that the disk is full, nor by its status.
	why=$( (say "$2" >"$home/$1-new") 2>&1)
	[ "$(cat "$home/$1-new" 2>/dev/null)" = "$2" ] || err "$home/$1: expected to write it, found: ${why:-less than was written}; is the disk full?"
	ensure mv -f "$home/$1-new" "$home/$1"
	changed=1
}

# --- owner ---

owner_recorded() { recorded owner || kept owner || :; }

stack_of() ( # OWNER: its first two words, project and stack
	rest=${1#*/*/}
	say "${1%"/$rest"}"
)

check_owner() {
	found=$(owner_recorded)
	[ -z "$found" ] || [ -n "$take_over" ] || [ "$(stack_of "$found")" = "$(stack_of "$owner")" ] ||
		err "instance $instance: expected owner $owner, found $found; type «socket-bypass remove --instance $instance», or say --take-over (takeOver: true)"
}

claim_owner() {
	check_owner
	make_folder "$home"
	keep owner "$owner"
	make_folder "$B/$instance"
	record owner "$owner"
}

is_mine() {
	found=$(owner_recorded)
	[ -z "$owner" ] || [ -z "$found" ] || [ "$found" = "$owner" ] || [ -n "$force" ]
}

# --- lock: one for the host, on our folder in bpffs; the probe takes it and runs us again ---

# A removed folder shows as "... (deleted)": then the lock is on something nobody else will see.
is_locked() (
	[ -n "${SOCKET_BYPASS_LOCK-}" ] || return
	for fd in "/proc/$$/fd"/*; do
		[ "$(readlink "$fd")" != "$B" ] || return 0
	done
	return 1
)

lock() { # the script's own arguments
	make_folder "$B"
	is_locked && return
	[ "${SOCKET_BYPASS_LOCK:-0}" -lt 20 ] || err "$B: expected to lock it, found it removed each time; run this again"
	find_probe
	export SOCKET_BYPASS_LOCK=$((${SOCKET_BYPASS_LOCK:-0} + 1))
	exec "$probe" lock "$B" 120 -- sh "$script" "$@"
}

# --- settings in maps; both machines that we serve are little-endian ---

get_knob() { # FOLDER N -> $value
	lookup "$1/maps/knobs" "0$2 00 00 00"
	value=0
	for byte in $(bytes | awk '{ for (i = NF; i > 0; i--) print $i }'); do
		value=$((value << 8 | 0x$byte))
	done
}

put_number() { # MAP-PIN N VALUE
	# shellcheck disable=SC2046 # one argument a byte
	must map update pinned "$1" key hex "0$2" 00 00 00 value hex $(printf '%016x\n' "$3" | awk '{ for (i = 15; i > 0; i -= 2) print substr($0, i, 2) }')
}

set_knob() { # FOLDER N VALUE
	get_knob "$1" "$2"
	[ "$value" -ne "$3" ] || return 0
	put_number "$1/maps/knobs" "$2" "$3"
	changed=1
}

# Whether FIONREAD of an enrolled socket counts what came by TCP; who cannot know lets the programs take the cautious way.
put_unread() { # FOLDER
	# The maps of an earlier version have no place for it.
	[ -e "$1/maps/feeds" ] || return 0
	find_probe "$home/$generation"
	case $("$probe" unread 2>&1) in exact) put_number "$1/maps/knobs" 5 1 ;; esac
}

encode_policy() { # EVERYTHING PORTS CIDRS: 2320 bytes as hex words, or the reason why not
	everything=$1 ports=$2 cidrs=$3 awk '
		function fail(what) { print "policy: expected " what | "cat >&2"; exit 1 }
		function byte(v) { printf "%02x ", v; length_++ }
		function u16(v) { byte(v % 256); byte(int(v / 256)) }
		function pad(n) { while (length_ < n) byte(0) }
		function is(text, most) { return text ~ /^[0-9]+$/ && length(text) < 6 && text + 0 <= most }
		function v4(text,   part, i) { # into a[12..15]
			if (split(text, part, /[.]/) != 4) return 0
			for (i = 1; i <= 4; i++) {
				if (!is(part[i], 255) || part[i] ~ /^0./) return 0
				a[11 + i] = part[i]
			}
			return 1
		}
		function words(text, at,   part, n, i, k, v) { # colon-separated, into a[at..]; where they end, or 99
			n = split(text, part, /:/)
			for (i = 1; i <= n; i++) {
				if (part[i] !~ /^[0-9a-f]+$/ || length(part[i]) > 4 || at > 14) return 99
				for (v = 0; part[i] != ""; part[i] = substr(part[i], 2)) v = v * 16 + index("123456789abcdef", substr(part[i], 1, 1))
				a[at++] = int(v / 256); a[at++] = v % 256
			}
			return at
		}
		function v6(text,   at, n, i, tail) {
			if (text ~ /[.]/) { # a dotted tail is two words
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
			bit[3260] = 1; bit[860] = 2; bit[2049] = 4; bit[10809] = 8 # is_taken_over() in bpf/policy.h
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

live_policy() { # FOLDER -> $slot in force, $live
	get_knob "$1" 1
	slot=$((value & 1))
	lookup "$1/maps/policies" "0$slot 00 00 00"
	live="$(bytes) "
}

put_policy() { # FOLDER HEX QUEUE-BYTES REFRESH-SECONDS DRAIN: the slot not in use, the selector, then the switch
	live_policy "$1"
	if [ "$live" != "$2" ]; then
		# shellcheck disable=SC2086 # one argument a byte
		must map update pinned "$1/maps/policies" key hex "0$((1 - slot))" 00 00 00 value hex $2
		set_knob "$1" 1 $((1 - slot))
	fi
	set_knob "$1" 2 "$3"
	set_knob "$1" 4 "$4"
	[ "$5" -eq 0 ] || drain_gently "$1"
	set_knob "$1" 0 "$5"
}

policy_of() { kept policy | sed -n "s/^$1=//p"; }
policy_declared() { encode_policy "$(policy_of everything)" "$(policy_of ports)" "$(policy_of cidrs)"; }

refresh_declared() { # not in the records of an earlier version
	set -- "$(policy_of refresh)"
	say "${1:-0}"
}

drain_declared() {
	case $(policy_of enabled) in false) say 1 ;; *) say 0 ;; esac
}

# --- what is pinned; a check fails where something is missing or is not ours ---

is_map() { # PIN TYPE KEY VALUE ENTRIES
	[ -e "$1" ] || return
	must map show pinned "$1"
	case $out in *"\"type\":\"$2\""*"\"bytes_key\":$3,\"bytes_value\":$4,\"max_entries\":$5,"*) ;; *) return 1 ;; esac
}

has_maps() { is_map "$1/sockets" sockhash 8 8 "$2" && is_map "$1/claims" lru_hash 16 16 "$3"; } # FOLDER SOCKETS PENDING

is_program() { # FOLDER PIN TYPE: of the maps that are pinned beside it
	[ -e "$1/$2" ] || return
	must prog show pinned "$1/$2"
	case $out in *"\"type\":\"$3\""*) ;; *) return 1 ;; esac
	used=${out#*\"map_ids\":[} used=,${used%%]*},
	for map in "$1/sockets" "$1/maps/state" "$1/maps/knobs" "$S/maps/feeds"; do
		# That of an earlier version knows nothing of it.
		[ "$map" != "$S/maps/feeds" ] || [ -e "$1/maps/feeds" ] || continue
		id_of map "$map"
		case $used in *",$value,"*) ;; *) return 1 ;; esac
	done
	for map in $map_names; do
		[ -e "$1/maps/$map" ] || return
	done
}

has_track() { is_program "$1" track sock_ops; }
has_redirect() { is_program "$1" redirect sk_msg; }

has_verdict() { # bpftool does not tell what is attached to a map: a record that dies with the map does
	id_of prog "$1/redirect"
	[ -n "$value" ] && [ "$(readlink "$1/verdict")" = "$value" ]
}

make_maps() { # FOLDER SOCKETS PENDING
	make_folder "$1"
	must map create "$1/sockets" type sockhash key 8 value 8 entries "$2" name sockets
	must map create "$1/claims" type lru_hash key 16 value 16 entries "$3" name claims
}

load_track() { # FOLDER OBJECT: pinned aside with its maps and renamed, the program last
	folder=$1 object=$2
	ignore rm -rf "$folder/track-new" "$folder/maps-new"
	set -- map name sockets pinned "$folder/sockets" map name claims pinned "$folder/claims"
	for map in $shared_names; do
		# A preflight looks before they are made.
		[ ! -e "$S/maps/$map" ] || set -- "$@" map name "$map" pinned "$S/maps/$map"
	done
	if ! bpf prog load "$object" "$folder/track-new" type sockops "$@" pinmaps "$folder/maps-new"; then
		# That of an earlier version: at boot, where an upgrade has stopped half-way.
		case $out in *"find map '"*) ;; *) err "bpftool prog load $folder/track-new: expected it to work, found: $(explain)" ;; esac
		ignore rm -rf "$folder/maps-new"
		must prog load "$object" "$folder/track-new" type sockops map name sockets pinned "$folder/sockets" map name claims pinned "$folder/claims" pinmaps "$folder/maps-new"
	fi
	ensure mv -T "$folder/maps-new" "$folder/maps"
	ensure mv -T "$folder/track-new" "$folder/track"
}

load_beside() { # FOLDER load|loadall OBJECT PIN WORD...: on the maps that are pinned there
	folder=$1 how=$2 object=$3 pin=$4
	shift 4
	for map in $map_names $shared_names; do
		[ ! -e "$folder/maps/$map" ] || set -- "$@" map name "$map" pinned "$folder/maps/$map"
	done
	bpf prog "$how" "$object" "$pin" "$@"
}

load_redirect() { # FOLDER OBJECT
	load_beside "$1" load "$2" "$1/redirect" type sk_msg || err "bpftool prog load $1/redirect: expected it to work, found: $(explain)"
}

attach_verdict() { # FOLDER
	must prog attach pinned "$1/redirect" msg_verdict pinned "$1/sockets"
	id_of prog "$1/redirect"
	put_link "$1/verdict" "$value"
}

# Makes the generation good up to a stage. What a killed run, a person or a reboot left incomplete is taken down and made anew,
# so a step also works when the steps before it have been undone.
build() { # maps|track|redirect|verdict
	shape=$(kept shape) mine=$B/$instance/$generation objects=$home/$generation
	[ -f "$objects/track.bpf.o" ] || err "$objects: expected the files of the generation, found none; run object install first"
	[ -n "$shape" ] || err "instance $instance: expected its map sizes, found none; run map create first"
	make_feeds "${shape% *}"
	[ "$1" != maps ] || warn_of_feeds "${shape% *}"
	if ! has_maps "$mine" "${shape% *}" "${shape#* }"; then
		retire "$mine"
	elif [ -e "$mine/maps" ] || [ -e "$mine/redirect" ]; then
		has_track "$mine" || retire "$mine"
	fi
	if [ ! -d "$mine" ]; then
		undo_with "rm -rf '$mine'"
		make_maps "$mine" "${shape% *}" "${shape#* }"
		changed=1
	fi
	[ "$1" != maps ] || return 0
	if [ ! -e "$mine/track" ]; then
		undo_with "cd '$mine' && rm -rf track track-new maps maps-new"
		load_track "$mine" "$objects/track.bpf.o"
		put_unread "$mine"
		changed=1
	fi
	[ "$1" != track ] || return 0
	if ! has_redirect "$mine"; then
		ignore rm -f "$mine/redirect" "$mine/verdict"
		undo_with "rm -f '$mine/redirect'"
		load_redirect "$mine" "$objects/redirect.bpf.o"
		changed=1
	fi
	[ "$1" != redirect ] || return 0
	if ! has_verdict "$mine"; then
		undo_with "bpf prog detach pinned '$mine/redirect' msg_verdict pinned '$mine/sockets'; rm -f '$mine/verdict'"
		attach_verdict "$mine"
	fi
}

# --- the splice guard: once for the host and every instance, in $S; docs/architecture.md tells how ---

splice_objects() { # the last is that of the system calls
	case $(machine) in
	x86_64) say splice_waitall.bpf.o splice_lsm.bpf.o splice_fmod.bpf.o splice_x86.bpf.o ;;
	*) say splice_waitall.bpf.o splice_lsm.bpf.o splice_fmod.bpf.o splice_arm64.bpf.o ;;
	esac
}

# Its records have names that links of ours had before it came, for a report of an earlier version
# looks at all that is pinned:
#	$S/serving           the way, and the folder of its programs and links
#	$S/for-I/serving     what instance I has declared

keys_of() { # MAP-PIN: the cookies in it, as hex
	"$bpftool" -j map dump pinned "$1" 2>/dev/null | awk 'BEGIN { RS = "{" } sub(/^"key":\[/, "") { gsub(/0x|[",]/, ""); print substr($0, 1, 12) }'
}

# Of sockets that no instance has: a run was killed, or an earlier version took them out. Who is in
# `sockets` was there before he was in `feeds`, so that one is read first.
prune_feeds() {
	[ -e "$S/maps/feeds" ] || return 0
	{
		keys_of "$S/maps/feeds"
		say -
		for pin in "$B"/*/*/sockets; do
			[ ! -e "$pin" ] || keys_of "$pin"
		done
	} | awk -v map="$S/maps/feeds" '
		$1 == "-" { there = 1; next }
		!there { known[$1] = 1; next }
		{ delete known[$1] }
		END {
			delete known["000000000000"]
			# A key that is not there any more would end the batch.
			for (cookie in known) {
				key = cookie "0000"; gsub(/../, "& ", key)
				print "map update pinned " map " key hex " key "value hex 00 00 00 00 00 00 00 00"
				print "map delete pinned " map " key hex " key
			}
		}' | ignore "$bpftool" batch file -
}

# The maps that each generation and the guard have in common. Where their pins were removed under a
# generation that serves, they come back from it.
make_feeds() { # SOCKETS
	make_folder "$S"
	make_folder "$S/maps"
	for map in $shared_names; do
		for pin in "$B"/*/*/maps/"$map"; do
			[ ! -e "$pin" ] || [ -e "$S/maps/$map" ] || ignore bpf map pin pinned "$pin" "$S/maps/$map"
		done
	done
	[ -e "$S/maps/feeds" ] || must map create "$S/maps/feeds" type hash key 8 value 8 entries $(($1 < 65536 ? 131072 : 2 * $1)) name feeds flags 1
	[ -e "$S/maps/past" ] || must map create "$S/maps/past" type lru_hash key 8 value 8 entries 8192 name past
	[ -e "$S/maps/splicers" ] || must map create "$S/maps/splicers" type lru_hash key 8 value 8 entries 16384 name splicers
	[ -e "$S/maps/programs" ] || must map create "$S/maps/programs" type lru_hash key 16 value 16 entries 1024 name programs
}

# It is made once for all instances, for the first of them.
warn_of_feeds() { # SOCKETS
	must map show pinned "$S/maps/feeds"
	room=${out#*\"max_entries\":} room=${room%%[,\}]*}
	[ "$room" -ge "$1" ] || warn "note: limits.sockets is $1, but the instances of this host have room for $room sockets that are redirected to: what finds none stays on TCP, until all instances have been removed once"
}

# Named after the program, or after its section by earlier versions of bpftool.
has_link() (
	for pin in "$1"/link-*; do
		[ -e "$pin" ] && return
	done
	return 1
)

# lsm, fmod_ret or syscall where it is attached, else none
splice_way() (
	way=$(readlink "$S/serving")
	if has_link "$S/${way#* }"; then say "${way% *}"; else say none; fi
)

# Whether recv(MSG_WAITALL) is noticed too.
is_waitall_seen() (
	for folder in "$S"/waitall-*; do
		has_link "$folder" && return
	done
	return 1
)

load_splice_guard() { # FOLDER OBJECT WORD...
	folder=$1 object=$2
	shift 2
	make_folder "$folder"
	bpf prog loadall "$object" "$folder/programs" "$@" || return
	for pin in "$folder/programs"/*; do
		out=$("$probe" attach "$pin" "$folder/link-${pin##*/}" 2>&1) || return
	done
}

load_shared_guard() { # FOLDER OBJECT
	for map in $shared_names programs; do
		set -- "$@" map name "$map" pinned "$S/maps/$map"
	done
	load_splice_guard "$@"
}

# A program of the LSM kind is attached also where no LSM of that kind is asked, so only a splice that is
# refused is proof.
is_splice_refused() { # FEEDS-PIN
	out=$("$probe" splice "$1" 2>&1)
	case $out in EINVAL* | full*) ;; *) return 1 ;; esac
}

# By trying each, with maps of its own -> $way, $object; where there is none, $reasons.
find_splice_way() { # FOLDER-TO-TRY-IN FOLDER-OF-OBJECTS
	find_probe
	reasons=
	# Internal: tests choose one with SOCKET_BYPASS_SPLICE_WAYS.
	for way in ${SOCKET_BYPASS_SPLICE_WAYS:-lsm fmod_ret syscall}; do
		case $way in
		lsm) object=splice_lsm.bpf.o ;;
		fmod_ret) object=splice_fmod.bpf.o ;;
		syscall) object=$(splice_objects) object=${object##* } ;;
		*) object=$way.bpf.o ;;
		esac
		if object=$(find_file "$object" "$2"); then
			ignore rm -rf "$1"
			load_splice_guard "$1" "$object" pinmaps "$1/maps" && is_splice_refused "$1/maps/feeds" && found=1 || found=
			[ -n "$found" ] || reasons="$reasons${reasons:+; }$way: $(explain)"
			ignore rm -rf "$1"
			[ -z "$found" ] || return 0
		else
			reasons="$reasons${reasons:+; }$way: not sent"
		fi
	done
	way=none
}

put_splice_guard() {
	attach_splice_guard
	put_waitall
}

# Also where it is attached already, for another instance may be of another version. What is new is
# attached before the old one goes.
attach_splice_guard() {
	shape=$(kept shape)
	# The step itself says what is missing.
	[ -n "$shape" ] || return 0
	keep splice-guard "$splice_guard"
	make_feeds "${shape% *}"
	make_folder "$S/for-$instance"
	put_link "$S/for-$instance/serving" "$splice_guard"
	settle_splice_guard
	prune_feeds
	[ "$splice_guard" != off ] || return 0
	find_probe "$home/$generation"
	# shellcheck disable=SC2046 # a name each
	objects=$(cd "$home/$generation" && sha256sum $(splice_objects) 2>/dev/null | sha256sum | sed 's/^\(............\).*/\1/')
	way=$(splice_way)
	case " ${SOCKET_BYPASS_SPLICE_WAYS:-lsm fmod_ret syscall} " in
	*" $way "*)
		case $(readlink "$S/serving")- in
		"$way $way-$objects-"*) ! is_splice_refused "$S/maps/feeds" || return 0 ;;
		esac
		;;
	esac
	cleanup="rm -rf '$S/try'; $cleanup"
	# All steps in one go ask twice.
	[ -z "$is_tried" ] || return 0
	find_splice_way "$S/try" "$home/$generation"
	former=$(readlink "$S/serving")
	if [ "$way" = none ]; then
		# That of another instance, which was sent more, or is of another version, is as good.
		[ "$(splice_way)" = none ] || ! is_splice_refused "$S/maps/feeds" || return 0
		[ "$splice_guard" = auto ] || err "spliceGuard: expected a way to protect programs that splice, found none: $reasons; use another kernel, or say auto or off and leave out their ports" 3
		keep splice-why "$reasons"
		is_tried=1
		return
	fi
	new=$way-$objects
	# What is attached does not refuse, so it goes when the new one is there.
	[ "${former#* }" != "$new" ] || new=$new-$$
	ignore rm -rf "$S/$new"
	if ! load_shared_guard "$S/$new" "$object" || ! is_splice_refused "$S/maps/feeds"; then
		ignore rm -rf "$S/$new"
		[ "$splice_guard" = auto ] || err "spliceGuard: expected to attach it by $way, found: $(explain)"
		keep splice-why "$way: $(explain)"
		is_tried=1
		return
	fi
	must map update pinned "$S/maps/feeds" key hex 00 00 00 00 00 00 00 00 value hex 01 00 00 00 00 00 00 00
	put_link "$S/serving" "$way $new"
	settle_splice_guard
}

# Beside it, because no splice needs it: where it cannot be there, the guard can, and a pod, which has
# no room for it, leaves that of the host.
put_waitall() {
	[ "$splice_guard" != off ] && [ "$(splice_way)" != none ] || return 0
	object=$(find_file splice_waitall.bpf.o "$home/$generation") || return 0
	new=waitall-$(sha256sum <"$object" | sed 's/^\(............\).*/\1/')
	! has_link "$S/$new" || return 0
	ignore rm -rf "$S/$new"
	if ! load_shared_guard "$S/$new" "$object"; then
		ignore rm -rf "$S/$new"
		return
	fi
	for pin in "$S"/waitall-*; do
		[ "$pin" = "$S/$new" ] || ignore rm -rf "$pin"
	done
}

# Forgets who is gone: when nobody wants the guard it is detached, and with the last its maps go.
settle_splice_guard() {
	[ -d "$S" ] || return 0
	wanted='' there='' its=
	for user in "$S"/for-*; do
		[ -d "$user" ] || continue
		if [ ! -d "$B/${user#"$S"/for-}" ]; then
			ignore rm -rf "$user"
		elif [ "$(readlink "$user/serving")" != off ]; then
			wanted=1
		fi
	done
	if [ -n "$wanted" ]; then
		its=$(readlink "$S/serving") its=${its#* }
	elif [ -L "$S/serving" ]; then
		ignore bpf map delete pinned "$S/maps/feeds" key hex 00 00 00 00 00 00 00 00
		ignore rm -f "$S/serving"
		changed=1
	fi
	# Of runs that were killed, too.
	ignore rm -rf "$S/try"
	for pin in "$S"/lsm-* "$S"/fmod_ret-* "$S"/syscall-* "$S"/waitall-*; do
		[ -d "$pin" ] || continue
		case ${pin##*/} in
		"$its") continue ;;
		waitall-*) [ -z "$its" ] || continue ;;
		esac
		ignore rm -rf "$pin"
		changed=1
	done
	for pin in "$S"/for-* "$B"/*/*/maps/feeds; do
		[ ! -e "$pin" ] || there=1
	done
	[ -n "$there" ] || drop_pins "$S"
}

try_splice_guard() {
	[ "$splice_guard" != off ] || return 0
	way=$(splice_way)
	[ "$way" = none ] || return 0
	find_splice_way "$trial" "$from"
	ignore rm -rf "$trial"
	[ "$way" != none ] || [ "$splice_guard" = auto ] || finding kernel "spliceGuard: expected a way to protect programs that splice, found none: $reasons"
}

# Whether a unit keeps splice from its processes already.
is_filtered() { # UNIT
	allowed=" $(systemctl show --property=SystemCallFilter -- "$1" 2>/dev/null | sed -n 's/^SystemCallFilter=~//p') "
	case $allowed in *' splice:'* | *' splice '*) ;; *) return 1 ;; esac
}

# Whether FIONREAD of an enrolled socket counts what was redirected to it (bpf/socket_bypass.h, COUNTS_REDIRECTED).
counts_redirected() { grep -q msg_tot_len /sys/kernel/btf/vmlinux; }

# A note for each program that listens on them and is known to be harmed, with what to do about it.
name_listeners() { # PORTS, or nothing for all; SPLICES and ASKS: 1 where who splices, or believes FIONREAD, is harmed
	find_probe
	listed=$("$probe" listeners "${1:-1-65535}" 2>&1)
	# 3proxy gives up at any errno, and pasta and passt do not read in another way; HAProxy 3.3 tries again at EINVAL.
	say "$listed" | splices=$2 asks=$3 release=$(uname -r) awk '
		function is_known(name) { return name ~ /^(docker-proxy|systemd-socket-proxyd|realm|sing-box|xray|v2ray)$/ || is_stubborn(name) }
		function is_stubborn(name) { return name ~ /^(3proxy|(pasta|passt)([.]avx2)?)$/ }
		function asks(name) { return name ~ /^(nginx|openresty|angie)$/ }
		function name_kind(kind) {
			if (ENVIRON["asks"] && (asks(name) || asks(program))) return "asks"
			if (!ENVIRON["splices"]) return ""
			if (kind == "splice") return "HAProxy with «option splice-*»"
			if (kind == "unread") return "HAProxy, whose configuration cannot be read: it splices with «option splice-*»"
			if (is_known(name) || is_known(program)) return "one that splices"
			return kind == "go" ? "one in Go, which splices where it passes on from one connection to another" : ""
		}
		/^probe: / { sub(/^probe: /, "note: "); print "-\t-\t-\t-\t" $0 }
		$1 == "listener" {
			port = $2; pid = $3; program = $7; name = $0
			for (i = 0; i < 7; i++) sub(/^[^ ]* /, "", name)
			found = name_kind($4)
			if ($4 == "plain" || found == "") next
			errno = found == "asks" || is_stubborn(name) || is_stubborn(program) ? "-" : found ~ /^HAProxy/ ? "ENOSYS" : "EINVAL"
			key = $6 "\t" errno "\t" $5 "\t" name "\t" found
			if (!(key in first)) { order[++n] = key; first[key] = pid }
			if (!((key, pid) in met)) { met[key, pid]; processes[key]++ }
			if (!((key, port) in met_port)) {
				met_port[key, port]
				if (++ports[key] < 9) list[key] = list[key] (ports[key] > 1 ? ", " : "") port
			}
		}
		END {
			for (i = 1; i <= n; i++) {
				key = order[i]; split(key, part, "\t")
				its = "port" (ports[key] > 1 ? "s " : " ") list[key] (ports[key] > 8 ? " and " ports[key] - 8 " more" : "")
				which = "process " first[key] (processes[key] > 1 ? " and " processes[key] - 1 " more" : "")
				what = "expected no program that splices where the kernel has no way for spliceGuard, found " part[5]
				if (part[5] == "asks") what = "expected a kernel whose FIONREAD counts what comes by the bypass (6.6.128, 6.12.75, 6.18.14, 7.0 or newer), found " ENVIRON["release"] ", where it stands still before longer requests"
				printf "%s\t%s\t%s\t%s\tnote: %s (%s, %s): %s\n", part[1], part[2], part[3], its, part[4], which, its, what
			}
		}' | while IFS='	' read -r unit errno filtered its what; do
		[ "$its" = - ] || what="$what; leave out $its"
		case $errno:$unit in
		-:*) ;;
		*:-) what="$what, or keep it from splicing (SystemCallFilter=~splice:$errno where it is a unit of systemd)" ;;
		*)
			[ "$filtered" = - ] || ! is_filtered "$unit" || continue
			what="$what, or type «systemctl edit $unit», write «[Service]» and below it «SystemCallFilter=~splice:$errno», and restart it"
			;;
		esac
		warn "$what"
	done
}

# All ports are those of every program, and nobody knows all of them.
is_exposed() { [ "$1$2" = 1true ] && [ "$3" != off ] && [ "$way" = none ]; } # EVERYTHING ENABLED WORD; $way

refuse_everything() {
	err "traffic.everything: expected a kernel with a way to protect programs that splice, found none ($reasons); list ports (traffic.ports) and leave out those of such programs, or say spliceGuard: \"off\" (--splice-guard off), at which they stand still or lose bytes" 3
}

check_everything() { # EVERYTHING ENABLED WORD -> $way
	way=$(splice_way)
	is_exposed "$@" || return 0
	make_folder "$S"
	cleanup="rm -rf '$S/try'; $cleanup"
	find_splice_way "$S/try" "$home/$generation"
	! is_exposed "$@" || refuse_everything
}

# Once a run, where they would be harmed.
warn_of_listeners() { # WORD; $way
	[ "$enabled" = true ] && [ -z "$is_warned" ] || return 0
	# A pod sees no process but its own.
	[ -z "${SOCKET_BYPASS_PLACE:-}" ] || return 0
	is_warned=1 splices='' asks=''
	[ "$way" != none ] || [ "$1" = off ] || splices=1
	counts_redirected || asks=1
	[ -z "$splices$asks" ] || name_listeners "$ports" "$splices" "$asks"
}

# Names of programs are anybody's choice; that of the self-test is left out.
observe_splice_guard() {
	declared=$(readlink "$S/for-$instance/serving") way=$(splice_way)
	reasons=
	[ "$way" != none ] || [ "${declared:-off}" = off ] || reasons=$(kept splice-why | tr '\t' ' ')
	if is_waitall_seen; then seen=true; else seen=false; fi
	fact splice "declared=${declared:-off}" "way=$way" "why=$reasons" "waitall:=$seen"
	# A run beside this one may take it away.
	if bpf map dump pinned "$S/maps/programs"; then
		say "$out" | awk '
			function byte(text) { return index("123456789abcdef", substr(text, 3, 1)) * 16 + index("123456789abcdef", substr(text, 4, 1)) }
			function number(from,   i, v) { for (i = from + 7; i >= from; i--) v = v * 256 + byte(at[i]); return v }
			{
				for (i = split($0, entry, /"key":\[/); i > 1; i--) {
					key = entry[i]; sub(/\].*/, "", key); gsub(/"/, "", key)
					value = entry[i]; sub(/.*"value":\[/, "", value); sub(/\].*/, "", value); gsub(/"/, "", value)
					n = split(key, at, ","); name = ""
					for (j = 1; j <= n && byte(at[j]); j++) { c = byte(at[j]); name = name (c < 33 || c > 126 || c == 34 || c == 92 ? "?" : sprintf("%c", c)) }
					split(value, at, ",")
					kept[name] += number(1); refused[name] += number(9)
				}
			}
			END { for (name in kept) if (name !~ /^probe-(x86_64|aarch64)$/) printf "splicer\tprogram=%s\tkept:=%.0f\trefused:=%.0f\n", name, kept[name], refused[name] }' | sort
	fi
	[ "${declared:-off}" != require ] || [ "$way" != none ] || problem "the splice guard is not attached"
}

# --- cgroups ---

# Every sock_ops program below the v2 root -> $hooks, a line each: id, flags (or none), path
list_hooks() {
	find_probe
	hooks=$("$probe" hooks "$v2" 2>&1) || err "$v2: expected to list what is attached in it, found: ${hooks##*"$nl"}"
	# The kernel may list one twice when others go beside it.
	hooks=$(say "$hooks" | awk '!met[$0]++')
}

places_of() { # PROGRAM-ID: the cgroups of $hooks that it is attached to
	say "$hooks" | sed -n "s/^$1 [^ ]* //p"
}

detach_program() { # PIN [CGROUP-FOLDER-TO-KEEP]
	id_of prog "$1"
	places=$(places_of "$value")
	while IFS= read -r place; do
		[ "${place:-${2:-}}" != "${2:-}" ] || continue
		# A cgroup that is gone has let go of it.
		bpf cgroup detach "$place" sock_ops pinned "$1" || [ ! -d "$place" ] || err "bpftool cgroup detach $place: expected it to work, found: $(explain); run this again"
		changed=1
	done <<-END
		$places
	END
}

# A program of ours that nothing pins any more: bpffs was unmounted, or somebody removed the pins.
is_lost() { # PROGRAM-ID -> $used, the ids of its maps
	bpf prog show id "$1" || return
	used=${out#*\"map_ids\":[} used=$(say "${used%%]*}" | tr , ' ')
	case $out in *'"name":"track_sockets"'*) ;; *) return 1 ;; esac
	for name in $map_names; do
		id_by_name "$name" || return
	done
}

id_by_name() { # NAME -> $value, among the maps of $used
	for value in $used; do
		bpf map show id "$value" || return
		case $out in *"\"name\":\"$1\""*) return ;; esac
	done
	return 1
}

list_ours() { # the sock_ops programs that any instance has pinned -> $ours, their ids
	ours=
	for track in "$B"/*/*/track; do
		id_of prog "$track"
		ours="$ours $value "
	done
}

# Where this instance was attached last. What is lost elsewhere may be anybody's.
kept_place() (
	place=$(kept cgroup)
	[ -z "$place" ] || say "$v2${place%/}"
)

# Pins them again, as a generation to be retired.
recover_lost() {
	lost_place=$(kept_place)
	[ -n "$lost_place" ] || return 0
	list_ours
	list_hooks
	for lost in $(say "$hooks" | place="$lost_place" awk '{ id = $1; sub(/^[^ ]* [^ ]* /, "") } $0 == ENVIRON["place"] { print id }'); do
		case $ours in *" $lost "*) continue ;; esac
		is_lost "$lost" || continue
		[ -n "$bpffs" ] || err "bpffs: expected one to pin sock_ops program $lost in, which is attached to $lost_place, found none; mount one at /sys/fs/bpf and run this again"
		warn "note: $lost_place: expected sock_ops program $lost to be pinned, found its pins gone; it is drained and detached"
		folder=$B/$instance/$(printf '%012x' "$lost")
		make_folder "$B/$instance"
		make_folder "$folder"
		make_folder "$folder/maps"
		for name in $map_names; do
			id_by_name "$name" || err "map $name of program $lost: expected it to be there, found none; run this again"
			[ -e "$folder/maps/$name" ] || must map pin id "$value" "$folder/maps/$name"
			case $name in sockets | claims) [ -e "$folder/$name" ] || must map pin id "$value" "$folder/$name" ;; esac
		done
		[ -e "$folder/track" ] || must prog pin id "$lost" "$folder/track"
	done
}

are_related() { # PATH PATH: the same, or one above the other
	case ${1%/}/ in "${2%/}"/*) return ;; esac
	case ${2%/}/ in "${1%/}"/*) return ;; esac
	return 1
}

clean_cgroup() {
	case /$cgroup/ in
	*/../* | */./*) usage "--cgroup: expected a path below the cgroup v2 mount, found $cgroup" ;;
	*.service/* | *.scope/*) usage "--cgroup: expected a slice, found $cgroup; the cgroup of a .service or .scope unit vanishes when it restarts: name the slice above" ;;
	esac
	cgroup=$(say "/$cgroup/" | sed 's://*:/:g; s:\(.\)/$:\1:')
	cgroup_folder=$v2${cgroup%/}
}

check_cgroup() {
	[ -n "$v2" ] || err "cgroup v2: expected a cgroup2 mount, found none; mount one, or boot with systemd.unified_cgroup_hierarchy=1" 3
	[ -d "$cgroup_folder" ] || err "--cgroup $cgroup: expected the folder $cgroup_folder (cgroup v2 is mounted at $v2), found none; create it, or name one that is there"
}

list_rivals() { # other instances whose cgroup is ours, above or below -> $rivals
	rivals=
	for other in "$B"/*/cgroup; do
		other=${other%/cgroup} other=${other##*/}
		if ! is_name "$other" || [ "$other" = "$instance" ]; then continue; fi
		# Nothing is recorded of one that is just being removed.
		its=$(recorded cgroup "$other") && are_related "$its" "$cgroup" && rivals="$rivals $other"
	done
	other=${rivals##* }
	return 0
}

check_rivals() {
	list_rivals
	[ -z "$rivals" ] || [ -n "$take_over" ] || err "cgroup $cgroup: expected no other instance on it, above or below, found $other on $(recorded cgroup "$other"); type «socket-bypass remove --instance $other», or say --take-over (takeOver: true)"
}

# --- drain and sweep ---

load_flows() { # FOLDER
	bpf prog load "$object" "$flows" type classifier map name sockets pinned "$1/sockets" map name peers pinned "$1/maps/peers" && return
	# That of an older generation does not look for peers.
	case $out in *"find map 'peers'"*) bpf prog load "$object" "$flows" type classifier map name sockets pinned "$1/sockets" ;; *) return 1 ;; esac
}

list_sockets() { # FOLDER -> $listed, in the words of that very generation
	its=$state_dir/${1#"$B"/}
	find_probe "$its"
	# A report may list them while a drain does.
	flows=$1/flows-$$
	object=$(find_file flows.bpf.o "$its") && load_flows "$1" && out=$("$probe" list "$flows" "$1/sockets" 2>&1)
	code=$? listed=$out
	ignore rm -f "$flows"
	return "$code"
}

count_keys() { # MAP-PIN
	# A value that is gone by the time it is looked up is an error inside the list.
	"$bpftool" -j map dump pinned "$1" 2>/dev/null | awk '/^[{]"error":/ { bad = 1 } { n += gsub(/"key":\[/, "") } END { if (!bad) print n + 0; exit bad }'
}

# A second in which each connection turns to TCP when its reader has taken everything (DRAIN_GENTLY in bpf/socket_bypass.h); the rest turn at once.
drain_gently() { # FOLDER
	get_knob "$1" 0
	[ "$value" -eq 0 ] && [ "$drain_seconds" -gt 0 ] && [ "$(count_keys "$1/sockets")" -ne 0 ] || return 0
	set_knob "$1" 0 2
	ensure sleep 1
}

# For bounds: the clock of the day may be set, back too, while we wait.
seconds_up() { read -r up _ </proc/uptime && say "${up%%.*}"; }

# Drains, then takes out every socket whose queues are empty; those that hold unread bytes get some time.
sweep() { # FOLDER -> $left, $unread
	drain_gently "$1"
	set_knob "$1" 0 1
	left=$(count_keys "$1/sockets") || left=-1
	unread=0 final=
	[ "$left" -ne 0 ] || return 0
	find_probe
	ensure "$probe" grace
	# A thread that was told to redirect is seen no more where another one sleeps in plain TCP on the same socket: let it end.
	ensure sleep 1
	deadline=$(($(seconds_up) + drain_seconds))
	while list_sockets "$1"; do
		# shellcheck disable=SC2046 # folder and three numbers
		set -- "$1" $(say "$listed" | awk 'NF > 1 { n[$2]++; n[0]++ } END { print n[0] + 0, n["idle"] + 0, n["unread"] + 0 }')
		left=$2 unread=$4
		[ "$2" -gt 0 ] && [ -z "$final" ] || return 0
		[ "$(seconds_up)" -lt "$deadline" ] || final=1
		# A socket that closed meanwhile ends the batch: the next round goes on.
		say "$listed" | awk -v map="$1/sockets" '$2 == "idle" { gsub(/../, "& ", $1); print "map delete pinned " map " key hex " $1 }' | ignore "$bpftool" batch file -
		prune_feeds
		[ "$3" -gt 0 ] || sleep 0.2 2>/dev/null || sleep 1
	done
	left=$(count_keys "$1/sockets") || left=0
	warn "note: ${1##*/}: expected to list its sockets, found: $(explain); $left stay"
}

# Drains a generation, takes it off its cgroups and unpins it. Sockets with unread bytes go on by TCP and keep the programs and
# maps in the kernel until they close.
retire() { # FOLDER
	[ -d "$1" ] || return 0
	changed=1 left=0 unread=0
	# A trial serves nobody, and the run that made it may be taking it down just now.
	[ "${1##*/}" = selftest ] || [ ! -e "$1/maps/knobs" ] || [ ! -e "$1/sockets" ] || sweep "$1"
	if [ -e "$1/track" ]; then
		list_hooks
		detach_program "$1/track"
	fi
	[ ! -L "$1/verdict" ] || ignore "$bpftool" prog detach pinned "$1/redirect" msg_verdict pinned "$1/sockets"
	drop_pins "$1"
	total_left=$((total_left + left)) total_unread=$((total_unread + unread))
	[ "$left" -eq 0 ] || warn "note: ${1##*/}: $left sockets stay enrolled and go on by TCP until they close; $unread of them hold unread bytes"
}

left_over() { [ "$total_left" -eq 0 ] || say " left=$total_left unread=$total_unread"; }

retire_instance() { # everything of it in bpffs
	for folder in "$B/$1"/*; do
		[ -L "$folder" ] || retire "$folder"
	done
	drop_pins "$B/$1"
}

drop_pins() { # FOLDER: a report may pin its program there just then
	for _ in 1 2 3 4 5 6 7 8 9; do
		rm -rf "$1" 2>/dev/null && return
		sleep 0.2 2>/dev/null || sleep 1
	done
	ensure rm -rf "$1"
}

# --- steps ---

serial_of() { kept "serials/$1" | sed 's/ .*//'; }

# A step's serial grows when it changed anything, when an attempt ended half-way, with its predecessor's and with each
# generation: so all behind a step that really ran runs again. It is a time where that is more: it grows too when the state was lost,
# and a snapshot that is put back and then changed never comes to a serial that was there before. A boot makes what was declared, so it is no change.
step() { # NAME PREDECESSOR FUNCTION...
	stage=serials/$1 changed=
	[ -d "$home" ] || undo_with undo_home
	[ -d "$B/$instance" ] || undo_with undo_pins
	make_folder "$home/serials"
	seen="$(serial_of "$2") $generation"
	unfinished=
	[ ! -e "$home/$stage-running" ] || changed=1 unfinished=1
	ensure touch "$home/$stage-running"
	shift 2
	"$@"
	undo=
	if [ "$verb" = 'boot start' ]; then
		[ -n "$unfinished" ] || ensure rm -f "$home/$stage-running"
		return 0
	fi
	[ -z "$epoch" ] || keep "epoch-${stage#*/}" "$epoch"
	serial=$(serial_of "${stage#*/}")
	[ "$(kept "$stage")" = "$serial $seen" ] || changed=1
	if [ -n "$changed" ]; then
		now=$(date +%s)
		serial=$((${serial:-0} < now ? now : serial + 1))
	fi
	keep "$stage" "$serial $seen"
	ensure rm -f "$home/$stage-running"
}

undo_home() {
	drop_link
	ignore rm -rf "$home"
	ignore rmdir "$state_dir"
}

# The link for hand-typed commands goes on to an instance that is left.
drop_link() {
	[ "$(readlink "$link")" = "$home/socket-bypass" ] || return 0
	ignore rm -f "$link"
	for other in "$state_dir"/*/socket-bypass; do
		[ "$other" = "$home/socket-bypass" ] || [ ! -f "$other" ] || (ignore put_link "$link" "$other")
	done
}

undo_pins() {
	ignore rm -f "$B/$instance/owner"
	ignore rmdir "$B/$instance"
	(settle_splice_guard)
	ignore rmdir "$B"
}

install_object() {
	[ -f "$from/socket-bypass" ] || err "--from $from: expected the unpacked bundle, found no socket-bypass in it"
	preflight
	claim_owner
	drop_leftovers
	new=$home/$generation-new
	ignore rm -rf "$new"
	cleanup="rm -rf '$new'; $cleanup"
	ensure mkdir -m 0700 "$new"
	[ -z "$compile" ] || sh "$from/build.sh" "$new" >&2 || err "build.sh: expected it to compile the objects, found the reason above"
	for file in socket-bypass track.bpf.o redirect.bpf.o flows.bpf.o adopt.bpf.o $(splice_objects) "probe-$(machine)"; do
		# Sent only where they are asked for.
		case $file in adopt.bpf.o | splice_*) [ -e "$from/$file" ] || continue ;; esac
		[ -e "$new/$file" ] || ensure cp "$from/$file" "$new/$file"
	done
	ensure chmod 0700 "$new/probe-$(machine)"
	"$new/probe-$(machine)" grace || err "$new/probe-$(machine): expected it to run, found the reason above; is $state_dir mounted noexec? choose another --state-dir"
	if [ "$(digest "$new")" != "$(digest "$home/$generation")" ]; then
		ignore rm -rf "$home/$generation"
		ensure mv -T "$new" "$home/$generation"
		changed=1
	fi
	ignore rm -rf "$new"
	keep files "$(digest "$home/$generation")"
	# Delete lines use this copy: no upgrade prunes it.
	keep socket-bypass "$(cat "$home/$generation/socket-bypass")"
	ensure chmod 0700 "$home/socket-bypass"
	# Somebody's own program, or another instance's script that is there, stays. Aside, for a link that cannot be made is no failure,
	# and one that another instance took along is no change of this step.
	[ -e "$link" ] || (ignore put_link "$link" "$home/socket-bypass")
	keep declared "$generation"
	# What no step behind this one looks at is no change for it.
	was=$changed
	for folder in "$home"/* "$B/$instance"/*; do
		g=${folder##*/}
		if is_generation "$g" && [ "$g" != "$generation" ] && [ "$g" != "$(recorded serving)" ] && [ "$g" != "$(readlink "$home/current")" ]; then
			retire "$B/$instance/$g"
			ensure rm -rf "$home/$g"
		fi
	done
	changed=$was
}

digest() (cd "$1" 2>/dev/null && sha256sum ./*)

drop_leftovers() { # of runs that were killed
	for folder in "$B"/_try-*; do
		kill -0 "${folder##*-}" 2>/dev/null || ignore rm -rf "$folder"
	done
	settle_splice_guard
	ignore rm -rf "$state_dir"/_removed-*
}

create_maps() {
	claim_owner
	keep shape "$sockets $pending"
	build maps
}

do_build() { claim_owner && build "$1"; }

set_policy() {
	claim_owner
	hex=$(encode_policy "$everything" "$ports" "$cidrs") || exit
	word=$(kept splice-guard)
	# Without a word nobody has looked for a way yet; attach will.
	if [ -n "$word" ]; then
		check_everything "$everything" "$enabled" "$word"
		[ "$verb" = 'boot start' ] || warn_of_listeners "$word"
	fi
	[ -L "$B/$instance/$generation/verdict" ] || build verdict
	# Saved for the next boot before it goes live.
	keep policy "everything=$everything${nl}ports=$ports${nl}cidrs=$cidrs${nl}enabled=$enabled${nl}queue=$queue_bytes${nl}refresh=$refresh_seconds"
	put_policy "$B/$instance/$generation" "$hex" "$queue_bytes" "$refresh_seconds" "$(drain_declared)"
}

do_attach() {
	claim_owner
	check_cgroup
	check_rivals
	[ "$verb" != attach ] || refuse_kernel
	[ "$verb" = 'boot start' ] || check_boot
	# The step of the self-test may have run before a reboot into another kernel.
	[ -z "$(kept kernel)" ] || is_proven || run_selftest
	check_everything "$(policy_of everything)" "$(policy_of enabled)" "$splice_guard"
	build verdict
	recover_lost
	old=
	for other in $instance $rivals; do
		for folder in "$B/$other"/*; do
			[ "$folder" = "$mine" ] || ! is_generation "${folder##*/}" || old="$old $folder"
		done
	done
	for folder in $old; do
		[ -e "$folder/maps/knobs" ] || continue
		get_knob "$folder" 0
		[ "$value" -eq 0 ] || continue
		undo_with "set_knob '$folder' 0 0"
		drain_gently "$folder"
		set_knob "$folder" 0 1
	done
	put_splice_guard
	list_hooks
	id_of prog "$mine/track"
	if ! places_of "$value" | grep -qxF -e "$cgroup_folder"; then
		undo_with undo_attach
		must cgroup attach "$cgroup_folder" sock_ops pinned "$mine/track" multi
		changed=1
	fi
	if [ -f "$home/policy" ]; then
		hex=$(policy_declared) || exit
		put_policy "$mine" "$hex" "$(policy_of queue)" "$(refresh_declared)" "$(drain_declared)"
	else
		warn "note: no policy is set yet, so nothing is bypassed"
		set_knob "$mine" 0 0
	fi
	record cgroup "$cgroup"
	record serving "$generation"
	# The new one serves: from here a failure is finished by the next run, not undone.
	undo=
	for folder in $old; do
		retire "$folder"
	done
	for other in $rivals; do
		retire_instance "$other"
	done
	[ -z "$take_over" ] || disable_rivals
	list_hooks
	detach_program "$mine/track" "$cgroup_folder"
	keep cgroup "$cgroup"
	put_link "$home/current" "$generation"
	# What runs at boot leaves alone what runs it, and may not write there.
	if [ "$verb" != 'boot start' ]; then
		[ "$boot" = true ] || disable_boot
		keep boot "$boot"
		[ "$boot" = false ] || enable_boot
	fi
	[ -z "$adopt" ] || adopt_too
}

# What it serves already must not fail because old connections stay on TCP.
adopt_too() {
	cleanup="rm -rf '$mine/adopt'; $cleanup"
	why=$( (cmd_adopt) 2>&1) || why="note: open connections stay on TCP: ${why#socket-bypass: }"
	warn "$why"
}

undo_attach() {
	bpf cgroup detach "$cgroup_folder" sock_ops pinned "$mine/track"
	set_knob "$mine" 0 1
}

# --- adopt: connections of before the attach ---

check_iterator() {
	find_release
	why=$(list_faults | sed -n 's/^\([^|]*\)|refuse|iterator|\(.*\)/expected \2, found one before \1/p')
	[ -z "$why" ] || err "kernel $release: $why; update it, or say --force where your vendor has fixed it" 3
}

# Three passes over the sockets of every network namespace; see adopt.bpf.c.
adopt_open() { # -> $report: name=value a line
	serving=$(recorded serving) mine=$B/$instance/$(recorded serving)
	[ -n "$serving" ] || err "instance $instance: expected a generation that serves, found none; run attach first"
	get_knob "$mine" 0
	[ "$value" -eq 0 ] || err "instance $instance: expected it to serve, found it drained; run resume, or set enabled: true"
	object=$home/$serving/adopt.bpf.o
	[ -f "$object" ] || err "$object: expected it, found none; it is sent where adopt: true is declared"
	cgroup_folder=$v2$(recorded cgroup)
	id=$(ls -di "$cgroup_folder") || err "$cgroup_folder: expected the cgroup that is attached to, found none; run attach again"
	[ -n "$force" ] || check_iterator
	find_probe
	trial=$mine/adopt
	ignore rm -rf "$trial"
	cleanup="rm -rf '$trial'; $cleanup"
	make_folder "$trial"
	load_beside "$mine" load "$object" "$trial/adopt" pinmaps "$trial/maps" || err "kernel: expected it to load adopt.bpf.o (Linux 6.12 or newer), found: $(explain)" 3
	tasks=$trial/maps/tasks
	# shellcheck disable=SC2086 # busybox ls puts blanks before the number
	set -- $id
	put_number "$tasks" 0 "$1"
	for pass in 0 1 2; do
		put_number "$tasks" 1 "$pass"
		"$probe" iterate "$trial/adopt" || err "adopt: expected to look at every socket, found the reason above; run this again"
	done
	count_all "$trial" tasks "cgroup pass $task_names"
	report=$(say "$counts" | awk '
		{ n[$1] = $2 }
		NR > 2 && $1 != "noted" && $1 != "no_callbacks" { print $1 "=" $2 }
		END {
			alone = n["noted"] - 2 * (n["adopted"] + n["full"] + n["refused"])
			print "unpaired=" (alone > 0 ? alone : 0)
			exit n["no_callbacks"] > 0
		}') || err "kernel: expected Linux 6.12 or newer, which can call a sock_ops program for sockets that are established, found $(uname -r)" 3
}

cmd_adopt() {
	adopt_open
	if [ -n "$json" ]; then
		say "$report" | awk -F = '{ t = t (t == "" ? "" : ",") "\"" $1 "\":" $2 } END { print "{" t "}" }'
	else
		say "$report" | tr '\n' ' ' | sed 's/ $//'
		say
	fi
}

# --- boot: a unit that runs the steps again, where there is systemd ---

find_unit() { # also -> $systemd_version, 0 where it does not say
	unit=socket-bypass-$instance.service unit_file=$unit_folder/socket-bypass-$instance.service
	[ -z "$systemd_version" ] && [ -d "$systemd" ] || return 0
	systemd_version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
	systemd_version=${systemd_version:-0}
}

wants_unit() { [ -d "$systemd" ] && [ "$(kept boot)" != false ]; }

# The path of the script has no blank and no percent sign. The line before the script is what is_safe() says, of the script that
# would say it: systemd takes "$$" for "$" and "%%" for "%". ProtectKernelTunables would make bpffs read-only, PrivateNetwork would
# show another network's net.mptcp.enabled; the self-test makes a network of its own. Before 244 systemd does not start a oneshot
# unit that has Restart=, and may have mounted no bpffs: one that the script mounts in the sandbox would go with it.
boot_unit() {
	cat <<-END
		[Unit]
		Description=TCP on this host skips the stack ($instance)
		After=local-fs.target sys-fs-bpf.mount
		Before=network.target
		ConditionPathExists=$home/current

		[Service]
		Type=oneshot
		RemainAfterExit=yes
		ExecStartPre=/bin/sh -c 'p=\$\$0; while set -f -- \$\$(ls -ldn "\$\${p:-/}"); do case \$\$3\$\$1 in 0[d-]????-??-*) ;; *) echo "\$\${p:-/}: expected root to own it and nobody else to write to it, found \$\$*" >&2; exit 1 ;; esac; [ -n "\$\$p" ] || exit 0; p=\$\${p%%/*}; done' $home/socket-bypass
		ExecStart=/bin/sh $home/socket-bypass boot start --instance $instance --state-dir $state_dir
	END
	if [ "$systemd_version" -ge 244 ]; then
		cat <<-END
			Restart=on-failure
			RestartSec=10
			RestartPreventExitStatus=3
			LockPersonality=yes
			MemoryDenyWriteExecute=yes
			PrivateDevices=yes
			PrivateTmp=yes
			ProtectClock=yes
			ProtectHome=yes
			ProtectHostname=yes
			ProtectKernelModules=yes
			ProtectSystem=strict
			ReadWritePaths=$state_dir
			RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
			RestrictNamespaces=net
			RestrictRealtime=yes
			RestrictSUIDSGID=yes
			SystemCallArchitectures=native
			SystemCallErrorNumber=EPERM
			SystemCallFilter=@system-service bpf membarrier
			SystemCallFilter=~@keyring @setuid
		END
	fi
	cat <<-END
		TimeoutStartSec=300
		CapabilityBoundingSet=CAP_BPF CAP_PERFMON CAP_NET_ADMIN CAP_SYS_ADMIN CAP_SYSLOG CAP_SYS_RESOURCE
		NoNewPrivileges=yes
		UMask=0077

		[Install]
		WantedBy=multi-user.target
	END
}

has_unit() { [ "$(cat "$unit_file" 2>/dev/null)" = "$(boot_unit)" ]; }

# Before anything is handed over: a host that serves and whose step fails would be the worst of both. busybox sh takes a folder that
# is mounted read-only for one that root can write to.
check_boot() {
	find_unit
	[ "$boot" = true ] && [ -d "$systemd" ] && [ -n "$instance" ] && ! has_unit || return 0
	(boot_unit >"$unit_file-new") 2>/dev/null && [ "$(cat "$unit_file-new")" = "$(boot_unit)" ] && why= || why=1
	ignore rm -f "$unit_file-new"
	[ -z "$why" ] || err "$unit_folder: expected to write the boot unit $unit there, found it read-only or full; say --boot false (boot: false), and have «$home/socket-bypass boot start --instance $instance --state-dir $state_dir» run at boot by other means"
}

enable_boot() {
	find_unit
	[ -d "$systemd" ] || return 0
	if ! has_unit; then
		{ (boot_unit >"$unit_file-new") 2>/dev/null && ensure mv "$unit_file-new" "$unit_file" && has_unit; } ||
			err "$unit_file: expected to write it, found no room; it serves, but starts at no boot: make room and run this again"
		ensure systemctl daemon-reload
		[ "$systemd_version" -ge 244 ] || warn "note: systemd $systemd_version: expected 244 or newer, which can try a unit of this kind again; a boot start that fails is not tried again"
		changed=1
	fi
	systemctl is-enabled --quiet "$unit" 2>/dev/null || { ensure systemctl enable --quiet "$unit" && changed=1; }
	case $(systemctl show --property=LoadState "$unit" 2>/dev/null) in
	*=error | *=bad-setting | *=masked) err "$unit_file: expected systemd to take it, found: $(systemctl status "$unit" 2>&1 | sed -n '/^ *Loaded:/{s/^ *//;p;}'); it serves, but starts at no boot: say --boot false (boot: false), and have boot start run by other means" ;;
	esac
}

# With boot: false the unit of this name is the administrator's.
disable_boot() {
	find_unit
	wants_unit || [ ! -d "$systemd" ] || return 0
	grep -q "^Description=TCP on this host skips the stack ($instance)$" "$unit_file" 2>/dev/null || return 0
	# Without a systemd that answers, its links would be all that stays.
	[ ! -d "$systemd" ] || systemctl disable --quiet --now "$unit" || warn "note: systemctl disable $unit failed; its file is removed all the same"
	ensure rm -f "$unit_file"
	[ ! -d "$systemd" ] || ignore systemctl daemon-reload
}

# A boot would start again who was taken over, perhaps before us. Who serves on the cgroup, above or below is known by his
# files too: with another state directory his unit names it.
disable_rivals() {
	for unit_file in "$unit_folder"/socket-bypass-*.service "$state_dir"/*/cgroup; do
		place=${unit_file%/cgroup}
		[ "$place" != "$unit_file" ] || place=$(sed -n 's:^ExecStart=/bin/sh \(/.*\)/socket-bypass boot start --instance .*:\1:p' "$unit_file" 2>/dev/null)
		other=${place##*/}
		{ [ "$other" != "$instance" ] && [ -f "$place/cgroup" ] && [ -z "$(unsafe_ancestor "$place")" ]; } || continue
		are_related "$(cat "$place/cgroup")" "$cgroup" || continue
		set -- "$instance" "$home"
		instance=$other home=$place
		disable_boot
		instance=$1 home=$2
		ensure rm -f "$place/current" "$place/cgroup"
		warn "note: instance $other is taken over for good and starts at no boot; its own stack gets the cgroup back with takeOver: true"
	done
}

# A kernel that was built again under its release is another one.
kernel_build() { say "$(uname -r) $(uname -v)"; }

is_proven() { # on this kernel, or nobody asked
	case $(kept kernel) in "$(kernel_build)" | off) ;; *) return 1 ;; esac
}

# Between a reboot and what attaches no preflight may have run.
refuse_kernel() {
	refused=
	check_kernel
	[ -z "$refused" ] || exit "$refused"
}

# As declared, from the records. The self-test only where the kernel is another one than it passed on.
cmd_boot_start() {
	generation=$(readlink "$home/current")
	is_generation "$generation" || err "$home/current: expected the serving generation, found none; run pulumi up again"
	shape=$(kept shape) owner=$(kept owner) cgroup=$(kept cgroup)
	sockets=${shape% *} pending=${shape#* }
	everything=$(policy_of everything) ports=$(policy_of ports) cidrs=$(policy_of cidrs) enabled=$(policy_of enabled) queue_bytes=$(policy_of queue) refresh_seconds=$(refresh_declared) splice_guard=$(kept splice-guard)
	is_guard_word "$splice_guard" || splice_guard=auto
	! is_proven || off=1
	refuse_kernel
	clean_cgroup
	apply_steps
}

# --- self-test: own maps and programs, a private cgroup, always removed ---

selftest_parents() {
	say "$v2"
	sed -n "s:^0\\:\\::$v2:p" /proc/self/cgroup
}

make_trial() { # TRACK-OBJECT REDIRECT-OBJECT: in $trial
	make_maps "$trial" 4096 1024
	load_track "$trial" "$1"
	load_redirect "$trial" "$2"
	attach_verdict "$trial"
	put_policy "$trial" "$(encode_policy 1 '' '')" 0 0 0
	# Whatever FIONREAD says, so that the self-test sees it.
	put_number "$trial/maps/knobs" 5 2
}

make_place() { # NAME
	# A pod may make no cgroup. Nothing but the pod's own processes is in its container's, where it runs already.
	place=${SOCKET_BYPASS_PLACE:-}
	[ -z "$place" ] || return 0
	for parent in $(selftest_parents); do
		place=${parent%/}/socket-bypass-$1-$$
		ignore mkdir "$place"
		why=$("$probe" cgroup "$place" -- true 2>&1) && break
		ignore rmdir "$place"
		place=
	done
	[ -n "$place" ] || err "$1: expected to run in a cgroup of its own below $v2, found: $why"
}

run_in_place() { # CGROUP-FOLDER COMMAND...
	folder=$1
	shift
	if [ -n "${SOCKET_BYPASS_PLACE:-}" ]; then "$@"; else "$probe" cgroup "$folder" -- "$@"; fi
}

drop_place() { # CGROUP-FOLDER
	[ -d "$1" ] || return 0
	if [ "$1" = "${SOCKET_BYPASS_PLACE:-}" ]; then
		ignore bpf cgroup detach "$1" sock_ops pinned "$trial/track"
		return 0
	fi
	for _ in 1 2 3 4 5 6 7 8 9; do
		while read -r pid; do ignore kill -9 "$pid"; done <"$1/cgroup.procs"
		rmdir "$1" 2>/dev/null && break
		sleep 0.2 2>/dev/null || sleep 1
	done
}

run_selftest() {
	claim_owner
	pairs=0 messages=0 facts=null result=off
	drop_selftest
	put_splice_guard
	if [ -n "$off" ]; then
		is_proven || keep kernel off
		return 0
	fi
	check_cgroup
	[ -f "$home/$generation/track.bpf.o" ] || err "$home/$generation: expected the files of the generation, found none; run object install first"
	cleanup="drop_selftest; $cleanup"
	was=$changed
	make_trial "$home/$generation/track.bpf.o" "$home/$generation/redirect.bpf.o"
	find_probe
	make_place selftest
	must cgroup attach "$place" sock_ops pinned "$trial/track" multi
	answer=$(run_in_place "$place" "$probe" selftest --seconds "$timeout")
	code=$?
	failed=$(say "$answer" | awk '{ n = split($0, part, /":[{]"ok":false/); for (i = 1; i < n; i++) { sub(/.*"/, "", part[i]); printf " %s", part[i] } }')
	[ "$code$failed" = 0 ] || err "selftest: expected every case to pass, found${failed:- none} failed (exit $code): $answer; nothing was attached to $cgroup"
	count_all "$trial"
	pairs=$(say "$counts" | sed -n 's/^pairs //p') messages=$(say "$counts" | sed -n 's/^redirected_messages //p')
	case " $pairs $messages " in *' 0 '*) err "selftest: expected redirected messages, found $messages in $pairs pairs; nothing was attached to $cgroup" ;; esac
	facts=$(say "$answer" | sed -n 's/.*"facts":\([{][^}]*}\).*/\1/p')
	keep kernel "$(kernel_build)"
	# What was made is thrown away.
	changed=$was result=passed
}

drop_selftest() { # also what a killed run left: nobody else works here while we hold the lock
	trial=$B/$instance/selftest
	[ -z "${SOCKET_BYPASS_PLACE:-}" ] || drop_place "$SOCKET_BYPASS_PLACE"
	for parent in $(selftest_parents); do
		for place in "${parent%/}"/socket-bypass-selftest-*; do
			[ ! -d "$place" ] || drop_place "$place"
		done
	done
	ignore rm -rf "$B/$instance/selftest"
}

# --- counters and status ---

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

# What there is to say of an instance: a kind, then name=text or name:=JSON, separated by tabs.
fact() (
	IFS='	'
	say "$*"
)

problem() { fact problem "what=$1"; }

# Reports take no lock, so an upgrade may remove what they are looking at: that is no failure.
skip_gone() { # FOLDER WHAT-A-LOOK-SAID
	[ -d "$1" ] || return
	say "${2##*"$nl"}" >&2
	exit 1
}

yes_no() { case $1 in 0) say false ;; *) say true ;; esac }

observe() {
	serving=$(recorded serving) cgroup=$({ recorded cgroup || kept cgroup; } | tr '\t\n' '  ') current=$(readlink "$home/current")
	cgroup=${cgroup% }
	fact instance "instance=$instance" "owner=$(owner_recorded | tr '\t' ' ')" "declared=$(kept declared)" "serving=$serving" "current=$current" "cgroup=$cgroup"
	[ ! -f "$home/policy" ] || fact policy "everything:=$(yes_no "$(policy_of everything)")" "ports=$(policy_of ports)" "cidrs=$(policy_of cidrs)" "enabled:=$(policy_of enabled)" "queueBytes:=$(policy_of queue)" "refreshSeconds:=$(refresh_declared)"
	[ -n "$serving" ] || problem "nothing is attached"
	[ "$current" = "$serving" ] || problem "current is ${current:-nothing}, not the serving generation"
	[ "${serving:-$(kept declared)}" = "$(kept declared)" ] || problem "$(kept declared) is declared but $serving serves"
	list_hooks
	for folder in "$B/$instance"/*; do
		g=${folder##*/}
		is_generation "$g" || continue
		seen=$(observe_generation "$folder" 2>&1) || skip_gone "$folder" "$seen" || continue
		say "$seen"
	done
	observe_splice_guard
	find_unit
	! wants_unit || [ -z "$serving" ] || [ -e "$unit_file" ] || problem "the boot unit $unit is not there"
	observe_epochs
}

# For each step whether what it made is still there and what changed it last, and a number: what it was told to keep, and one more where it is
# not whole, for stacks of earlier versions.
observe_epochs() {
	mine=$B/$instance/$(kept declared) shape=$(kept shape)
	set --
	for name in object map track redirect verdict selftest policy attach; do
		number=$(kept "epoch-$name") serial=$(kept "serials/$name") whole=true
		(is_whole "$name" >/dev/null 2>&1) || number=$((${number:-0} + 1)) whole=false
		set -- "$@" "$name:=${number:-0}"
		fact step "$name" "whole:=$whole" "serial:=$(number_in "${serial%% *}")" "generation=${serial##* }"
	done
	fact epochs "$@"
	[ -z "$(kept kernel)" ] || is_proven || problem "the self-test passed on kernel $(kept kernel), and this is $(kernel_build)"
	is_whole object || problem "$(kept declared): its files are not those that were installed"
}

number_in() { if is_number "$1"; then say "$1"; else say 0; fi; }

is_whole() { # STEP
	case $1 in
	object) [ "$(kept files)" = "$(digest "$home/$(kept declared)")" ] && cmp_script ;;
	map) has_maps "$mine" "${shape% *}" "${shape#* }" ;;
	track) has_track "$mine" ;;
	redirect) has_redirect "$mine" ;;
	verdict) has_verdict "$mine" ;;
	selftest) is_proven ;;
	policy) has_policy "$mine" ;;
	attach)
		find_unit
		id_of prog "$mine/track"
		[ "$serving" = "$(kept declared)" ] && [ "$current" = "$serving" ] && [ -n "$value" ] &&
			[ "$(places_of "$value")" = "$v2${cgroup%/}" ] && { ! wants_unit || [ "$(cat "$unit_file")" = "$(boot_unit)" ]; }
		;;
	esac
}

cmp_script() { [ "$(cat "$home/socket-bypass")" = "$(cat "$home/$(kept declared)/socket-bypass")" ]; }

has_policy() { # FOLDER: live as declared
	get_knob "$1" 0
	[ "$value" = "$(drain_declared)" ] || return
	get_knob "$1" 2
	[ "$value" = "$(policy_of queue)" ] || return
	live_policy "$1"
	[ "$live" = "$(policy_declared)" ]
}

observe_generation() { # FOLDER
	fact generation "generation=$g"
	for pin in prog/track prog/redirect map/sockets map/claims; do
		id_of "${pin%/*}" "$1/${pin#*/}"
		id=$value
		[ -n "$id" ] || { problem "$g: ${pin#*/} is not pinned" && continue; }
		field name && name=$value
		field tag && tag=$value
		field type && type=$value
		field max_entries
		case $pin in
		prog/*) fact program "${pin#*/}" "id:=$id" "name=$name" "tag=$tag" ;;
		*) fact map "${pin#*/}" "id:=$id" "type=$type" "entries:=$value" ;;
		esac
	done
	has_track "$1" || problem "$g: track does not use the maps pinned beside it"
	has_redirect "$1" || problem "$g: redirect does not use the maps pinned beside it"
	has_verdict "$1" || problem "$g: the verdict is not attached to the sockhash"
	id_of prog "$1/track"
	say "$hooks" | while read -r id flags place; do
		place=${place#"$v2"}
		[ "$id" != "$value" ] || fact attached "generation=$g" "flags=$flags" "cgroup=${place:-/}"
	done
	places=$(places_of "${value:-none}")
	expected=
	[ "$g" != "$serving" ] || expected=$v2${cgroup%/}
	[ "$places" = "$expected" ] || problem "$g: expected to be attached to ${expected:-nothing}, found ${places:-nothing}"
	[ -e "$1/maps/knobs" ] || return 0
	get_knob "$1" 0
	fact state "drain:=$(yes_no "$value")" "sockets:=$(count_keys "$1/sockets" || say null)"
	if [ "$g" = "$serving" ] && [ -f "$home/policy" ]; then
		[ "$value" = "$(drain_declared)" ] || problem "$g: drain is $value, declared $(drain_declared)"
		live_policy "$1"
		[ "$live" = "$(policy_declared)" ] || problem "$g: the policy in force is not the declared one"
		get_knob "$1" 2
		[ "$value" = "$(policy_of queue)" ] || problem "$g: queue bytes are $value, declared $(policy_of queue)"
		get_knob "$1" 4
		[ "$value" = "$(refresh_declared)" ] || problem "$g: refresh seconds are $value, declared $(refresh_declared)"
	fi
	count_all "$1"
	# shellcheck disable=SC2046 # name:=value, a word each
	fact counters $(say "$counts" | sed 's/ /:=/')
}

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
		function members(from,   i, k, t) {
			for (i = from; i <= NF; i++) {
				k = index($i, "=")
				t = more(t, substr($i, k - 1, 1) == ":" ? quote(substr($i, 1, k - 2)) ":" substr($i, k + 1) : quote(substr($i, 1, k - 1)) ":" quote(substr($i, k + 1)))
			}
			return t
		}
		function close_generation() {
			if (g != "") generations = more(generations, "{" g ",\"programs\":{" programs "},\"maps\":{" maps "},\"counters\":{" counters "}}")
			programs = maps = counters = ""
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
		$1 == "program" { programs = more(programs, quote($2) ":{" members(3) "}") }
		$1 == "map" { maps = more(maps, quote($2) ":{" members(3) "}") }
		$1 == "counters" { counters = members(2) }
		END {
			close_generation()
			print "{" head ",\"steps\":{" steps "},\"healthy\":" (problems == "" ? "true" : "false") ",\"problems\":[" problems "],\"attached\":[" attached "],\"generations\":[" generations "]}"
		}'
}

is_there() { [ -d "$home" ] || [ -d "$B/$instance" ]; }

# The instance that is named, else all -> $instances
find_instances() {
	instances=$instance
	if [ -z "$instance" ]; then
		instances=$(for folder in "$state_dir"/* "$B"/*; do ! is_name "${folder##*/}" || [ ! -d "$folder" ] || say "${folder##*/}"; done | sort -u)
	elif ! is_there; then
		err "instance $instance: expected it in $state_dir or $B, found neither"
	fi
}

cmd_status() {
	one=$instance answers=
	find_instances
	for instance in $instances; do
		home=$state_dir/$instance
		is_there || continue
		facts=$(observe) || exit
		[ -z "$json" ] || facts=$(say "$facts" | to_json)
		answers=$answers${answers:+${json:+,}$nl}$facts
	done
	if [ -z "$json" ]; then
		say "${answers:-no instance is installed}" | sed 's/	what=/ /; s/:=/=/g; s/	/ /g'
	elif [ -n "$one" ]; then
		say "$answers"
	else
		say "[$answers]"
	fi
}

# --- metrics ---

to_metrics() {
	awk -F '\t' -v names="$counter_names" -v text="$textfile" -v host="kernel=\"$(uname -r)\",machine=\"$(machine)\"" '
		function value(i) { return substr($i, index($i, "=") + 1) }
		function add(name, labels, number) { samples[name] = samples[name] "socket_bypass_" name "{" labels "} " number "\n" }
		# The text format of before names a family like its samples and knows no info.
		function family(name, type, help,   short) {
			short = "socket_bypass_" name
			if (text != "") sub(/info/, "gauge", type)
			else sub(/_(total|info)$/, "", short)
			printf "# TYPE %s %s\n%s# HELP %s %s.\n%s", short, type, name ~ /bytes/ && text == "" ? "# UNIT " short " bytes\n" : "", short, help, samples[name]
		}
		# Of the host, though each instance tells it.
		function add_once(name, labels, number) {
			if (!((name, labels) in told)) add(name, labels, number)
			told[name, labels] = 1
		}
		function end_instance() {
			if (instance != "") add("healthy", "instance=\"" instance "\"", !bad)
			bad = 0
		}
		$1 == "instance" { end_instance(); instance = value(2); serving = value(5) }
		$1 == "problem" { bad = 1 }
		$1 == "splice" { add_once("splice_guard", "way=\"" value(3) "\"", value(3) != "none") }
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
		}
		$1 == "counters" { for (i = 2; i <= NF; i++) add(substr($i, 1, index($i, ":") - 1) "_total", labels, value(i)) }
		END {
			end_instance()
			family("info", "info", "What serves: the tags of the programs and the system")
			family("healthy", "gauge", "1 when all that is declared is there (socket-bypass status tells what is not)")
			family("serving", "gauge", "1 for the generation that new connections go to")
			family("draining", "gauge", "1 when everything goes by TCP")
			family("enrolled_sockets", "gauge", "Sockets in the sockhash, two for a connection")
			family("max_sockets", "gauge", "Room in the sockhash")
			family("splice_guard", "gauge", "1 where programs that splice are protected, by the way in the label")
			family("splicing_sockets_total", "counter", "Sockets left on TCP because their program splices from them, or asks for all bytes by MSG_WAITALL")
			family("refused_splices_total", "counter", "Splices refused, so that the program takes recv() for what was redirected")
			split("Connections whose ends found each other|Messages redirected|Bytes redirected|Messages of enrolled sockets by TCP|Ends whose peer is not known to be on this host|Ends that the policy leaves alone|Directions that went to TCP for a while|Directions that came back from it|Directions that went to TCP for good|Sockets that left the sockhash before they closed|Sockets that never found their peer|Sockets refused because another sockmap has them|Sockets refused because a map is full|Sockets refused for another reason|Redirects that the kernel refused|Connections to services whose connections are too short to gain|Callback flags set again after somebody took them away|Directions that left because of a drain|Sockets and directions left on TCP because of an option that needs it|Messages by TCP because their reader may not be the only one of its socket|Ends left on TCP because their connection begins with bytes", help, "|")
			n = split(names, name, " ")
			for (i = 1; i <= n; i++) family(name[i] "_total", "counter", help[i])
			print "# EOF"
		}'
}

cmd_metrics() {
	[ -z "$textfile" ] || [ -d "$textfile" ] || err "--textfile $textfile: expected a folder, found none; create it, or name the one that node-exporter reads"
	facts=
	find_instances
	for instance in $instances; do
		home=$state_dir/$instance
		is_there || continue
		seen=$(observe) || exit
		facts=$facts$seen$nl
	done
	metrics=$(say "$facts" | to_metrics)
	if [ -z "$textfile" ]; then
		say "$metrics"
		return
	fi
	# The folder may be another user's.
	find_probe
	why=$(say "$metrics" | "$probe" write "$textfile" socket-bypass.prom 2>&1) || err "--textfile ${why#probe: write: }"
	say "$textfile/socket-bypass.prom"
}

# --- flows ---

# The lines of flows.bpf.o behind one for their generation, then who has which socket open.
show_flows() {
	awk -v json="$json" "$json_functions"'
		function number(hex,   v) {
			for (v = 0; hex != ""; hex = substr(hex, 2)) v = v * 16 + index("123456789abcdef", substr(hex, 1, 1))
			return v
		}
		function dotted(word) { return int(word / 256) "." word % 256 }
		function address(text,   i, part, run) { # as RFC 5952 writes it
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
		# The line of a socket -> f; its processes as JSON -> who, as text -> f["at"]
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
			return "{\"address\":\"" f[13] "\",\"port\":" f[14] ",\"remoteAddress\":\"" f[15] "\",\"remotePort\":" f[16] ",\"processes\":[" who "],\"state\":\"" modes[f[4] + 1] "\",\"messages\":" f[8] ",\"bytes\":" f[9] ",\"sent\":" f[10] ",\"unread\":" (f[3] < 0 ? "null" : f[3]) ",\"unreadByTcp\":" f[11] ",\"why\":" (f[12] == "-" ? "null" : quote(f[12])) "}"
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
		NF == 16 && length($1) == 16 {
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
	get_knob "$1" 0
	drain=$value
	list_sockets "$1" || err "${1##*/}: expected to list its sockets, found: $(explain)"
	say "generation $instance ${1##*/} $drain$nl$listed"
}

cmd_flows() {
	lines=
	find_instances
	for instance in $instances; do
		home=$state_dir/$instance
		for folder in "$B/$instance"/*; do
			# The record of the serving generation leads into its folder too.
			{ [ ! -L "$folder" ] && [ -e "$folder/maps/knobs" ]; } || continue
			seen=$(list_flows "$folder" 2>&1) || skip_gone "$folder" "$seen" || continue
			lines=$lines$seen$nl
		done
	done
	if [ -n "$lines" ]; then
		find_probe
		owners=$("$probe" owners) || err "flows: expected to list who has which socket open, found the reason above"
		lines=$lines$owners
	fi
	say "$lines" | show_flows
}

# --- bench: a trial as in the self-test; its program is on the cgroup only while the bypass runs ---

# Another instance on a cgroup above would take the plain connections, unless its ports are none that the kernel gives to clients.
check_plain() {
	list_rivals
	for other in $rivals; do
		folder=$B/$other/$(recorded serving "$other") home=$state_dir/$other
		(get_knob "$folder" 0) >/dev/null 2>&1 || [ -e "$folder/maps/knobs" ] || continue
		get_knob "$folder" 0
		[ "$value" -eq 0 ] || continue
		policy_of ports | tr , '\n' | awk -F - -v given="$(cat /proc/sys/net/ipv4/ip_local_port_range)" '
			BEGIN { split(given, range, " ") }
			$1 == "" || ($1 + 0 <= range[2] && $NF + 0 >= range[1]) { bad = 1 }
			END { exit bad || !NR }' || err "bench: expected nothing that bypasses its plain connections too, found instance $other on $(recorded cgroup "$other"); type «socket-bypass drain --instance $other», and resume afterwards"
	done
}

# Lines of a cell (mode, size, CPUs), a way and the answer of the probe: the medians of each, and the ratio to plain TCP.
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
	# Rivals are no hindrance, but they are looked at below.
	cgroup=${place#"$v2"} cgroup_folder=$place take_over=1
	preflight
	check_plain
	trial=$B/_try-$$
	# Before its pins go, by which a pod detaches the program.
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
					# On a host that is busy enough the shortest runs get no turn.
					for ms in $((seconds * 1000 / 54)) 500 1000 2000; do
						answer=$(run_in_place "$cgroup_folder" "$probe" bench --mode "${cell% *}" --size "${cell#* }" --transport "$transport" --pin "$cpu,$last" --ms "$ms" 2>&1) && break
						[ "$ms" != 2000 ] || err "bench: expected a run of $way ($cell) to end well, found: $answer"
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

# --- preflight: says everything that is in the way before it refuses ---

finding() { # host|kernel MESSAGE
	warn "$2"
	[ "$1" = host ] && refused=${refused:-1} || refused=3
}

# Debian has the stable version in uname -v, Ubuntu in version_signature.
find_release() { # -> $release
	release=$(uname -v | sed -n 's/.*Debian \([0-9][0-9.]*\).*/\1/p')
	[ -n "$release" ] || release=$(sed -n 's/^Ubuntu [^ ]* \([0-9][0-9.]*\).*/\1/p' /proc/version_signature 2>/dev/null)
	[ -n "$release" ] || release=$(uname -r)
}

deny_list() {
	# build.sh puts the rows themselves here.
	cat "$here/kernels.deny"
}

# BEFORE|VERDICT|CONDITION|WHAT of each row that this kernel is in.
list_faults() {
	deny_list | awk -F ' *[|] *' -v release="$release" '
		function number(text,   part) {
			split(text, part, /[^0-9]/)
			return part[1] * 1000000 + part[2] * 1000 + part[3]
		}
		/^[0-9]/ && number(release) >= number($1) && number(release) < number($2) { print $2 "|" $3 "|" $4 "|" $5 " (" $6 ")" }'
}

check_kernel() {
	find_release
	while IFS='|' read -r before verdict condition what; do
		[ -n "$before" ] || continue
		advice="update it"
		case $condition in
		iterator) continue ;;
		mptcp)
			enabled_there=$(cat /proc/sys/net/mptcp/enabled 2>/dev/null) || continue
			if [ "$enabled_there" = 1 ]; then
				advice="update it, or set net.mptcp.enabled to 0 in every network namespace and restart what listens with MPTCP (Go does)"
			else
				verdict=warn advice="leave net.mptcp.enabled at 0 in every network namespace"
			fi
			;;
		tls)
			grep -q tls /proc/sys/net/ipv4/tcp_available_ulp 2>/dev/null || continue
			advice="update it, or leave out the ports of programs that use kTLS"
			;;
		esac
		what="kernel $release: expected $what, found one before $before; $advice"
		if [ "$verdict" = refuse ]; then finding kernel "$what"; else warn "note: $what"; fi
	done <<-END
		$(list_faults)
	END
}

has_capability() { [ $((capabilities >> $1 & 1)) -eq 1 ]; }

check_root() {
	[ "$(id -u)" = 0 ] || err "user: expected root, found $(id -u); say how to become root (become: \"sudo -n\")"
}

# They overwrite what a sockmap keeps with a socket. Their ports are those of is_taken_over() in bpf/policy.h.
check_modules() {
	for word in iscsi_tcp:3260 nbd:10809 nfsd:2049; do
		[ ! -d "/sys/module/${word%:*}" ] || warn "note: module ${word%:*}: expected none that takes sockets over from processes, found it loaded; its port ${word#*:} stays on TCP unless it is listed by itself (not in a range); leave out any other port that it uses"
	done
}

check_host() {
	missing=
	for tool in awk cat chmod cp date dirname grep id ln ls mkdir mount mv readlink rm rmdir sed sha256sum sleep sort touch tr uname; do
		command -v "$tool" >/dev/null || missing="$missing $tool"
	done
	[ -z "$missing" ] || finding host "tools: expected all, found these missing:$missing; install them"
	capabilities=0x$(sed -n 's/^CapEff:[^0-9a-f]*//p' /proc/self/status)
	if ! why=$(check_root 2>&1); then
		finding host "${why#*: }"
	elif ! has_capability 21 && ! { has_capability 39 && has_capability 38 && has_capability 12; }; then
		finding host "capabilities: expected CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN (or CAP_SYS_ADMIN), found $capabilities"
	fi
	if [ -z "$bpftool" ]; then
		finding host "bpftool: expected one that runs, found none; install it (Debian, RHEL: bpftool, Ubuntu: linux-tools-$(uname -r))"
	else
		version=$("$bpftool" version 2>/dev/null | sed -n '1s/.*v\([0-9]\)/\1/p')
		lacking=
		for ability in prog/pinmaps iter/pin map/sockhash cgroup/sock_ops; do
			"$bpftool" "${ability%/*}" help 2>&1 | grep -q "${ability#*/}" || lacking="$lacking $ability"
		done
		[ -z "$lacking" ] || finding host "bpftool: expected 5.8 or newer, found $version without$lacking; install a newer one"
	fi
	case $(machine) in
	x86_64 | aarch64) ;;
	*) finding kernel "machine: expected x86_64 or aarch64, found $(machine)" ;;
	esac
	[ -z "$compile" ] || command -v clang >/dev/null || ls /usr/bin/clang-[0-9]* >/dev/null 2>&1 || finding host "clang: expected 14 or newer for --compile, found none; install it, or use the prebuilt objects"
	[ -r /sys/kernel/btf/vmlinux ] || finding kernel "BTF: expected /sys/kernel/btf/vmlinux, found none; use a kernel with CONFIG_DEBUG_INFO_BTF"
	case $(cat /sys/kernel/security/lockdown 2>/dev/null) in
	*'[confidentiality]'*) finding kernel "lockdown: expected none or integrity, found confidentiality, which forbids bpf_probe_read_kernel" ;;
	esac
	check_kernel
	check_modules
}

check_hooks() { # other sock_ops programs on the cgroup, above and below
	lost_place=$(kept_place)
	list_ours
	list_hooks
	while read -r id flags place; do
		# Without any hook there is one empty line.
		[ -n "$id" ] || continue
		are_related "$place" "$cgroup_folder" || continue
		case $ours in *" $id "*) continue ;; esac
		case $flags:$cgroup_folder/ in
		multi:* | override:"$place"/?*) ;;
		*:"$place"/*) finding host "$place: expected its sock_ops programs attached with «multi», found $id with «$flags»; attach that one with multi" ;;
		esac
		[ "$place" != "$lost_place" ] || ! is_lost "$id" || continue
		bpf prog show id "$id" || continue
		field name
		name=$value used=${out#*\"map_ids\":[}
		[ "$used" != "$out" ] || continue
		for map in $(say "${used%%]*}" | tr , ' '); do
			bpf map show id "$map" || continue
			case $out in
			*'"type":"sockmap"'* | *'"type":"sockhash"'*) finding host "$place: expected no other user of sockmaps, found sock_ops program $id ($name): a socket can serve one only; choose another --cgroup, or type «bpftool cgroup detach $place sock_ops id $id»" && break ;;
			esac
		done
	done <<-END
		$hooks
	END
}

try_load() { # every object, in a folder of its own
	make_folder "$B"
	make_maps "$trial" 64 64
	load_track "$trial" "$(find_file track.bpf.o)"
	load_redirect "$trial" "$(find_file redirect.bpf.o)"
	attach_verdict "$trial"
	list_sockets "$trial" || err "flows: expected to list the sockets of a map, found: $(explain)"
}

# Runs a check that says why it refuses.
examine() { # host|kernel CHECK
	why=$( ("$2") 2>&1) || finding "$1" "${why#socket-bypass: }"
}

preflight() {
	refused='' way=none no_traffic=1
	# The step that installs the files knows no policy; that of the policy looks for itself.
	case $verb in preflight | apply) [ -z "$everything$ports$cidrs" ] || no_traffic= ;; esac
	check_host
	if [ -n "$v2" ]; then examine host check_cgroup; else examine kernel check_cgroup; fi
	if [ "$(id -u)" = 0 ]; then
		mount_bpffs || finding kernel "bpffs: expected one at /sys/fs/bpf, found none and could not mount it"
		examine host check_trust
		examine host check_boot
		[ -z "$owner" ] || examine host check_owner
		examine host check_rivals
		# Without a probe of its machine type there is none to ask, which is refused later.
		[ -z "$bpftool" ] || [ -z "$v2" ] || ! find_file "probe-$(machine)" >/dev/null || check_hooks
		# Only now, for some kernels must not be tried.
		if [ -z "$refused$compile" ] && find_file track.bpf.o >/dev/null; then
			trial=$B/_try-$$
			cleanup="rm -rf '$trial'; $cleanup"
			examine kernel try_load
			ignore rm -rf "$trial"
			[ -n "$refused" ] || try_splice_guard
			if [ -z "$refused$no_traffic" ]; then
				if is_exposed "$everything" "$enabled" "$splice_guard"; then examine kernel refuse_everything; else warn_of_listeners "$splice_guard"; fi
			fi
			ignore rmdir "$B"
		fi
	fi
	[ -z "$refused" ] || exit "$refused"
}

# --- verbs ---

cmd_apply() {
	step object '' install_object
	apply_steps
}

apply_steps() { # all behind the first
	step map object create_maps
	step track map do_build track
	step redirect track do_build redirect
	step verdict redirect do_build verdict
	step selftest verdict run_selftest
	step policy selftest set_policy
	step attach selftest do_attach
}

# Deletes are per instance and undo all later stages: those may be there although their own step never finished.
cmd_detach() {
	[ -n "$bpftool" ] || [ ! -d "$B/$instance" ] || err "bpftool: expected it to detach $instance, found none; install it and run this again"
	disable_boot
	[ -z "$bpftool" ] || recover_lost
	retire_instance "$instance"
	settle_splice_guard
	ignore rm -f "$home/current" "$home/cgroup"
}

cmd_remove() {
	cmd_detach
	drop_link
	# By rename: half a folder would have no probe to lock with.
	[ ! -d "$home" ] || ensure mv -T "$home" "$state_dir/_removed-$instance"
	drop_leftovers
	ignore rm -rf "$state_dir/_staged-$instance"
	ignore rmdir "$state_dir"
	ignore rmdir "$B"
}

cmd_drain() {
	[ -d "$B/$instance" ] || err "instance $instance: expected it in $B, found nothing pinned"
	for folder in "$B/$instance"/*; do
		[ -e "$folder/maps/knobs" ] || continue
		if [ "$verb" = drain ]; then
			sweep "$folder"
			total_left=$((total_left + left)) total_unread=$((total_unread + unread))
		elif [ "${folder##*/}" = "$(recorded serving)" ]; then
			set_knob "$folder" 0 0
		fi
	done
}

# --- arguments ---

is_name() { case $1 in '' | -* | *[!a-z0-9-]*) return 1 ;; *) [ ${#1} -le 64 ] ;; esac }
is_generation() { case $1 in *[!0-9a-f]*) return 1 ;; *) [ ${#1} -eq 12 ] ;; esac }
is_guard_word() { case $1 in auto | require | off) ;; *) return 1 ;; esac }
is_number() { case $1 in '' | *[!0-9]* | 0?*) return 1 ;; *) [ ${#1} -le 15 ] ;; esac }

parse() {
	verb=${1:-help}
	[ $# -eq 0 ] || shift
	case $verb in
	object | map | program | verdict | policy | boot)
		verb="$verb ${1:-}"
		[ $# -eq 0 ] || shift
		;;
	esac
	case $verb in
	program\ *)
		program=${1:-nothing}
		[ $# -eq 0 ] || shift
		case $program in track | redirect) ;; *) usage "$verb: expected track or redirect, found $program" ;; esac
		;;
	esac
	case $verb in
	'object install' | 'map create' | 'program load' | 'verdict attach' | selftest | 'policy set' | attach | apply) kind=create ;;
	'object remove' | 'map remove' | 'program unload' | 'verdict detach' | detach | remove) kind=delete ;;
	drain | resume | adopt | 'boot start') kind=switch ;;
	preflight | status | metrics | flows | bench | help) kind=report ;;
	*) usage "expected a verb, found $verb" ;;
	esac
	while [ $# -gt 0 ]; do
		word=1 flag=${1#--}
		case $1 in
		--take-over | --force | --everything | --off | --compile | --json | --adopt) ;;
		--instance | --generation | --owner | --state-dir | --cgroup | --from | --digest | --sockets | --pending | --ports | --cidrs | --enabled | --boot | --queue-bytes | --refresh-seconds | --drain-seconds | --timeout | --epoch | --textfile | --seconds | --splice-guard)
			[ $# -ge 2 ] || usage "$1: expected a value, found nothing"
			case $2 in *[[:cntrl:]]*) usage "$1: expected one line of printable text" ;; esac
			word=$2
			shift
			;;
		*) usage "$verb: expected a flag, found $1" ;;
		esac
		shift
		case $flag in *-*) flag=${flag%-*}_${flag#*-} ;; esac
		# Only names of the list above come here.
		eval "$flag=\$word"
	done
}

check_arguments() {
	[ -z "$instance" ] || is_name "$instance" || usage "--instance: expected at most 64 of a-z, 0-9 and dashes, found $instance"
	[ -z "$generation" ] || is_generation "$generation" || usage "--generation: expected 12 hex digits, found $generation"
	[ ${#owner} -le 1024 ] || usage "--owner: expected at most 1024 bytes, found ${#owner}"
	case $state_dir/ in
	*//* | */./* | */../* | *\'* | [!/]*) usage "--state-dir: expected a clean absolute path, found $state_dir" ;;
	esac
	for word in "sockets $sockets" "pending $pending" "queue-bytes $queue_bytes" "refresh-seconds $refresh_seconds" "drain-seconds $drain_seconds" "timeout $timeout" "epoch ${epoch:-0}" "seconds $seconds"; do
		is_number "${word#* }" || usage "--${word%% *}: expected a number, found ${word#* }"
	done
	[ "$seconds" -ge 6 ] || usage "--seconds: expected at least 6, found $seconds"
	case $enabled in true | false) ;; *) usage "--enabled: expected true or false, found $enabled" ;; esac
	case $boot in true | false) ;; *) usage "--boot: expected true or false, found $boot" ;; esac
	is_guard_word "$splice_guard" || usage "--splice-guard: expected auto, require or off, found $splice_guard"
	[ "$kind" = report ] || need --instance "$instance"
	if [ "$kind" = create ]; then
		need --generation "$generation"
		need --owner "$owner"
	fi
	case $verb in
	preflight | 'policy set' | apply)
		[ -n "$everything$ports$cidrs" ] || [ "$verb" = preflight ] || usage "$verb: expected --everything, --ports or --cidrs, found none"
		[ -z "$everything" ] || [ -z "$ports$cidrs" ] || usage "$verb: expected --everything or a filter, found both"
		[ "$verb" = preflight ] || everything=${everything:-0}
		why=$(encode_policy "${everything:-0}" "$ports" "$cidrs" 2>&1 >/dev/null) || usage "$why"
		;;
	esac
}

# Everything before the first change; with the lock held afterwards.
prepare() {
	find_places
	clean_cgroup
	[ "$verb" != preflight ] || return 0
	check_root
	if { [ "$kind" = create ] || [ "$verb" = 'boot start' ]; } && { [ -z "$bpftool" ] || ! mount_bpffs; }; then
		preflight
		exit 1
	fi
	check_trust
	case $kind in
	report) return 0 ;;
	delete)
		# The last is what a run was killed at.
		if [ ! -d "$B/$instance" ] && [ ! -d "$home" ] && [ ! -d "$state_dir/_removed-$instance" ]; then
			say gone
			exit
		fi
		# What was pinned in a bpffs that was unmounted stays attached, and is found by the kernel's list. bpftool would mount one
		# wherever it is told to pin.
		[ -z "$bpftool" ] || mount_bpffs || warn "note: bpffs: expected one, found none and could not mount it at /sys/fs/bpf"
		[ -n "$bpffs" ] || return 0
		;;
	switch) [ -n "$bpffs" ] || err "bpffs: expected one, found none mounted, so nothing of $instance is pinned; type «socket-bypass boot start --instance $instance»" ;;
	esac
	lock "$@"
	if [ "$kind" = delete ] && ! is_mine; then
		warn "note: instance $instance belongs to $found, not to $owner; left alone"
		say "left alone"
		exit
	fi
}

main() {
	# Hand-typed through the link: the files are where it points.
	script=$(readlink "$0") || script=$0
	here=$(CDPATH='' cd -- "$(dirname -- "$script")" && pwd -P) || exit
	script=$here/${script##*/}
	instance='' generation='' owner='' from=$here ports='' cidrs='' everything='' off='' compile='' json='' take_over='' force='' adopt='' epoch='' splice_guard=auto is_tried='' is_warned=''
	state_dir=/var/lib/socket-bypass cgroup=/ sockets=65536 pending=8192 enabled=true boot=true queue_bytes=0 refresh_seconds=0 drain_seconds=10 timeout=30 textfile='' seconds=30
	undo='' cleanup='' systemd_version='' bpftool='' total_left=0 total_unread=0
	exec </dev/null
	trap '' HUP PIPE
	parse "$@"
	check_arguments
	home=$state_dir/$instance
	from=$(CDPATH='' cd -- "$from" 2>/dev/null && pwd -P) || usage "--from: expected a folder"
	if [ "$verb" = help ]; then
		sed -n '/^# socket-bypass:/,/^$/s/^# \{0,1\}//p' "$script"
		exit
	fi
	# What was sent for this run alone goes with it, however it ends.
	case $here/ in "$state_dir/_staged-$instance/"*) cleanup="rm -rf '$state_dir/_staged-$instance'; ignore rmdir '$state_dir'" ;; esac
	trap finish EXIT
	prepare "$@"
	trap 'exit 130' INT
	trap 'warn "$verb: stopped by a signal or a time limit; run it again" && exit 143' TERM
	case $verb in
	preflight) preflight ;;
	status) cmd_status ;;
	metrics) cmd_metrics ;;
	flows) cmd_flows ;;
	bench) cmd_bench ;;
	apply) cmd_apply ;;
	'object install') step object '' install_object ;;
	'map create') step map object create_maps ;;
	'program load')
		case $program in
		track) step track map do_build track ;;
		redirect) step redirect track do_build redirect ;;
		esac
		;;
	'verdict attach') step verdict redirect do_build verdict ;;
	selftest) step selftest verdict run_selftest ;;
	'policy set') step policy selftest set_policy ;;
	attach) step attach selftest do_attach ;;
	remove | 'object remove') cmd_remove ;;
	drain | resume) cmd_drain ;;
	adopt) cmd_adopt ;;
	'boot start') cmd_boot_start ;;
	*) cmd_detach ;;
	esac
	case $verb in
	status | adopt | metrics | flows | bench) ;;
	preflight) say "ok kernel=$(uname -r) machine=$(machine) bpftool=$version bpffs=$bpffs cgroup=$cgroup_folder spliceGuard=$way" ;;
	selftest) say "{\"serial\":$serial,\"selftest\":\"$result\",\"kernel\":\"$(uname -r)\",\"machine\":\"$(machine)\",\"pairs\":$pairs,\"redirected\":$messages,\"spliceGuard\":\"$(splice_way)\",\"facts\":${facts:-null}}" ;;
	*) if [ "$kind" = create ]; then say "$serial$(left_over)"; else say "done$(left_over)"; fi ;;
	esac
}

main "$@"
