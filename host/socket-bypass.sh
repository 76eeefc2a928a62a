#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# socket-bypass: TCP between two sockets of this host skips the TCP/IP stack.
#
# usage: sh socket-bypass VERB [FLAG VALUE]...
#
#   apply                          every step below, in this order
#     object install --from DIR      preflight, then the files of this generation
#     map create                     the pinned sockhash
#     program load track|redirect    the pinned sock_ops and sk_msg programs
#     verdict attach                 sk_msg on the sockhash
#     selftest                       proof on this kernel, in a private cgroup
#     policy set                     what may be bypassed; live
#     attach                         sock_ops on the cgroup; takes over from the serving generation
#   remove                         undo all; also: detach, verdict detach, program unload track|redirect, map remove, object remove
#   preflight                      says what is missing or in the way; mounts bpffs if need be
#   status [--json]                what is declared, what is there, what differs
#   drain, resume                  back to TCP with every connection kept; and again
#
#   --instance I        name of the installation: a-z, 0-9, dashes
#   --generation G      digest of the bundle: 12 hex digits
#   --owner TEXT        who installs; another owner's installation is refused (create) or left alone (delete)
#   --take-over         take it over all the same
#   --force             remove: whoever owns it
#   --cgroup PATH       below the cgroup v2 mount; default /, the whole host
#   --state-dir DIR     default /var/lib/socket-bypass
#   --sockets N         room for enrolled sockets, default 65536; --pending N for connections being paired, default 8192
#   --everything, or --ports 6379,8000-8999 and/or --cidrs 10.0.0.0/8,fd00::/8
#   --enabled BOOL      false: installed but drained; default true
#   --queue-bytes N     one reader may leave unread, default 0: 4 MiB
#   --drain-seconds N   wait for unread bytes before detaching, default 10
#   --off, --timeout N  selftest: skip it; bound in seconds, default 30
#   --compile           object install: compile the objects here
#
# Twice is as good as once. stdout answers, stderr talks. A step answers with its serial, which grows when it changed anything.
# Exit: 0 done, 1 refused or failed, 2 wrong usage, 3 not supported by this kernel.
# A verb waits at most 120 s for another one on this host; detach and remove end within --drain-seconds and about 20 s more a generation.

set -u
umask 077
export LC_ALL=C
# Internal: tests put stand-ins before the real tools with SOCKET_BYPASS_PATH.
export PATH="${SOCKET_BYPASS_PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin}"

lock_seconds=120
map_names='claims counters knobs notes peers policies services sockets state'
counter_names='pairs redirected_messages redirected_bytes tcp_messages remote_skipped policy_skipped spills returns leaves gone unpaired refused_busy refused_full refused_other redirect_failed short_skipped rearmed drained'

# --- helpers ---

say() { printf '%s\n' "$*"; }
warn() { printf 'socket-bypass: %s\n' "$*" >&2; }
ignore() { "$@" >/dev/null 2>&1 || :; }

err() { # MESSAGE [EXIT]
	warn "$1"
	exit "${2:-1}"
}

usage() { err "$1; see: sh $script help" 2; }

ensure() { # WHAT COMMAND...
	what=$1
	shift
	why=$("$@" 2>&1) || err "$what: expected «$*» to work, found: ${why:-no reason given}"
}

need() { # FLAG VALUE
	[ -n "$2" ] || usage "$verb: expected $1"
}

# undo runs when a verb fails or is stopped, latest first; cleanup runs in any case.
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

must() { # WHAT BPFTOOL-ARGUMENT...
	what=$1
	shift
	bpf "$@" || err "$what: expected bpftool $1 $2 to work, found: $(explain)"
}

# The most telling line of $out: what the verifier said last, else libbpf, else bpftool.
explain() {
	printf '%s\n' "$out" | awk '
		/^processed [0-9]+ insns/ { verifier = last }
		/^libbpf: .*([Ff]ail|[Ee]rror|not |[Uu]nknown)/ && !libbpf { libbpf = $0 }
		/"error":/ { sub(/.*"error":"/, ""); sub(/".*/, ""); bpftool = $0 }
		{ last = $0 }
		END { print verifier ? verifier : libbpf ? libbpf : bpftool ? bpftool : last ? last : "no answer" }'
}

field() { # NAME: the first value of that name in $out -> $value
	value=${out#*\"$1\":}
	[ "$value" != "$out" ] || value=
	value=${value%%[],\}]*}
	value=${value#\"}
	value=${value%\"}
}

id_of() { # map|prog PIN -> $value, empty when there is no such pin
	value=
	[ -e "$2" ] || return 0
	must "$2" "$1" show pinned "$2"
	field id
}

# --- places ---

# The mount point of a file system type, preferably the given one.
mount_of() {
	awk -v type="$1" -v first="$2" '
		$3 == type && (path == "" || $2 == first) { path = $2 }
		END { print path }' /proc/mounts
}

find_places() {
	bpffs=$(mount_of bpf /sys/fs/bpf)
	case $bpffs in *\\* | *' '*) err "bpffs: expected a mount point without blanks, found $bpffs" ;; esac
	v2=$(mount_of cgroup2 /sys/fs/cgroup)
	B=${bpffs:+$bpffs/socket-bypass}
	# Ubuntu's bpftool is a wrapper that fails under a kernel it has no package for; any of the real ones will do.
	bpftool=
	for tool in bpftool /usr/lib/linux-tools/*/bpftool /usr/lib/linux-tools-*/bpftool; do
		ignore "$tool" version || continue
		"$tool" version >/dev/null 2>&1 && bpftool=$tool && break
	done
}

mount_bpffs() {
	[ -z "$bpffs" ] || return 0
	[ -d /sys/fs/bpf ] || return 1
	mount -t bpf -o mode=0700,nosuid,nodev,noexec bpf /sys/fs/bpf || return 1
	warn "note: no bpffs was mounted; mounted one at /sys/fs/bpf with mode=0700"
	bpffs=/sys/fs/bpf B=/sys/fs/bpf/socket-bypass
}

machine() {
	case $(uname -m) in
	arm64) say aarch64 ;;
	*) uname -m ;;
	esac
}

# A file of the bundle: of the given generation folder, else of whatever is nearest.
find_file() ( # NAME [FOLDER]
	for folder in "${2:-}" "$from" "$here" "$home/$generation" "$home/current" "$home"/*; do
		[ -n "$folder" ] && [ -f "$folder/$1" ] && say "$folder/$1" && return
	done
	return 1
)

find_probe() {
	[ -n "$probe" ] && return
	probe=$(find_file "probe-$(machine)") || err "probe-$(machine): expected it beside the script or in $home, found none; run object install again"
}

# --- who may have written here ---

# Root's own folder, no link, and not writable by others (with the sticky bit they cannot replace what is root's).
is_safe_folder() (
	# shellcheck disable=SC2046 # split on purpose: mode, links, user
	set -f -- $(ls -ldn "$1" 2>/dev/null)
	[ "${3:-}" = 0 ] || return
	case $1 in
	d????????[tT]*) ;;
	d????w* | d???????w*) return 1 ;;
	d*) ;;
	*) return 1 ;;
	esac
)

unsafe_ancestor() ( # PATH: the first folder on the way that is not safe
	path=$1
	while :; do
		if [ -e "${path:-/}" ] || [ -L "${path:-/}" ]; then
			is_safe_folder "${path:-/}" || { say "${path:-/}" && return; }
		fi
		[ -n "$path" ] || return
		path=${path%/*}
	done
)

unsafe_pin() { # the first thing in our bpffs folder that is not root's, is writable by others, or is a link but no record
	ls -lnR "$B" 2>/dev/null | awk '
		/:$/ && !/ -> / { folder = $0; sub(/:$/, "", folder); next }
		/^[-bcdlps][-r][-w]/ {
			name = $9
			record = substr($1, 1, 1) == "l" && name ~ /^(owner|cgroup|serving|verdict)(-new)?$/
			if ($3 != 0 || (substr($1, 1, 1) == "l" ? !record : substr($1, 6, 1) == "w" || substr($1, 9, 1) == "w")) {
				print folder "/" name
				exit
			}
		}'
}

check_trust() {
	bad=$(unsafe_ancestor "$state")
	[ -z "$bad" ] || err "$bad: expected a folder of root's that nobody else can write to, and no link; found $(ls -ldn "$bad"); fix it or choose another --state-dir"
	[ -n "$B" ] || return 0
	if [ -e "$B" ] || [ -L "$B" ]; then
		is_safe_folder "$B" || err "$B: expected a folder of root's, mode 0700, found $(ls -ldn "$B"); remove it"
	fi
	bad=$(unsafe_pin)
	[ -z "$bad" ] || err "$bad: expected root's own, not writable by others, and no link; found $(ls -ldn "$bad"); remove it"
}

# --- records: in bpffs a symlink whose target is the text (it holds no files), in the state directory a file ---

recorded() { readlink "$B/${2:-$instance}/$1" 2>/dev/null; }

record() { # NAME TEXT
	[ "$(recorded "$1")" != "$2" ] || return 0
	ignore rm -f "$B/$instance/$1-new"
	ensure "$B/$instance/$1" ln -s -- "$2" "$B/$instance/$1-new"
	ensure "$B/$instance/$1" mv -fT "$B/$instance/$1-new" "$B/$instance/$1"
	changed=1
}

kept() { cat "$home/$1" 2>/dev/null; }

keep() { # NAME TEXT
	[ "$(kept "$1")" != "$2" ] || return 0
	printf '%s\n' "$2" >"$home/$1-new" || err "$home/$1: expected to write it, found the reason above"
	ensure "$home/$1" mv -f "$home/$1-new" "$home/$1"
	changed=1
}

# --- owner ---

owner_recorded() { recorded owner || kept owner || :; }

stack_of() ( # OWNER: its first two words
	rest=${1#*/*/}
	say "${1%"/$rest"}"
)

claim_owner() {
	need --owner "$owner"
	found=$(owner_recorded)
	if [ -n "$found" ] && [ "$found" != "$owner" ] && [ -z "$take_over" ] && [ "$(stack_of "$found")" != "$(stack_of "$owner")" ]; then
		err "instance $instance: expected owner $owner, found $found; remove it with «socket-bypass remove --instance $instance», or take it over with --take-over (takeOver: true)"
	fi
	make_folder "$home"
	keep owner "$owner"
	make_folder "$B/$instance"
	record owner "$owner"
}

is_mine() {
	found=$(owner_recorded)
	[ -z "$owner" ] || [ -z "$found" ] || [ "$found" = "$owner" ] || [ -n "$force" ]
}

make_folder() {
	[ -d "$1" ] || ensure "$1" mkdir -p -m 0700 "$1"
}

# --- lock: one for the host, on our folder in bpffs; the probe takes it and runs us again ---

# A removed folder shows as "... (deleted)": then the lock is on something nobody else will see.
is_locked() (
	[ -n "${SOCKET_BYPASS_LOCK-}" ] || return
	for fd in /proc/$$/fd/*; do
		[ "$(readlink "$fd")" = "$B" ] && return
	done
	return 1
)

lock() { # the script's own arguments
	make_folder "$B"
	is_locked && return
	[ "${SOCKET_BYPASS_LOCK:-0}" -lt 5 ] || err "$B: expected to lock it, found it removed each time; run this again"
	find_probe
	export SOCKET_BYPASS_LOCK=$((${SOCKET_BYPASS_LOCK:-0} + 1))
	exec "$probe" lock "$B" "$lock_seconds" -- sh "$script" "$@"
}

# --- settings in maps; both machines that we serve are little-endian ---

hex64() { printf '%02x %02x %02x %02x %02x %02x %02x %02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)) $(($1 >> 32 & 255)) $(($1 >> 40 & 255)) $(($1 >> 48 & 255)) $(($1 >> 56 & 255)); }

get_knob() { # FOLDER N -> $value
	must "knob $2" map lookup pinned "$1/maps/knobs" key hex "0$2" 00 00 00
	value=$(printf '%s\n' "$out" | awk '{
		sub(/.*"value":\["?/, ""); sub(/"?\].*/, "")
		n = split($0, byte, /"?,"?/)
		for (i = n; i > 0; i--) v = v substr(byte[i], 3)
		print "0x" v }')
	value=$((value))
}

set_knob() { # FOLDER N VALUE
	get_knob "$1" "$2"
	[ "$value" -ne "$3" ] || return 0
	# shellcheck disable=SC2046 # one argument a byte
	must "knob $2" map update pinned "$1/maps/knobs" key hex "0$2" 00 00 00 value hex $(hex64 "$3")
	changed=1
}

# "everything ports cidrs" -> 2320 bytes of hex, or the reason why not.
encode_policy() {
	everything=$1 ports=$2 cidrs=$3 awk '
		function fail(what) { print "policy: " what > "/dev/stderr"; failed = 1; exit 1 }
		function byte(v) { hex[length_++] = sprintf("%02x", v) }
		function u16(v) { byte(v % 256); byte(int(v / 256)) }
		function u32(v) { u16(v % 65536); u16(int(v / 65536)) }
		function number(text, most) { return text ~ /^[0-9]+$/ && length(text) < 6 && text + 0 <= most }
		function v4(text, at,   part, i) {
			if (split(text, part, /\./) != 4) return 0
			for (i = 1; i <= 4; i++) {
				if (!number(part[i], 255) || part[i] ~ /^0./) return 0
				address[at + i - 1] = part[i] + 0
			}
			return 1
		}
		function words(text, at, most,   part, n, i, v, k) { # colon-separated; gives the number of bytes, -1 when wrong
			if (text == "") return 0
			n = split(text, part, /:/)
			for (i = 1; i <= n; i++) {
				if (i == n && part[i] ~ /\./) {
					if (at + 4 > most || !v4(part[i], at)) return -1
					return at + 4
				}
				if (part[i] !~ /^[0-9a-fA-F]+$/ || length(part[i]) > 4 || at + 2 > most) return -1
				v = 0
				for (k = 1; k <= length(part[i]); k++) v = v * 16 + index("0123456789abcdef", tolower(substr(part[i], k, 1))) - 1
				address[at++] = int(v / 256)
				address[at++] = v % 256
			}
			return at
		}
		function v6(text,   at, head, tail, i) {
			at = index(text, "::")
			if (!at) return words(text, 0, 16) == 16
			head = substr(text, 1, at - 1); tail = substr(text, at + 2)
			if (head ~ /\./ || tail ~ /::/) return 0
			head = words(head, 0, 14)
			if (head < 0) return 0
			for (i = head; i < 16; i++) address[i] = 0
			tail = words(tail, head, 14)
			if (tail < 0) return 0
			if (tail > head) {
				for (i = 1; i <= tail - head; i++) { moved[i] = address[tail - i] }
				for (i = head; i < 16; i++) address[i] = 0
				for (i = 1; i <= tail - head; i++) address[16 - i] = moved[i]
			}
			return 1
		}
		BEGIN {
			ranges = ENVIRON["ports"] == "" ? 0 : split(ENVIRON["ports"], port, /,/)
			nets = ENVIRON["cidrs"] == "" ? 0 : split(ENVIRON["cidrs"], cidr, /,/)
			if (ranges > 64) fail("expected at most 64 port ranges, found " ranges)
			if (nets > 64) fail("expected at most 64 CIDRs, found " nets)
			u32(ENVIRON["everything"]); u32(ranges); u32(nets); u32(0)
			for (i = 1; i <= ranges; i++) {
				n = split(port[i], end, /-/)
				if (n == 1) end[2] = end[1]
				if (n > 2 || !number(end[1], 65535) || !number(end[2], 65535) || end[1] + 0 < 1 || end[1] + 0 > end[2] + 0)
					fail("expected a port from 1 to 65535 or a range such as 8000-8999, found \"" port[i] "\"")
				u16(end[1]); u16(end[2])
			}
			while (length_ < 272) byte(0)
			for (i = 1; i <= nets; i++) {
				n = split(cidr[i], part, "/")
				is4 = part[1] !~ /:/
				if (is4) { for (j = 0; j < 16; j++) address[j] = j == 10 || j == 11 ? 255 : 0 }
				most = is4 ? 32 : 128
				bits = n == 1 ? most : part[2]
				if (n > 2 || n < 1 || !number(bits, most) || !(is4 ? v4(part[1], 12) : v6(part[1])))
					fail("expected a CIDR such as 10.0.0.0/8 or fd00::/8, found \"" cidr[i] "\"")
				if (is4) bits += 96
				for (j = 0; j < 16; j++) {
					b = bits - 8 * j; b = b < 0 ? 0 : b > 8 ? 8 : b
					mask[j] = 256 - 2 ^ (8 - b)
					byte(address[j] - address[j] % (256 - mask[j]))
				}
				for (j = 0; j < 16; j++) byte(mask[j])
			}
			while (length_ < 2320) byte(0)
			for (i = 0; i < length_; i++) printf "%s%s", (i ? " " : ""), hex[i]
			print ""
		}' </dev/null
}

live_policy() { # FOLDER: the slot in force as hex
	get_knob "$1" 1
	slot=$((value & 1))
	must "policy" map lookup pinned "$1/maps/policies" key hex "0$slot" 00 00 00
	live=$(printf '%s\n' "$out" | awk '{ sub(/.*"value":\["?/, ""); sub(/"?\].*/, ""); gsub(/"?,"?/, " "); gsub(/0x/, ""); print }')
}

put_policy() { # FOLDER HEX ENABLED QUEUE-BYTES: the slot not in use, then the selector, then the switch
	live_policy "$1"
	if [ "$live" != "$2" ]; then
		# shellcheck disable=SC2086 # one argument a byte
		must "policy" map update pinned "$1/maps/policies" key hex "0$((1 - slot))" 00 00 00 value hex $2
		set_knob "$1" 1 $((1 - slot))
	fi
	set_knob "$1" 2 "$4"
	set_knob "$1" 0 "$3"
}

policy_field() { kept policy | sed -n "s/^$1=//p"; }

# What was declared last, into the maps of a generation.
restore_policy() { # FOLDER
	[ -f "$home/policy" ] || { warn "note: no policy is declared yet, so nothing is bypassed" && return; }
	hex=$(encode_policy "$(policy_field everything)" "$(policy_field ports)" "$(policy_field cidrs)") || exit
	put_policy "$1" "$hex" "$(drain_declared)" "$(policy_field queue)"
}

drain_declared() { [ "$(policy_field enabled)" = false ] && say 1 || say 0; }

# --- what is pinned; a generation's folder is complete as far as each check says ---

is_map() { # PIN TYPE KEY VALUE ENTRIES
	[ -e "$1" ] || return
	must "$1" map show pinned "$1"
	for fact in "\"type\":\"$2\"" "\"bytes_key\":$3," "\"bytes_value\":$4," "\"max_entries\":$5,"; do
		case $out in *"$fact"*) ;; *) return 1 ;; esac
	done
}

has_maps() { # FOLDER SOCKETS PENDING
	is_map "$1/sockets" sockhash 8 8 "$2" && is_map "$1/claims" lru_hash 16 16 "$3"
}

is_program() { # FOLDER PIN TYPE: pinned, and of the maps that are pinned beside it
	[ -e "$1/$2" ] || return
	must "$1/$2" prog show pinned "$1/$2"
	case $out in *"\"type\":\"$3\""*) ;; *) return 1 ;; esac
	used=${out#*\"map_ids\":[}
	used=,${used%%]*},
	for map in sockets claims; do
		id_of map "$1/$map"
		case $used in *",$value,"*) ;; *) return 1 ;; esac
	done
	for map in $map_names; do
		[ -e "$1/maps/$map" ] || return
	done
	id_of map "$1/maps/knobs"
	case $used in *",$value,"*) ;; *) return 1 ;; esac
}

has_track() { is_program "$1" track sock_ops; }
has_redirect() { is_program "$1" redirect sk_msg; }

has_verdict() { # the kernel does not tell every bpftool what is attached to a map: a record that dies with it does
	[ -L "$1/verdict" ] || return
	id_of prog "$1/redirect"
	[ -n "$value" ] && [ "$(readlink "$1/verdict")" = "$value" ]
}

make_maps() { # FOLDER SOCKETS PENDING
	make_folder "$1"
	must "$1/sockets" map create "$1/sockets" type sockhash key 8 value 8 entries "$2" name sockets
	must "$1/claims" map create "$1/claims" type lru_hash key 16 value 16 entries "$3" name claims
}

load_track() { # FOLDER OBJECT: pinned aside with its maps and renamed, the program last
	ignore rm -rf "$1/track-new" "$1/maps-new"
	must "$2" prog load "$2" "$1/track-new" type sockops map name sockets pinned "$1/sockets" map name claims pinned "$1/claims" pinmaps "$1/maps-new"
	ensure "$1/maps" mv -T "$1/maps-new" "$1/maps"
	ensure "$1/track" mv -T "$1/track-new" "$1/track"
}

load_redirect() { # FOLDER OBJECT
	folder=$1 object=$2
	set --
	for map in $map_names; do
		set -- "$@" map name "$map" pinned "$folder/maps/$map"
	done
	must "$object" prog load "$object" "$folder/redirect" type sk_msg "$@"
}

attach_verdict() { # FOLDER
	must "$1/redirect" prog attach pinned "$1/redirect" msg_verdict pinned "$1/sockets"
	id_of prog "$1/redirect"
	ignore rm -f "$1/verdict"
	ensure "$1/verdict" ln -s "$value" "$1/verdict"
}

# Makes the generation's folder good up to a stage: whatever a killed run or a person left wrong is taken down and made anew.
build() { # maps|track|redirect|verdict
	shape=$(kept shape)
	folder=$B/$instance/$generation objects=$home/$generation
	[ -f "$objects/track.bpf.o" ] || err "$objects: expected the files of generation $generation, found none; run object install first"
	[ -n "$shape" ] || err "instance $instance: expected its map sizes, found none; run map create first"
	if [ -d "$folder" ]; then
		keep_folder=1
		has_maps "$folder" "${shape% *}" "${shape#* }" || keep_folder=
		if [ -e "$folder/maps" ] || [ -e "$folder/redirect" ]; then
			has_track "$folder" || keep_folder=
		fi
		[ -n "$keep_folder" ] || retire "$folder" "$drain_seconds"
	fi
	if [ ! -e "$folder/sockets" ]; then
		undo_with "rm -rf '$folder'"
		make_folder "$B/$instance"
		make_maps "$folder" "${shape% *}" "${shape#* }"
		changed=1
	fi
	[ "$1" != maps ] || return 0
	if [ ! -e "$folder/track" ]; then
		undo_with "rm -rf '$folder/track' '$folder/track-new' '$folder/maps' '$folder/maps-new'"
		load_track "$folder" "$objects/track.bpf.o"
		changed=1
	fi
	[ "$1" != track ] || return 0
	if ! has_redirect "$folder"; then
		ignore rm -f "$folder/redirect" "$folder/verdict"
		undo_with "rm -f '$folder/redirect'"
		load_redirect "$folder" "$objects/redirect.bpf.o"
		changed=1
	fi
	[ "$1" != redirect ] || return 0
	if ! has_verdict "$folder"; then
		undo_with "bpf prog detach pinned '$folder/redirect' msg_verdict pinned '$folder/sockets'; rm -f '$folder/verdict'"
		attach_verdict "$folder"
		changed=1
	fi
}

# --- cgroups ---

# Every sock_ops program below the v2 root -> $hooks, a line each: id, flags (or none), path
list_hooks() {
	tries=3
	# A cgroup that vanishes during the walk fails it.
	until bpf cgroup tree "$v2"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || err "$v2: expected bpftool cgroup tree to work, found: $(explain)"
	done
	hooks=$(printf '%s\n' "$out" | awk '{
		n = split($0, group, /[{]"cgroup":"/)
		for (i = 2; i <= n; i++) {
			end = index(group[i], "\",\"programs\":[")
			raw = substr(group[i], 1, end - 1); path = ""
			while (k = index(raw, "\\")) { path = path substr(raw, 1, k - 1) substr(raw, k + 1, 1); raw = substr(raw, k + 2) }
			m = split(substr(group[i], end), program, /[{]/)
			for (j = 2; j <= m; j++) {
				if (program[j] !~ /"attach_type":"(cgroup_)?sock_ops"/) continue
				id = flags = program[j]
				sub(/^"id":/, "", id); sub(/,.*/, "", id)
				if (!sub(/.*"attach_flags":"/, "", flags)) flags = ""
				sub(/".*/, "", flags)
				print id, (flags == "" ? "none" : flags), path raw
			}
		}
	}')
}

places_of() { # PROGRAM-ID: the cgroups of $hooks that it is attached to
	printf '%s\n' "$hooks" | awk -v id="$1" '$1 == id { sub(/^[^ ]* [^ ]* /, ""); print }'
}

detach_program() { # PIN [CGROUP-TO-LEAVE-ALONE]
	id_of prog "$1"
	places=$(places_of "$value")
	while IFS= read -r place; do
		[ -n "$place" ] && [ "$place" != "${2:-}" ] || continue
		bpf cgroup detach "$place" sock_ops pinned "$1" || [ ! -d "$place" ] ||
			err "$place: expected to detach $1, found: $(explain); run this again"
		changed=1
	done <<-END
		$places
	END
}

are_related() { # PATH PATH: the same, or one above the other
	case ${1%/}/ in "${2%/}"/*) return ;; esac
	case ${2%/}/ in "${1%/}"/*) return ;; esac
	return 1
}

clean_cgroup() {
	case /$cgroup/ in
	*/../* | */./* | *[[:cntrl:]]*) usage "--cgroup: expected a path below the cgroup v2 mount, found $cgroup" ;;
	*.service/* | *.scope/*) usage "--cgroup: expected a slice, found $cgroup; a cgroup of a single .service or .scope unit vanishes when it restarts, choose the slice above it" ;;
	esac
	cgroup=$(printf '%s\n' "/$cgroup/" | sed 's://*:/:g; s:\(.\)/$:\1:')
	cgroup_folder=$v2${cgroup%/}
}

check_cgroup() {
	[ -n "$v2" ] || err "cgroup v2: expected a cgroup2 mount, found none; mount one or boot with systemd.unified_cgroup_hierarchy=1" 3
	[ -d "$cgroup_folder" ] || err "--cgroup $cgroup: expected the folder $cgroup_folder (cgroup v2 is mounted at $v2), found none; create it, or name one that is there"
}

# Other instances whose cgroup is ours, above or below -> $rivals
list_rivals() {
	rivals=
	for other in "$B"/*/cgroup; do
		other=${other%/cgroup}
		other=${other##*/}
		[ "$other" != "$instance" ] && theirs=$(recorded cgroup "$other") && are_related "$theirs" "$cgroup" && rivals="$rivals $other"
	done
	return 0
}

rival_reason() { say "cgroup $cgroup: expected no other instance on it, above or below, found $1 on $(recorded cgroup "$1"); remove it with «socket-bypass remove --instance $1», or take it over with --take-over (takeOver: true)"; }

# --- drain and sweep ---

# flows.bpf.o of that very generation: it knows how its maps look.
list_sockets() { # FOLDER -> $sockets_listed
	ignore rm -f "$1/flows"
	owned=${1#"$B"/}
	object=$(find_file flows.bpf.o "$state/$owned") || return
	bpf iter pin "$object" "$1/flows" map pinned "$1/sockets" || return
	sockets_listed=$(cat "$1/flows") || return
	ignore rm -f "$1/flows"
}

# Takes out every socket whose queues are empty; those that hold unread bytes get some time.
sweep() { # FOLDER SECONDS -> $left, $unread
	left=0 unread=0
	deadline=$(($(date +%s) + $2))
	while :; do
		if ! list_sockets "$1"; then
			warn "note: $1: expected to list its sockets, found: $(explain); those that are open go on by TCP and stay in the map"
			left=$(count_keys "$1/sockets") || left=0
			return 0
		fi
		# shellcheck disable=SC2046 # three numbers
		set -- "$1" "$2" $(printf '%s\n' "$sockets_listed" | awk 'NF > 1 { n++ } $2 == "idle" { idle++ } $2 == "unread" { unread++ } END { print n + 0, idle + 0, unread + 0 }')
		left=$3 unread=$5
		[ "$3" -gt 0 ] || return 0
		# A socket that closed meanwhile ends the batch: the next round goes on.
		[ "$4" -eq 0 ] || printf '%s\n' "$sockets_listed" | awk -v map="$1/sockets" '$2 == "idle" { gsub(/:/, " ", $1); print "map delete pinned " map " key hex " $1 }' | ignore "$bpftool" batch file -
		[ "$(date +%s)" -lt "$deadline" ] || [ "$4" -eq "$3" ] && [ "$(date +%s)" -le "$deadline" ] || return 0
		[ "$4" -gt 0 ] || sleep 0.2 2>/dev/null || sleep 1
	done
}

count_keys() { # MAP-PIN
	"$bpftool" -j map dump pinned "$1" 2>/dev/null | awk '/"error":/ { exit 1 } { n += gsub(/"key":\[/, "") } END { print n + 0 }'
}

# Drains a generation, takes it off its cgroups and unpins it. What still holds unread bytes goes on by TCP and keeps the
# programs alive in the kernel until it closes.
retire() { # FOLDER SECONDS
	[ -d "$1" ] || return 0
	changed=1
	stays=0 stays_unread=0
	if [ -e "$1/maps/knobs" ] && [ -e "$1/sockets" ]; then
		set_knob "$1" 0 1
		keys=$(count_keys "$1/sockets") || keys=1
		if [ "$keys" -gt 0 ]; then
			find_probe
			ensure "grace period" "$probe" grace
			sweep "$1" "$2"
			stays=$left stays_unread=$unread
		fi
	fi
	if [ -e "$1/track" ]; then
		list_hooks
		detach_program "$1/track"
	fi
	[ ! -L "$1/verdict" ] || ignore "$bpftool" prog detach pinned "$1/redirect" msg_verdict pinned "$1/sockets"
	ensure "$1" rm -rf "$1"
	total_left=$((total_left + stays)) total_unread=$((total_unread + stays_unread))
	[ "$stays" -eq 0 ] || warn "note: generation ${1##*/}: $stays sockets stay on the unpinned programs until they close and go on by TCP; $stays_unread of them hold unread bytes"
}

left_over() { [ "$total_left" -eq 0 ] || say " left=$total_left unread=$total_unread"; }

# Everything of an instance in bpffs.
retire_instance() { # INSTANCE
	for folder in "$B/$1"/*; do
		[ ! -d "$folder" ] || [ -L "$folder" ] || retire "$folder" "$drain_seconds"
	done
	ensure "$B/$1" rm -rf "$B/$1"
}

# --- steps ---

serial_of() { sed -n '1s/ .*//p' "$home/serials/$1" 2>/dev/null; }

# A step's serial grows when it changed anything, when an earlier attempt ended half-way, when its predecessor's grew, and with
# each generation: so everything behind a step that really ran runs again.
step() { # NAME PREDECESSOR FUNCTION...
	current_step=$1
	make_folder "$home/serials"
	seen="$(serial_of "$2") $generation"
	changed=
	[ ! -e "$home/serials/$1-running" ] || changed=1
	ensure "$home/serials" touch "$home/serials/$1-running"
	shift 2
	"$@"
	undo=
	serial=$(serial_of "$current_step")
	[ "$(sed -n '1s/^[^ ]* //p' "$home/serials/$current_step" 2>/dev/null)" = "$seen" ] || changed=1
	# The first one is a time, so that it also grows when the state directory was lost.
	[ -z "$changed" ] || serial=$((${serial:-$(date +%s)} + 1))
	was=$changed
	keep "serials/$current_step" "$serial $seen"
	changed=$was
	ensure "$home/serials" rm -f "$home/serials/$current_step-running"
}

install_object() {
	need --from "$from"
	[ -f "$from/socket-bypass" ] || err "--from $from: expected the unpacked bundle, found no socket-bypass in it"
	preflight
	claim_owner
	drop_trials
	new=$home/$generation-new
	ignore rm -rf "$new"
	cleanup="rm -rf '$new'; $cleanup"
	ensure "$new" mkdir -m 0700 "$new"
	if [ -n "$compile" ]; then
		sh "$from/build.sh" "$new" >&2 || err "build.sh: expected the objects to compile, found the reason above"
	fi
	for file in socket-bypass track.bpf.o redirect.bpf.o flows.bpf.o "probe-$(machine)"; do
		[ -e "$new/$file" ] || ensure "$file" cp "$from/$file" "$new/$file"
	done
	ensure "$new" chmod 0700 "$new/socket-bypass" "$new/probe-$(machine)"
	if [ "$(digest "$new")" != "$(digest "$home/$generation")" ]; then
		ignore rm -rf "$home/$generation"
		ensure "$home/$generation" mv -T "$new" "$home/$generation"
		changed=1
	fi
	ignore rm -rf "$new"
	# Delete lines use this copy: no upgrade prunes it.
	if [ "$(sha256sum <"$home/$generation/socket-bypass")" != "$(sha256sum 2>/dev/null <"$home/socket-bypass")" ]; then
		ensure "$home/socket-bypass" cp "$home/$generation/socket-bypass" "$home/socket-bypass-new"
		ensure "$home/socket-bypass" mv -f "$home/socket-bypass-new" "$home/socket-bypass"
		changed=1
	fi
	make_link
	keep declared "$generation"
	prune
}

digest() (cd "$1" 2>/dev/null && sha256sum ./*)

prune() { # what neither serves nor is being installed
	for folder in "$home"/* "$B/$instance"/*; do
		g=${folder##*/}
		is_generation "${g%-new}" || continue
		[ "$g" != "$generation" ] && [ "$g" != "$(recorded serving)" ] && [ "$g" != "$(readlink "$home/current")" ] || continue
		retire "$B/$instance/$g" "$drain_seconds"
		ensure "$home/$g" rm -rf "$home/$g"
		changed=1
	done
}

drop_trials() { # of runs that were killed
	for folder in "$B"/_try-*; do
		[ ! -d "$folder" ] || ignore kill -0 "${folder##*-}" || :
		[ ! -d "$folder" ] || kill -0 "${folder##*-}" 2>/dev/null || ignore rm -rf "$folder"
	done
}

link=/usr/local/sbin/socket-bypass

make_link() {
	[ "$(readlink "$link")" != "$home/socket-bypass" ] || return 0
	# Somebody's own program, or another instance's script that is there, stays.
	[ ! -e "$link" ] || return 0
	ignore mkdir -p "${link%/*}"
	ln -sf "$home/socket-bypass" "$link" 2>/dev/null || warn "note: $link: expected to link it, found a file system that refuses; type sh $home/socket-bypass"
}

drop_link() {
	[ "$(readlink "$link")" = "$home/socket-bypass" ] || return 0
	ignore rm -f "$link"
	for other in "$state"/*/socket-bypass; do
		[ "$other" != "$home/socket-bypass" ] && [ -f "$other" ] && ignore ln -s "$other" "$link" && return
	done
	return 0
}

create_maps() {
	claim_owner
	keep shape "$sockets $pending"
	build maps
}

load_program() { claim_owner && build "$1"; }

do_verdict() { claim_owner && build verdict; }

set_policy() {
	claim_owner
	hex=$(encode_policy "$everything" "$ports" "$cidrs") || exit
	build verdict
	# Saved for the next boot before it goes live.
	keep policy "everything=$everything
ports=$ports
cidrs=$cidrs
enabled=$enabled
queue=$queue_bytes"
	drain=0
	[ "$enabled" = true ] || drain=1
	put_policy "$B/$instance/$generation" "$hex" "$drain" "$queue_bytes"
}

do_attach() {
	claim_owner
	check_cgroup
	list_rivals
	[ -z "$rivals" ] || [ -n "$take_over" ] || err "$(rival_reason "${rivals##* }")"
	build verdict
	mine=$B/$instance/$generation
	list_hooks
	old=
	for folder in "$B/$instance"/*; do
		! is_generation "${folder##*/}" || [ "$folder" = "$mine" ] || old="$old $folder"
	done
	for other in $rivals; do
		for folder in "$B/$other"/*; do
			! is_generation "${folder##*/}" || old="$old $folder"
		done
	done
	for folder in $old; do
		[ -e "$folder/maps/knobs" ] || continue
		get_knob "$folder" 0
		[ "$value" -ne 0 ] || undo_with "set_knob '$folder' 0 0"
		set_knob "$folder" 0 1
	done
	id_of prog "$mine/track"
	if ! places_of "$value" | grep -qxF -- "$cgroup_folder"; then
		undo_with undo_attach
		must "$cgroup" cgroup attach "$cgroup_folder" sock_ops pinned "$mine/track" multi
		changed=1
	fi
	restore_policy "$mine"
	record cgroup "$cgroup"
	record serving "$generation"
	# The new one serves: from here a failure is finished by the next run, not undone.
	undo=
	for folder in $old; do
		retire "$folder" "$drain_seconds"
	done
	for other in $rivals; do
		retire_instance "$other"
	done
	list_hooks
	detach_program "$mine/track" "$cgroup_folder"
	keep cgroup "$cgroup"
	if [ "$(readlink "$home/current")" != "$generation" ]; then
		ignore rm -f "$home/current-new"
		ensure "$home/current" ln -s "$generation" "$home/current-new"
		ensure "$home/current" mv -fT "$home/current-new" "$home/current"
		changed=1
	fi
}

undo_attach() {
	set_knob "$mine" 0 1
	bpf cgroup detach "$cgroup_folder" sock_ops pinned "$mine/track"
}

# --- self-test: own maps and programs, a private cgroup, always removed ---

do_selftest() {
	claim_owner
	cleanup="drop_selftest; $cleanup"
	drop_selftest
	[ -z "$off" ] || return 0
	check_cgroup
	was=$changed
	trial=$B/$instance/selftest
	make_maps "$trial" 4096 1024
	load_track "$trial" "$home/$generation/track.bpf.o"
	load_redirect "$trial" "$home/$generation/redirect.bpf.o"
	attach_verdict "$trial"
	put_policy "$trial" "$(encode_policy 1 '' '')" 0 0
	find_probe
	# A container may not leave its own cgroup namespace: there its own cgroup is the place.
	for parent in "$v2" "$v2$(sed -n 's/^0:://p' /proc/self/cgroup)"; do
		private=${parent%/}/socket-bypass-selftest-$$
		ignore mkdir "$private"
		why=$("$probe" cgroup "$private" -- true 2>&1) && break
		ignore rmdir "$private"
		private=
	done
	[ -n "$private" ] || err "selftest: expected to run in a cgroup of its own below $v2, found: $why"
	must "selftest" cgroup attach "$private" sock_ops pinned "$trial/track" multi
	verdict=$("$probe" cgroup "$private" -- "$probe" selftest --seconds "$timeout")
	code=$?
	failed=$(printf '%s\n' "$verdict" | awk '{ n = split($0, part, /[{]"ok":false/); for (i = 1; i < n; i++) { sub(/":$/, "", part[i]); sub(/.*"/, "", part[i]); if (part[i] != "") printf " %s", part[i] } }')
	[ "$code" -eq 0 ] && [ -z "$failed" ] || err "selftest: expected every case to pass, found$failed failed (exit $code)${verdict:+: $verdict}; this kernel does not behave, nothing was attached"
	count_all "$trial"
	pairs=$(counter_of pairs)
	messages=$(counter_of redirected_messages)
	[ "$pairs" -gt 0 ] && [ "$messages" -gt 0 ] || err "selftest: expected messages to be redirected, found $pairs pairs and $messages messages; this kernel does not pair local sockets, nothing was attached"
	# What was made is thrown away.
	changed=$was
}

drop_selftest() {
	for private in "$v2"/socket-bypass-selftest-* "$v2$(sed -n 's/^0:://p' /proc/self/cgroup)"/socket-bypass-selftest-*; do
		[ -d "$private" ] || continue
		# Of a killed run: nobody else works here while we hold the lock.
		while IFS= read -r pid; do ignore kill -9 "$pid"; done <"$private/cgroup.procs"
		for try in 1 2 3 4 5; do
			rmdir "$private" 2>/dev/null && break
			sleep 0.2 2>/dev/null || sleep "$try"
		done
	done
	ignore rm -rf "$B/$instance/selftest"
}

answer_selftest() {
	facts=null
	[ -n "$off" ] || facts=$(printf '%s\n' "$verdict" | sed -n 's/.*"facts":\([{][^}]*}\).*/\1/p')
	result=passed
	[ -z "$off" ] || result=off pairs=0 messages=0
	say "{\"serial\":$serial,\"selftest\":\"$result\",\"kernel\":$(json "$(uname -r)"),\"machine\":$(json "$(machine)"),\"pairs\":$pairs,\"redirected\":$messages,\"facts\":${facts:-null}}"
}

# --- counters and status ---

count_all() { # FOLDER -> $counts, "name value" a line
	must "counters" map dump pinned "$1/maps/counters"
	counts=$(printf '%s\n' "$out" | awk -v names="$counter_names" '
		function number(text,   byte, n, i, v) {
			n = split(text, byte, ",")
			for (i = n; i > 0; i--) v = v * 256 + (index("0123456789abcdef", substr(byte[i], 4, 1)) - 1) * 16 + index("0123456789abcdef", substr(byte[i], 5, 1)) - 1
			return v
		}
		{
			split(names, name, " ")
			n = split($0, entry, /"key":\["/)
			for (i = 2; i <= n; i++) {
				key = number("\"" substr(entry[i], 1, 4) "\""); total = 0
				sub(/"formatted".*/, "", entry[i])
				while (match(entry[i], /"value":\[[^]]*\]/)) {
					total += number(substr(entry[i], RSTART + 9, RLENGTH - 10))
					entry[i] = substr(entry[i], RSTART + RLENGTH)
				}
				if (key + 1 in name) printf "%s %.0f\n", name[key + 1], total
			}
		}')
}

counter_of() { printf '%s\n' "$counts" | sed -n "s/^$1 //p"; }

json() { # TEXT: as a JSON string
	printf '%s' "$1" | awk '
		BEGIN { for (i = 1; i < 32; i++) control[sprintf("%c", i)] = sprintf("\\u%04x", i) }
		{
			if (NR > 1) text = text "\\n"
			for (i = 1; i <= length($0); i++) {
				c = substr($0, i, 1)
				text = text (c == "\"" || c == "\\" ? "\\" c : c in control ? control[c] : c)
			}
		}
		END { print "\"" text "\"" }'
}

# What there is to say of an instance, tab-separated: kind, then values.
fact() (
	printf '%s' "$1"
	shift
	for word in "$@"; do
		printf '\t%s' "$(printf '%s' "$word" | tr '\t\n' '  ')"
	done
	echo
)

observe() {
	fact instance "$instance"
	declared=$(kept declared) serving=$(recorded serving) cgroup=$(recorded cgroup || kept cgroup)
	fact owner "$(owner_recorded)"
	fact declared "$declared"
	fact serving "$serving"
	fact current "$(readlink "$home/current")"
	fact cgroup "$cgroup"
	[ ! -f "$home/policy" ] || fact policy "$(policy_field everything)" "$(policy_field ports)" "$(policy_field cidrs)" "$(policy_field enabled)" "$(policy_field queue)"
	[ -n "$serving" ] || fact problem "nothing is attached"
	[ "${serving:-$declared}" = "$declared" ] || fact problem "generation $declared is declared, $serving serves"
	[ "$(readlink "$home/current")" = "$serving" ] || fact problem "current does not name the serving generation"
	[ -n "$B" ] || return 0
	list_hooks
	for folder in "$B/$instance"/*; do
		is_generation "${folder##*/}" || continue
		observe_generation "$folder" "${folder##*/}"
	done
}

observe_generation() { # FOLDER GENERATION
	fact generation "$2"
	for pin in track redirect; do
		id_of prog "$1/$pin"
		[ -n "$value" ] || { fact problem "$2: $pin is not pinned" && continue; }
		pin_id=$value
		field name && name=$value && field tag
		fact program "$pin" "$pin_id" "$name" "$value"
	done
	for pin in sockets claims; do
		id_of map "$1/$pin"
		[ -n "$value" ] || { fact problem "$2: $pin is not pinned" && continue; }
		pin_id=$value
		field type && name=$value && field max_entries
		fact map "$pin" "$pin_id" "$name" "$value"
	done
	has_track "$1" || fact problem "$2: track does not use the pinned maps"
	has_redirect "$1" || fact problem "$2: redirect does not use the pinned maps"
	has_verdict "$1" && fact verdict attached || { fact verdict detached && fact problem "$2: the verdict is not attached"; }
	id_of prog "$1/track"
	places=$(places_of "$value")
	hook_id=$value
	printf '%s\n' "$hooks" | while IFS=' ' read -r id flags place; do
		[ "$id" != "$hook_id" ] || fact attached "$2" "$flags" "${place#"$v2"}/"
	done
	if [ "$2" = "$serving" ]; then
		[ "$places" = "$v2${cgroup%/}" ] || fact problem "$2: expected to be attached to $cgroup, found ${places:-nowhere}"
	elif [ -n "$places" ]; then
		fact problem "$2: does not serve but is attached"
	fi
	[ -e "$1/maps/knobs" ] || return 0
	get_knob "$1" 0
	fact drain "$value"
	if [ "$2" = "$serving" ] && [ -f "$home/policy" ]; then
		[ "$value" = "$(drain_declared)" ] || fact problem "$2: drain is $value, declared $(drain_declared)"
		live_policy "$1"
		[ "$live" = "$(encode_policy "$(policy_field everything)" "$(policy_field ports)" "$(policy_field cidrs)")" ] || fact problem "$2: the policy in force is not the declared one"
		get_knob "$1" 2
		[ "$value" = "$(policy_field queue)" ] || fact problem "$2: queue bytes is $value, declared $(policy_field queue)"
	fi
	fact sockets "$(count_keys "$1/sockets")"
	count_all "$1"
	printf '%s\n' "$counts" | while read -r name value; do fact counter "$name" "$value"; done
}

render() { # text|json, of the facts on stdin
	awk -F '\t' -v as="$1" '
		BEGIN { for (i = 1; i < 32; i++) control[sprintf("%c", i)] = sprintf("\\u%04x", i) }
		function quote(s,   i, c, t) {
			for (i = 1; i <= length(s); i++) { c = substr(s, i, 1); t = t (c == "\"" || c == "\\" ? "\\" c : c in control ? control[c] : c) }
			return "\"" t "\""
		}
		function add(list, item) { return list (list == "" ? "" : ",") item }
		function trim(path) { return path == "/" ? path : substr(path, 1, length(path) - 1) }
		function close_generation() {
			if (generation != "") generations = add(generations, "{" generation ",\"programs\":{" programs "},\"maps\":{" maps "},\"counters\":{" counters "}}")
			generation = programs = maps = counters = ""
		}
		as == "text" {
			if ($1 == "policy") print "policy: " ($2 ? "everything" : "ports " ($3 == "" ? "any" : $3) ", cidrs " ($4 == "" ? "any" : $4)) ($5 == "false" ? ", not enabled" : "") ($6 ? ", queue " $6 " bytes" : "")
			else if ($1 == "attached") print "  attached: " trim($4) " (" $3 ")"
			else if ($1 == "program") print "  program " $2 ": id " $3 ", " $4 ", tag " $5
			else if ($1 == "map") print "  map " $2 ": id " $3 ", " $4 ", " $5 " entries"
			else if ($1 == "counter") print "    " $2 " " $3
			else if ($1 == "drain") print "  drain: " ($2 ? "on" : "off")
			else if ($1 ~ /^(verdict|sockets)$/) print "  " $1 ": " $2
			else print $1 ": " ($2 == "" ? "-" : $2)
			if ($1 == "problem") problems = 1
			next
		}
		$1 ~ /^(instance|owner|declared|serving|current|cgroup)$/ { head = add(head, quote($1) ":" ($2 == "" ? "null" : quote($2))) }
		$1 == "policy" { head = add(head, "\"policy\":{\"everything\":" ($2 ? "true" : "false") ",\"ports\":" quote($3) ",\"cidrs\":" quote($4) ",\"enabled\":" ($5 == "false" ? "false" : "true") ",\"queueBytes\":" ($6 + 0) "}") }
		$1 == "problem" { problems = add(problems, quote($2)) }
		$1 == "attached" { attached = add(attached, "{\"generation\":" quote($2) ",\"flags\":" quote($3) ",\"cgroup\":" quote(trim($4)) "}") }
		$1 == "generation" { close_generation(); generation = "\"generation\":" quote($2) }
		$1 == "program" { programs = add(programs, quote($2) ":{\"id\":" $3 ",\"name\":" quote($4) ",\"tag\":" quote($5) "}") }
		$1 == "map" { maps = add(maps, quote($2) ":{\"id\":" $3 ",\"type\":" quote($4) ",\"entries\":" $5 "}") }
		$1 == "verdict" { generation = generation ",\"verdict\":" quote($2) }
		$1 == "drain" { generation = generation ",\"drain\":" ($2 ? "true" : "false") }
		$1 == "sockets" { generation = generation ",\"sockets\":" ($2 == "" ? "null" : $2) }
		$1 == "counter" { counters = add(counters, quote($2) ":" $3) }
		END {
			if (as == "text") { print "as declared: " (problems ? "no" : "yes"); exit }
			close_generation()
			print "{" head ",\"healthy\":" (problems == "" ? "true" : "false") ",\"problems\":[" problems "],\"attachments\":[" attached "],\"generations\":[" generations "]}"
		}'
}

cmd_status() {
	as=text
	[ -z "$as_json" ] || as=json
	list=$instance
	if [ -z "$list" ]; then
		list=$(for folder in "$state"/*/owner ${B:+"$B"/*/owner}; do
			[ -e "$folder" ] || [ -L "$folder" ] || continue
			folder=${folder%/owner} && is_name "${folder##*/}" && say "${folder##*/}"
		done | sort -u)
	elif [ ! -d "$home" ] && [ ! -d "$B/$instance" ]; then
		err "instance $instance: expected it in $state or ${B:-bpffs}, found neither; see socket-bypass status"
	fi
	answers=
	for instance in $list; do
		home=$state/$instance
		facts=$(observe) || exit
		answers="$answers${answers:+
}$(printf '%s\n' "$facts" | render "$as")"
	done
	if [ "$as" = json ] && [ -z "$one" ]; then
		printf '%s\n' "$answers" | awk 'NF { printf "%s%s", (n++ ? "," : "["), $0 } END { print (n ? "" : "[") "]" }'
	else
		say "${answers:-no instance is installed}"
	fi
}

# --- preflight ---

finding() { # host|kernel MESSAGE
	warn "$2"
	refused=1
	[ "$1" != kernel ] || fail_code=3
}

has_capability() { [ $(($1 >> $2 & 1)) -eq 1 ]; }

# Plain TCP accepted by an MPTCP listener, then put into a sockmap, crashes the kernel: known before anything is loaded, by
# version, for there is no safe way to try. Debian tells the stable version in uname -v, Ubuntu in version_signature.
check_mptcp() {
	[ -e /proc/sys/net/mptcp/enabled ] || return 0
	release=$(uname -v | sed -n 's/.*Debian \([0-9][0-9.]*\).*/\1/p')
	[ -n "$release" ] || release=$(sed -n 's/^Ubuntu [^ ]* \([0-9][0-9.]*\).*/\1/p' /proc/version_signature 2>/dev/null)
	[ -n "$release" ] || release=$(uname -r)
	release=$(say "$release" | sed 's/[^0-9.].*//')
	major=${release%%.*} minor=${release#*.} patch=${release#*.*.}
	[ "$patch" != "$release" ] || patch=0
	minor=${minor%%.*} patch=${patch%%.*}
	case $major.$minor in
	5.[0-5] | [0-4].*) return 0 ;;
	6.1) fixed=159 ;;
	6.6) fixed=119 ;;
	6.12) fixed=60 ;;
	6.?) fixed=none ;;
	6.1[0-7]) fixed=none ;;
	5.*) fixed=none ;;
	*) return 0 ;;
	esac
	[ "$fixed" = none ] || [ "${patch:-0}" -lt "$fixed" ] || return 0
	if [ "$(cat /proc/sys/net/mptcp/enabled)" = 1 ]; then
		finding kernel "kernel $release: expected the fix of the oops in mptcp_stream_accept (6.1.159, 6.6.119, 6.12.60, 6.18), found an older one with net.mptcp.enabled=1; update the kernel, or set net.mptcp.enabled=0 (in every network namespace) and restart what listens with MPTCP (Go does)"
	else
		warn "note: kernel $release: MPTCP listeners would crash it (fixed in 6.1.159, 6.6.119, 6.12.60, 6.18); leave net.mptcp.enabled at 0 in every network namespace"
	fi
}

check_host() {
	missing=
	for tool in awk cat chmod cp date grep id ln ls mkdir mount mv readlink rm rmdir sed sha256sum sleep sort touch tr uname; do
		command -v "$tool" >/dev/null || missing="$missing $tool"
	done
	[ -z "$missing" ] || finding host "tools: expected all, found these missing:$missing"
	capabilities=0x$(sed -n 's/^CapEff:[^0-9a-f]*//p' /proc/self/status)
	if [ "$(id -u)" != 0 ]; then
		finding host "user: expected root, found $(id -un 2>/dev/null || id -u); say how to become root (become: \"sudo -n\")"
	elif ! has_capability "$capabilities" 21 && ! { has_capability "$capabilities" 39 && has_capability "$capabilities" 38 && has_capability "$capabilities" 12; }; then
		finding host "capabilities: expected CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN (or CAP_SYS_ADMIN), found $capabilities"
	fi
	if [ -z "$bpftool" ]; then
		finding host "bpftool: expected one that runs, found none; install it (Debian: bpftool, Ubuntu: linux-tools-$(uname -r), RHEL: bpftool)"
	else
		version=$("$bpftool" version 2>/dev/null | sed -n '1s/.*v\([0-9]\)/\1/p')
		old=
		"$bpftool" prog help 2>&1 | grep -q pinmaps || old="$old prog-load-pinmaps"
		"$bpftool" iter help 2>&1 | grep -q pin || old="$old iter-pin"
		"$bpftool" map help 2>&1 | grep -q sockhash || old="$old map-create-sockhash"
		"$bpftool" cgroup help 2>&1 | grep -q sock_ops || old="$old cgroup-attach-sock_ops"
		[ -z "$old" ] || finding host "bpftool $version: expected 5.8 or newer, found one without$old; install a newer one"
	fi
	case $(machine) in
	x86_64 | aarch64) ;;
	*) finding kernel "machine: expected x86_64 or aarch64, found $(machine)" ;;
	esac
	probe_file=$(find_file "probe-$(machine)") || probe_file=
	if [ -n "$probe_file" ]; then
		ignore "$probe_file" grace
		"$probe_file" grace >/dev/null 2>&1 || finding host "$probe_file: expected it to run, found that it does not (exit $?); is the folder mounted noexec? choose another --state-dir"
	fi
	[ -z "$compile" ] || command -v clang >/dev/null || ls /usr/bin/clang-[0-9]* >/dev/null 2>&1 || finding host "clang: expected 14 or newer for --compile, found none; install it, or use the prebuilt objects"
	[ -d "$state" ] || ignore mkdir -p -m 0700 "$state"
}

check_kernel() {
	[ -r /sys/kernel/btf/vmlinux ] || finding kernel "BTF: expected /sys/kernel/btf/vmlinux, found none; use a kernel with CONFIG_DEBUG_INFO_BTF"
	case $(cat /sys/kernel/security/lockdown 2>/dev/null) in
	*'[confidentiality]'*) finding kernel "lockdown: expected none or integrity, found confidentiality, which forbids bpf_probe_read_kernel" ;;
	esac
	check_mptcp
	[ -n "$v2" ] || finding kernel "cgroup v2: expected a cgroup2 mount, found none; mount one or boot with systemd.unified_cgroup_hierarchy=1"
}

check_others() { # on the cgroup, above and below
	list_rivals
	for other in $rivals; do
		[ -n "$take_over" ] || finding host "$(rival_reason "$other")"
	done
	ours=
	for track in "$B"/*/*/track; do
		id_of prog "$track"
		ours="$ours $value "
	done
	list_hooks
	while read -r id flags place; do
		[ -n "$id" ] && are_related "$place" "$cgroup_folder" || continue
		case $ours in *" $id "*) continue ;; esac
		case $flags:$cgroup_folder/ in
		multi:* | override:"$place"/?*) ;;
		*:"$place"/*) finding host "$place: expected every sock_ops program attached with «multi», found program $id with $flags; attach it with multi" ;;
		esac
		bpf prog show id "$id" || continue
		field name
		name=$value used=${out#*\"map_ids\":[}
		[ "$used" != "$out" ] || continue
		for map in $(say "${used%%]*}" | tr , ' '); do
			bpf map show id "$map" || continue
			field type
			case $value in
			sockmap | sockhash) finding host "$place: expected no other user of a sockmap, found sock_ops program $id ($name) with map $map; a socket can have one only. Choose another --cgroup, or remove it: bpftool cgroup detach $place sock_ops id $id" && break ;;
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
	must flows.bpf.o iter pin "$(find_file flows.bpf.o)" "$trial/flows" map pinned "$trial/sockets"
}

# Everything that is in the way is said before it refuses.
preflight() {
	refused='' fail_code=1
	check_host
	check_kernel
	if [ "$(id -u)" = 0 ] && [ -z "$refused" ]; then
		if ! mount_bpffs; then
			finding kernel "bpffs: expected one at /sys/fs/bpf, found none and could not mount it"
		elif [ -n "$bpftool" ]; then
			bad=$( (check_trust) 2>&1) || finding host "${bad#socket-bypass: }"
			[ -z "$refused" ] || exit "$fail_code"
			[ -d "$cgroup_folder" ] || finding host "$( (check_cgroup) 2>&1 | sed 's/^socket-bypass: //')"
			found=$(owner_recorded)
			if [ -n "$owner" ] && [ -n "$instance" ] && [ -n "$found" ]; then
				why=$( (claim_owner) 2>&1) || finding host "${why#socket-bypass: }"
			fi
			check_others
			if [ -z "$compile" ] && find_file track.bpf.o >/dev/null; then
				trial=$B/_try-$$
				cleanup="rm -rf '$trial'; $cleanup"
				why=$( (try_load) 2>&1) || finding kernel "${why#socket-bypass: }"
				ignore rm -rf "$trial"
			fi
		fi
	fi
	[ -z "$refused" ] || exit "$fail_code"
}

# --- verbs ---

cmd_preflight() {
	preflight
	say "ok kernel=$(uname -r) machine=$(machine) bpftool=$version bpffs=$bpffs cgroup=$cgroup_folder"
}

cmd_object_install() { step object '' install_object; }
cmd_map_create() { step map object create_maps; }
cmd_verdict_attach() { step verdict redirect do_verdict; }
cmd_policy_set() { step policy selftest set_policy; }
cmd_selftest() { step selftest verdict do_selftest; }
cmd_attach() { step attach selftest do_attach; }

cmd_program_load() {
	case $program in
	track) step track map load_program track ;;
	redirect) step redirect track load_program redirect ;;
	esac
}

cmd_apply() {
	cmd_object_install
	cmd_map_create
	program=track && cmd_program_load
	program=redirect && cmd_program_load
	cmd_verdict_attach
	cmd_selftest
	cmd_policy_set
	cmd_attach
}

# Deletes are per instance: later stages may be there although their own step never finished.
cmd_detach() {
	if ! is_mine; then
		warn "note: instance $instance belongs to $found now, not to $owner; left alone"
		say "not owner"
		return 1
	fi
	if [ -n "$B" ] && [ -d "$B/$instance" ]; then
		[ -n "$bpftool" ] || err "bpftool: expected it to detach $instance, found none; install it and run this again"
		retire_instance "$instance"
	fi
	ignore rm -f "$home/current" "$home/cgroup"
}

cmd_remove() {
	cmd_detach || return 0
	drop_link
	[ ! -d "$home" ] || ensure "$home" rm -rf "$home"
	ignore rmdir "$state"
	[ -z "$B" ] || drop_trials
	[ -z "$B" ] || ignore rmdir "$B"
	say "removed$(left_over)"
}

cmd_drain() { # 1: on, 0: off
	[ -n "$B" ] && [ -d "$B/$instance" ] || err "instance $instance: expected it in $B, found nothing pinned"
	for folder in "$B/$instance"/*; do
		[ -e "$folder/maps/knobs" ] || continue
		# Only what serves may enrol again.
		[ "$1" = 1 ] || [ "${folder##*/}" = "$(recorded serving)" ] || continue
		set_knob "$folder" 0 "$1"
		[ "$1" = 1 ] || continue
		find_probe
		ensure "grace period" "$probe" grace
		sweep "$folder" "$drain_seconds"
		total_left=$((total_left + left)) total_unread=$((total_unread + unread))
	done
	if [ "$1" = 1 ]; then say "drained$(left_over)"; else say resumed; fi
}

cmd_help() { sed -n '/^# socket-bypass:/,/^$/s/^# \{0,1\}//p' "$script"; }

# --- arguments ---

is_name() { case $1 in '' | -* | *[!a-z0-9-]*) return 1 ;; esac && [ ${#1} -le 64 ]; }
is_generation() { case $1 in *[!0-9a-f]*) return 1 ;; esac && [ ${#1} -eq 12 ]; }
is_number() { case $1 in '' | *[!0-9]* | 0?*) return 1 ;; esac && [ ${#1} -le 15 ]; }

parse() {
	verb=${1:-help}
	[ $# -eq 0 ] || shift
	case $verb in
	object | map | program | verdict | policy)
		verb="$verb ${1:-}"
		[ $# -eq 0 ] || shift
		;;
	--help | -h) verb=help ;;
	esac
	case $verb in
	'program load' | 'program unload')
		program=${1:-}
		[ $# -eq 0 ] || shift
		case $program in track | redirect) ;; *) usage "$verb: expected track or redirect, found ${program:-nothing}" ;; esac
		;;
	esac
	while [ $# -gt 0 ]; do
		case $1 in
		--take-over) take_over=1 ;;
		--force) force=1 ;;
		--everything) everything=1 ;;
		--off) off=1 ;;
		--compile) compile=1 ;;
		--json) as_json=1 ;;
		--instance | --generation | --owner | --state-dir | --cgroup | --from | --digest | --sockets | --pending | --ports | --cidrs | --enabled | --queue-bytes | --drain-seconds | --timeout)
			[ $# -ge 2 ] || usage "$1: expected a value, found nothing"
			case $1$2 in *[[:cntrl:]]*) usage "$1: expected printable text on one line" ;; esac
			case $1 in
			--instance) instance=$2 ;;
			--generation) generation=$2 ;;
			--owner) owner=$2 ;;
			--state-dir) state=$2 ;;
			--cgroup) cgroup=$2 ;;
			--from) from=$2 ;;
			--digest) ;; # unpack.sh has compared it
			--sockets) sockets=$2 ;;
			--pending) pending=$2 ;;
			--ports) ports=$2 ;;
			--cidrs) cidrs=$2 ;;
			--enabled) enabled=$2 ;;
			--queue-bytes) queue_bytes=$2 ;;
			--drain-seconds) drain_seconds=$2 ;;
			--timeout) timeout=$2 ;;
			esac
			shift
			;;
		*) usage "$verb: expected a flag, found $1" ;;
		esac
		shift
	done
}

check_arguments() {
	[ -z "$instance" ] || is_name "$instance" || usage "--instance: expected at most 64 of a-z, 0-9 and dashes, no dash first, found $instance"
	[ -z "$generation" ] || is_generation "$generation" || usage "--generation: expected 12 hex digits, found $generation"
	[ ${#owner} -le 1024 ] || usage "--owner: expected at most 1024 bytes, found ${#owner}"
	case $state in
	/*) ;;
	*) usage "--state-dir: expected an absolute path, found $state" ;;
	esac
	case $state/ in *//* | */./* | */../* | *\'*) usage "--state-dir: expected a clean path, found $state" ;; esac
	for number in "sockets $sockets" "pending $pending" "queue-bytes $queue_bytes" "drain-seconds $drain_seconds" "timeout $timeout"; do
		is_number "${number#* }" || usage "--${number%% *}: expected a number, found ${number#* }"
	done
	case $enabled in true | false) ;; *) usage "--enabled: expected true or false, found $enabled" ;; esac
	case $verb in help | preflight | status) return ;; esac
	need --instance "$instance"
	case $verb in
	'policy set' | apply)
		[ -z "$everything" ] || [ -z "$ports$cidrs" ] || usage "$verb: expected --everything or a filter, found both"
		[ -n "$everything$ports$cidrs" ] || usage "$verb: expected --everything, --ports or --cidrs, found none"
		everything=${everything:-0}
		reason=$( (encode_policy "$everything" "$ports" "$cidrs") 2>&1 >/dev/null) || usage "$reason"
		;;
	esac
	case $verb in
	'object install' | 'map create' | 'program load' | 'verdict attach' | selftest | 'policy set' | attach | apply)
		need --generation "$generation"
		need --owner "$owner"
		;;
	esac
}

prepare() {
	find_places
	clean_cgroup
	case $verb in preflight | status) return ;; esac
	[ "$(id -u)" = 0 ] || err "user: expected root, found $(id -un 2>/dev/null || id -u); say how to become root (become: \"sudo -n\")"
	case $verb in
	detach | remove | 'object remove' | 'map remove' | 'program unload' | 'verdict detach')
		check_trust
		# Nothing pinned and nothing installed: gone is as good as removed.
		[ -d "$B/$instance" ] || [ -d "$home" ] || { say gone && exit; }
		# Without bpffs nothing of ours is in the kernel.
		[ -n "$B" ] || return 0
		;;
	drain | resume) check_trust ;;
	*)
		if [ -z "$bpftool" ] || ! mount_bpffs; then
			preflight
			err "bpffs: expected one, found none"
		fi
		check_trust
		;;
	esac
	lock "$@"
}

main() {
	script=$0
	# Hand-typed through the link: the files are where it points.
	[ ! -L "$script" ] || script=$(readlink "$script")
	here=$(CDPATH='' cd -- "$(dirname -- "$script")" && pwd) || exit
	script=$here/${script##*/}
	instance='' generation='' owner='' from='' ports='' cidrs='' everything='' off='' compile='' as_json='' take_over='' force=''
	state=/var/lib/socket-bypass cgroup=/ sockets=65536 pending=8192 enabled=true queue_bytes=0 drain_seconds=10 timeout=30
	undo='' cleanup='' probe='' bpftool='' changed='' total_left=0 total_unread=0
	exec </dev/null
	trap '' HUP PIPE
	parse "$@"
	check_arguments
	home=$state/$instance one=$instance
	[ "$verb" != help ] || { cmd_help && exit; }
	prepare "$@"
	trap finish EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	case $verb in
	preflight) cmd_preflight ;;
	status) cmd_status ;;
	apply) cmd_apply ;;
	'object install') cmd_object_install ;;
	'map create') cmd_map_create ;;
	'program load') cmd_program_load ;;
	'verdict attach') cmd_verdict_attach ;;
	selftest) cmd_selftest ;;
	'policy set') cmd_policy_set ;;
	attach) cmd_attach ;;
	detach | 'verdict detach' | 'program unload' | 'map remove') cmd_detach && say "detached$(left_over)" || : ;;
	remove | 'object remove') cmd_remove ;;
	drain) cmd_drain 1 ;;
	resume) cmd_drain 0 ;;
	*) usage "expected a verb, found $verb" ;;
	esac
	case $verb in
	selftest) answer_selftest ;;
	'object install' | 'map create' | 'program load' | 'verdict attach' | 'policy set' | attach | apply) say "$serial$(left_over)" ;;
	esac
}

main "$@"
