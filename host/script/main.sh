#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
#
# socket-bypass: TCP between two sockets of this host skips the TCP/IP stack. `sh socket-bypass
# help` tells its verbs and flags.

set -u
umask 077
export LC_ALL=C
# Internal: tests put stand-ins before the real tools with SOCKET_BYPASS_PATH.
export PATH="${SOCKET_BYPASS_PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin}"

map_names='claims counters knobs notes peers policies services sockets state'
shared_names='feeds past splicers'
nl='
'

# The parts of parts.txt: host/build/script.sh puts them here.
@parts@

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
			# Of a run that was killed before its first step, which no state knows of.
			ignore rm -rf "$state_dir/_staged-$instance"
			ignore rmdir "$state_dir"
			say gone
			exit
		fi
		# What was pinned in a bpffs that was unmounted stays attached, and is found by the
		# kernel's list. bpftool would mount one wherever it is told to pin.
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
	# Hand-typed through the link: the files are where it points.
	script=$(readlink "$0") || script=$0
	here=$(CDPATH='' cd -- "$(dirname -- "$script")" && pwd -P) || exit
	script=$here/${script##*/}
	is_tried='' is_warned=''
	undo='' cleanup='' systemd_version='' bpftool='' total_left=0 total_unread=0
	exec </dev/null
	trap '' HUP PIPE
	parse "$@"
	check_arguments
	home=$state_dir/$instance
	from=$(CDPATH='' cd -- "${from:-$here}" 2>/dev/null && pwd -P) || usage "--from: expected a folder"
	if [ "$verb" = help ]; then
		cmd_help
		exit
	fi
	# What was sent for this run alone goes with it, however it ends.
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
