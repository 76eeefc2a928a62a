#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
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
