#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a command as a kubelet would run the loader:
# container.sh FOLDER GROUP NAME COMMAND ARGUMENTS...
#
# The command has its own mount, process, network and cgroup namespaces, three capabilities, and a
# read-only root of busybox and this machine's bpftool. FOLDER/files is the ConfigMap at
# /opt/socket-bypass, FOLDER/bpffs the node's bpffs, and FOLDER/NAME the pod's own /state. The
# cgroup GROUP is the node's root, and NAME below it is the container's cgroup. STATE_OPTIONS are
# the mount options of /state. Everything ends with process 1, which ends with the caller
# (--kill-child).
set -eu

main() {
	case $1 in
	inside)
		shift
		inside "$@"
		;;
	innermost)
		shift
		innermost "$@"
		;;
	*)
		mkdir -p "$2/$3"
		# This cgroup namespace is the node's; the container's own comes later.
		echo $$ >"$2/cgroup.procs"
		exec unshare --mount --net --cgroup --propagation slave sh "$script" inside "$@"
		;;
	esac
}

inside() { # FOLDER GROUP NAME COMMAND...
	folder=$1 group=$2 name=$3
	mkdir -p "$folder/root" "$folder/$name"
	mount -t tmpfs -o mode=0755 tmpfs "$folder/root"
	cd "$folder/root"
	mkdir -p bin sbin usr/bin usr/sbin usr/lib lib lib64 proc sys dev state bpffs opt/socket-bypass/..1
	cp "$(command -v busybox)" bin/busybox
	for applet in $(busybox --list); do ln -s busybox "bin/$applet" 2>/dev/null || true; done
	for part in usr/lib lib lib64; do
		[ ! -d "/$part" ] || { mount --rbind "/$part" "$part" && mount -o remount,bind,ro "$part"; }
	done
	ln -s /bin/busybox usr/bin/env
	cp -L "$(command -v bpftool)" "$(command -v setpriv)" usr/sbin/
	for file in null zero urandom; do : >"dev/$file" && mount --bind "/dev/$file" "dev/$file"; done
	: >"$folder/$name.message"
	: >dev/termination-log
	mount --bind "$folder/$name.message" dev/termination-log
	mount -t sysfs -o ro sysfs sys
	# The pod gets only our folder of bpffs, which the kubelet makes; without bpffs nothing is
	# mounted.
	if mountpoint -q "$folder/bpffs"; then
		mkdir -p "$folder/bpffs/socket-bypass" bpffs/socket-bypass
		mount --bind "$folder/bpffs/socket-bypass" bpffs/socket-bypass
	fi
	mount --bind "$folder/$name" state
	[ -z "${STATE_OPTIONS:-}" ] || mount -o "remount,bind,$STATE_OPTIONS" state
	chmod 0777 state
	# The kubelet lays a ConfigMap out like this.
	cp "$folder/files"/* opt/socket-bypass/..1/
	chmod 0555 opt/socket-bypass/..1/*
	ln -s ..1 opt/socket-bypass/..data
	for file in opt/socket-bypass/..1/*; do ln -s "..data/${file##*/}" "opt/socket-bypass/${file##*/}"; done
	mount -t cgroup2 none sys/fs/cgroup
	mount -o remount,bind,ro sys/fs/cgroup
	ip link set lo up
	echo $$ >"$group/$name/cgroup.procs"
	exec unshare --cgroup --pid --fork --kill-child sh "$script" innermost "$@"
}

innermost() { # FOLDER GROUP NAME COMMAND...
	shift 3
	mount -t proc proc proc
	mount -o remount,ro .
	exec chroot . /usr/sbin/setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,+bpf,+net_admin,+perfmon "$@"
}

script=$(realpath "$0")
main "$@"
