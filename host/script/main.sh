#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
#
# socket-bypass: TCP between two sockets of this host skips the TCP/IP stack.
# `sh socket-bypass help` lists its verbs and flags.

set -u
umask 077
export LC_ALL=C
# Internal: tests set SOCKET_BYPASS_PATH to put stand-ins before the real tools.
export PATH="${SOCKET_BYPASS_PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin}"

map_names='claims counters knobs notes peers policies services sockets state'
# A generation of an earlier version may have none of these.
shared_names='feeds past splicers'
late_names='port_counters tcp_reasons taps'
nl='
'

# The parts of parts.txt: host/build/script.sh inserts them here.
@parts@

# Does every check that comes before the first change. A verb that changes anything holds the lock
# afterwards.
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
		# The last of these is left by a `remove` that was killed half-way.
		if [ ! -d "$B/$instance" ] && [ ! -d "$home" ] && [ ! -d "$state_dir/_removed-$instance" ]; then
			# Left by a run that was killed before its first step, which no stack's
			# state knows about.
			ignore rm -rf "$state_dir/_staged-$instance"
			ignore rmdir "$state_dir"
			say gone
			exit
		fi
		# Programs that were pinned in a bpffs that was since unmounted stay attached; the
		# kernel's list still shows them. Without this mount, bpftool would mount a bpffs
		# wherever it is told to pin.
		[ -z "$bpftool" ] || mount_bpffs || warn "note: bpffs: expected one, found none and could not mount it at /sys/fs/bpf"
		[ -n "$bpffs" ] || return 0
		;;
	switch) [ -n "$bpffs" ] || err "bpffs: expected one, found none mounted, so nothing of $instance is pinned; type 'socket-bypass boot start --instance $instance'" ;;
	esac
	lock "$@"
	if [ "$kind" = delete ] && ! is_mine; then
		warn "note: instance $instance belongs to $found, not to $owner; left alone"
		say "left alone"
		exit
	fi
}

main() {
	# If the script was started through the link for hand-typed commands, the files are where
	# that link points.
	script=$(readlink "$0") || script=$0
	here=$(CDPATH='' cd -- "$(dirname -- "$script")" && pwd -P) || exit
	script=$here/${script##*/}
	is_tried='' is_warned=''
	undo='' cleanup='' systemd_version='' bpftool='' reader='' total_left=0 total_unread=0
	exec </dev/null
	trap '' HUP PIPE
	parse "$@"
	check_arguments
	home=$state_dir/$instance
	from=$(CDPATH='' cd -- "${from:-$here}" 2>/dev/null && pwd -P) || usage "--from: expected a folder"
	case $verb in help | version)
		"cmd_$verb"
		exit
		;;
	esac
	# Files that were sent for this run alone are removed when it ends, however it ends.
	case $here/ in "$state_dir/_staged-$instance/"*) cleanup="rm -rf '$state_dir/_staged-$instance'; ignore rmdir '$state_dir'" ;; esac
	trap finish EXIT
	trap 'exit 130' INT
	trap 'warn "$verb: stopped by a signal or a time limit; run it again" && exit 143' TERM
	prepare "$@"
	"cmd_${verb% *}${second:+_$second}"
	case $kind:$verb in
	report:* | *:selftest | *:adopt) ;;
	create:*) say "$serial$(left_over)" ;;
	*) say "done$(left_over)" ;;
	esac
}

main "$@"
