#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What a pod of a node pool runs.
#
# usage: sh pod.sh start FLAG...    install on this node with these flags of `apply`, then serve
#                                   health and metrics
#        sh pod.sh stop             drain and detach, unless another pod has taken over; preStop
#        sh pod.sh mount            bpffs at /bpffs, where there is none; the init container
#        sh pod.sh health           one line: who serves the node, or why not; exit 0 if the pod is
#                                   ready
#        sh pod.sh report           the metrics, without what tells strangers about the node
#        sh pod.sh VERB FLAG...     a verb of the host script, by hand: status, flows, metrics,
#                                   drain, resume, ...
#
# The environment says INSTANCE, GENERATION, OWNER, DRAIN_SECONDS and POD_UID. The node's cgroups
# are at /sys/fs/cgroup, for reading alone, and of its bpffs the folder socket-bypass is at
# /bpffs/socket-bypass; /state is the pod's own and goes with it. Nothing else of the node is
# touched.

set -u
umask 077
export LC_ALL=C
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

port=8080 state=/state files=/state/files bpffs=/bpffs/socket-bypass
pins=$bpffs/${INSTANCE:-}
owner=${OWNER:-}/${POD_UID:-}

here=${0%/*}
[ "$here" != "$0" ] || here=.
# In a pod it lies beside this file.
# shellcheck source=host/script/lib/mounts.sh
. "$here/mounts.sh"

say() { printf '%s\n' "$*"; }
warn() { say "socket-bypass: $*" >&2; }
ignore() { "$@" >/dev/null 2>&1 || :; }

# The kubelet shows it with the pod, up to 4 KiB.
explain() { { say "$1" | head -c 4000 >/dev/termination-log; } 2>/dev/null || :; }

err() {
	warn "$1"
	explain "$1"
	exit 1
}

# Aside and then renamed, for a program that runs cannot be written to.
unpack() {
	mkdir -p "$files" || err "$state: expected a volume that can be written to, found the reason above; leave the volume 'state' as the pool declares it (no transform)"
	for packed in "$here"/*.gz; do
		name=${packed##*/}
		name=${name%.gz}
		{ gzip -dc "$packed" >"$files/.new" && chmod 0700 "$files/.new" && mv -f "$files/.new" "$files/$name"; } ||
			err "$packed: expected a gzip file and room for it in $files, found the reason above; leave the ConfigMap and the volume 'state' as the pool declares them"
	done
	[ -f "$probe" ] || err "$files/probe-$machine: expected the helper for this type of machine, found none; leave the node out by nodeSelector (a node must be of type x86_64 or aarch64)"
	# Without arguments it says how it is used.
	ran=$("$probe" 2>&1)
	[ $? -ne 126 ] || err "$files/probe-$machine: expected a program that can run, found: ${ran##*: }; leave $state in memory, because a disk may be mounted noexec (a transform must not take the medium of the volume 'state')"
	ln -sfn "$probe" "$state/probe"
}

prepare() {
	machine=$(uname -m | sed 's/^arm64$/aarch64/')
	probe=$files/probe-$machine
	[ -e "$state/probe" ] || unpack
	command -v bpftool >/dev/null || err "image: expected bpftool in it, found none; image/Dockerfile has it"
	[ -x /usr/bin/env ] || err "image: expected /usr/bin/env in it, found none; image/Dockerfile has it"
	find_place
}

# The self-test runs in our own cgroup: a container that may not write to the tree of cgroups makes
# none, and attaching to one takes no more than reading it. Of all processes that these files name,
# ours are the only ones that show.
find_place() {
	v2=$(mount_of cgroup2 /sys/fs/cgroup)
	[ -n "$v2" ] || return 0
	place=$(find "$v2" -name cgroup.procs -exec grep -lx -e "$$" {} + 2>/dev/null | head -n 1)
	[ -z "$place" ] || export SOCKET_BYPASS_PLACE="${place%/cgroup.procs}"
}

# A kubelet makes the folder of our mount as open as bpffs itself is, and a mount is read-only
# without the mounts that are below it.
close_mounts() {
	ignore chmod 0700 "$bpffs"
	case $(mount_of cgroup2 "$v2" 4) in
	rw | rw,*) warn "note: $v2: expected cgroups that are mounted read-only, found that this pod may write to them; name cgroup v2 itself (cgroupRoot), not a folder above it" ;;
	esac
}

# The instance stands behind what a person types.
script() { sh "$files/socket-bypass" "$@" --instance "$INSTANCE" --state-dir "$state/lib"; }
create() { script "$@" --generation "$GENERATION" --drain-seconds "$DRAIN_SECONDS"; }
remove() { script remove --owner "$1" --drain-seconds "$DRAIN_SECONDS"; } # OWNER

# --- start ---

# The pod before us stays the owner until our self-test has passed, so that it cleans up when it
# goes first.
owner_before() {
	found=$(readlink "$pins/owner") || found=
	case $found in
	"$OWNER"/*) say "$found" ;;
	*) say "$owner" ;;
	esac
}

run_apply() { # FLAG... -> $code
	create apply "$@" --owner "$before" >/dev/null 2>"$state/said" &
	child=$!
	say "$child" >"$state/child"
	# A signal ends the wait, not the child, which undoes its half first.
	while :; do
		wait "$child"
		code=$?
		kill -0 "$child" 2>/dev/null || break
	done
	rm -f "$state/child"
	cat "$state/said" >&2
}

# What was made and never served.
drop_unserved() {
	[ -d "$bpffs" ] || return 0
	ignore "$probe" lock "$bpffs" 30 -- sh "$here/pod.sh" drop
	[ -L "$pins/serving" ] || ignore remove "$before"
}

cmd_drop() { # with the lock held
	[ "$(readlink "$pins/serving")" = "$GENERATION" ] || rm -rf "${pins:?}/$GENERATION"
}

cgroup_of() { # FLAG...
	while [ "$1" != --cgroup ]; do shift; done
	say "$v2${2%/}"
}

cmd_start() {
	chmod 0700 "$state" || err "$state: expected a folder of the pod's own (emptyDir), found the reason above"
	# Also what a container that was killed while it unpacked has left.
	rm -rf "${state:?}/child" "${state:?}/probe" "${state:?}/serves"
	prepare
	# Where the node's folder is a plain one; in sysfs, where systemd mounts bpffs, the kubelet
	# could not make ours.
	[ "$(mount_of bpf "$bpffs")" = "$bpffs" ] ||
		err "bpffs: expected one on the node, found none; mount it there (systemd does), or say mountBpffs: true"
	[ -z "$v2" ] || [ -n "${SOCKET_BYPASS_PLACE:-}" ] ||
		err "$v2: expected the cgroup of this container below it, found none; say cgroupRoot: where the nodes have all of cgroup v2"
	close_mounts
	before=$(owner_before) stopping=
	trap 'stopping=1; ignore kill -TERM "$child"' TERM
	run_apply "$@"
	[ -z "$stopping" ] || cmd_stop
	case $code in
	0) create policy set "$@" --owner "$owner" >/dev/null || err "owner: expected this pod to take over the node, found the reason above; its container is started again and tries once more" ;;
	3)
		drop_unserved
		why=$(sed 's/^socket-bypass: //' "$state/said" | tr '\n' ' ')
		warn "not supported here, so this node goes on by plain TCP"
		explain "not supported: $why"
		say "unsupported $why" >"$state/serves"
		exec "$probe" unsupported "$port" "$here/pod.sh"
		;;
	*)
		drop_unserved
		explain "$(tail -n 20 "$state/said")"
		exit 1
		;;
	esac
	[ -z "$stopping" ] || cmd_stop
	say "generation $GENERATION serves on $(cgroup_of "$@")"
	say "cgroup $(cgroup_of "$@")" >"$state/serves"
	exec "$probe" serve "$port" "$here/pod.sh"
}

# --- stop ---

cmd_stop() {
	[ ! -s "$state/child" ] || ignore kill -TERM "$(cat "$state/child")"
	answer=$(remove "$owner")
	code=$?
	say "removed: ${answer:-failed}"
	explain "removed: ${answer:-failed, see the log}"
	exit "$code"
}

# Asked every few seconds, so that it starts nothing that is not needed.
cmd_health() {
	read -r kind what 2>/dev/null <"$state/serves" || {
		say "expected this pod to serve, found that its start has not ended"
		exit 1
	}
	[ "$kind" = cgroup ] || {
		say "not supported: $what"
		exit
	}
	exec "$state/probe" check "$pins" "$GENERATION" "$owner" "$what"
}

cmd_report() {
	report=$(script metrics) || exit
	say "$report" | sed '/^socket_bypass_info{/s/,kernel="[^"]*",machine="[^"]*"//; /{program="/d'
}

cmd_mount() {
	[ "$(mount_of bpf /bpffs)" = /bpffs ] || mount -t bpf -o mode=0700,nosuid,nodev,noexec bpf /bpffs ||
		err "bpffs: expected a mount at /bpffs, found none and could not mount one for the reason above; mount bpffs on the node (systemd does), and leave mountBpffs out"
}

main() {
	verb=${1:-help}
	[ $# -eq 0 ] || shift
	case $verb in
	start) cmd_start "$@" ;;
	stop) prepare && cmd_stop ;;
	drop) cmd_drop ;;
	mount) cmd_mount ;;
	health) cmd_health ;;
	report) prepare && cmd_report ;;
	*) prepare && script "$verb" "$@" ;;
	esac
}

main "$@"
