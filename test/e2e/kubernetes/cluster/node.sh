#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Starts or stops a node of a cluster that cluster.sh keeps. What is on its disk survives a stop;
# everything else is lost, as in a reboot.
#
# usage: sh node.sh start|stop FOLDER NUMBER
#        sh node.sh run FOLDER NUMBER COMMAND ARGUMENTS...   the command as a process of the node
set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=test/e2e/kubernetes/cluster/groups.sh
. "$here/groups.sh"

main() {
	verb=$1 folder=$2 number=$3
	PATH=$folder/bin:/usr/sbin:/sbin:$PATH
	group=$(cat "$folder/groups")/node-$number
	pid_file=$folder/node-$number.pid
	case $verb in
	start) start ;;
	stop) stop ;;
	run)
		shift 3
		exec_in_groups "$group" nsenter --target "$(cat "$pid_file")" --mount --net --uts --ipc --pid --cgroup --wdns=/ "$@"
		;;
	within) within ;;
	*) die "expected start, stop or run, found $verb" ;;
	esac
}

start() {
	[ ! -e "$pid_file" ] || die "expected node $number to be stopped, found it running"
	make_groups "$group"
	control=$(cat "$folder/control.pid")
	# Enters the control plane's namespaces first, so that the node ends with them.
	exec_in_groups "$group" setsid nsenter --target "$control" --mount --net --uts --ipc --pid \
		sh "$here/node.sh" within "$folder" "$number" >"$folder/log/node-$number.log" 2>&1 </dev/null &
	entered=$!
	for try in $(seq 600) last; do
		[ "$try" != last ] || die "expected node $number to start, found: $(cat "$folder/log/node-$number.log")"
		[ ! -e "$folder/node-$number.started" ] || break
		sleep 0.1
	done
	# The chain of processes is nsenter, which waits, unshare, which waits too, and the first
	# process of the node.
	child_of "$(child_of "$entered")" >"$pid_file"
}

within() {
	name=node-$number
	for trace in "link delete $name" "netns delete $name"; do
		# shellcheck disable=SC2086 # words
		ip $trace 2>/dev/null || true
	done
	ip netns add "$name"
	# A machine that reboots keeps its MAC address too, and its neighbours go on using it.
	ip link add "$name" type veth peer name eth0 address "02:00:0a:63:00:$((10 + number))" netns "$name"
	ip link set "$name" master cluster up
	exec nsenter --net="/run/netns/$name" unshare --mount --uts --ipc --pid --cgroup --fork --kill-child --mount-proc --propagation private \
		sh "$here/node-init.sh" "$folder" "$number"
}

stop() {
	kill -KILL "$(cat "$pid_file")"
	rm -f "$pid_file" "$folder/node-$number.started"
	remove_groups "$group"
}

die() {
	echo "node: $*" >&2
	exit 1
}

main "$@"
