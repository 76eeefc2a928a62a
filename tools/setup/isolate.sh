#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a command with a bpffs, a cgroup v2 tree and a /usr/local/sbin of its own, so that two runs
# of the tests do not disturb each other: `sh tools/setup/isolate.sh COMMAND ARGUMENTS...`, as root.
# The kernel's list of symbols is reduced to those that our programs name: libbpf reads the whole
# list for each program that it loads, which took more than half the time of the host script's
# tests.
set -eu

main() {
	v2=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	[ "$v2" ] || {
		echo "isolate: expected a cgroup2 mount in /proc/mounts, found none; mount one" >&2
		exit 1
	}
	# test/support/sweep.ts removes what a killed run leaves under such a name.
	group=$v2/test-$$-isolate
	command=
	mkdir "$group"
	trap leave EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	# shellcheck disable=SC2016 # for the inner shell
	sh -c 'echo $$ >"$0/cgroup.procs" && exec unshare -m -C sh -c "$@"' "$group" '
		set -eu
		v2=$1
		shift
		mount --make-rprivate /
		umount "$v2"
		mount -t cgroup2 none "$v2"
		mkdir -p /sys/fs/bpf
		if grep -q " /sys/fs/bpf bpf " /proc/mounts; then umount /sys/fs/bpf; fi
		mount -t bpf -o mode=0700 bpf /sys/fs/bpf
		mount -t tmpfs -o mode=0755 tmpfs /usr/local/sbin
		names=$(sed -n "s/^extern .* \([a-z_]*\) __ksym .*/\1/p" "$1"/*.h "$1"/*.c)
		shift
		awk -v names="$names" "BEGIN { split(names, list); for (i in list) wanted[list[i]] } \$3 in wanted" \
			/proc/kallsyms >/usr/local/sbin/symbols
		mount --bind /usr/local/sbin/symbols /proc/kallsyms
		umount -l /usr/local/sbin
		mount -t tmpfs -o mode=0755 tmpfs /usr/local/sbin
		exec "$@"' sh "$v2" "$(dirname -- "$0")/../../bpf" "$@" &
	command=$!
	wait "$command"
}

leave() {
	code=$?
	if [ "$command" ] && kill "$command" 2>/dev/null; then wait "$command" || true; fi
	if [ -e "$group/cgroup.kill" ]; then echo 1 >"$group/cgroup.kill"; fi
	# Killed processes take a moment to go.
	for try in 1 2 3 4 5 6 7 8 9 last; do
		find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
		[ "$try" != last ] || code=1
		sleep 0.3
	done
	exit "$code"
}

main "$@"
