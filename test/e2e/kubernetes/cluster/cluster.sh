#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Keeps a Kubernetes cluster on this machine until its stdin ends, and then removes all of it, also
# if the process at the other end was killed.
#
# usage: sh cluster.sh sweep      removes what killed keepers have left; each keeper does so first
#        sh cluster.sh NODES MODE PROXY BINARY PROBE
#   MODE    hybrid: the nodes have cgroup v1 controllers, whose limits work, and cgroup2 beside
#           them, as this machine has
#           v2: they have only cgroup2, without limits
#   PROXY   the mode of kube-proxy: nftables or iptables
#   BINARY  etcd and Kubernetes in one program
#   PROBE   host/helper, for the image of the pods
#   Prints "ready FOLDER" on stdout once all nodes are Ready. FOLDER has a kubeconfig, logs, and
#   files by which the parts communicate.
#
# control.sh is the first process in namespaces of the cluster's own, with the control plane, a
# bridge, and the nodes' states on a tmpfs. node.sh starts a node in namespaces inside those. So the
# end of one process ends everything but the cgroups and the folder.
set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=test/e2e/kubernetes/cluster/groups.sh
. "$here/groups.sh"

main() {
	sweep
	[ "$1" != sweep ] || exit 0
	nodes=$1 mode=$2 proxy=$3 binary=$4 probe=$5
	umask 022
	# test/support/sweep.ts reads this name too: its second word is the process that cleans up.
	name=test-$$-kubernetes
	folder=${TMPDIR:-/tmp}/socket-bypass-kubernetes-$$
	mkdir -m 0700 "$folder"
	trap leave EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	# Whoever waits for "ready" may be gone by then.
	trap 'exit 141' PIPE
	trap 'exit 143' TERM
	mkdir "$folder/bin" "$folder/log" "$folder/state"
	for program in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
		ln -s "$binary" "$folder/bin/$program"
	done
	PATH=$folder/bin:/usr/sbin:/sbin:$PATH
	printf '%s\n' "$name" >"$folder/groups"
	printf '%s\n' "$mode" >"$folder/mode"
	printf '%s\n' "$proxy" >"$folder/proxy"
	printf '%s\n' "$nodes" >"$folder/nodes"
	sh "$here/image.sh" "$probe" "$folder/image.tar"
	make_groups "$name" "$name/control"

	exec_in_groups "$name/control" setpriv --pdeathsig KILL \
		unshare --mount --net --uts --ipc --pid --fork --kill-child --mount-proc --propagation private \
		sh "$here/control.sh" "$folder" >"$folder/log/control.log" 2>&1 </dev/null &
	outer=$!
	until_true 60 test -e "$folder/control.started"
	child_of "$outer" >"$folder/control.pid"
	setpriv --pdeathsig KILL socat -d -d TCP-LISTEN:0,bind=127.0.0.1,fork "UNIX-CONNECT:$folder/api.sock" 2>"$folder/log/forward.log" </dev/null &
	forward=$!
	until_true 240 test -e "$folder/control.ready"
	until_true 60 grep -q 'listening on' "$folder/log/forward.log"
	port=$(sed -n 's/.*listening on .*:\([0-9]*\)$/\1/p' "$folder/log/forward.log")
	sed "s|server: .*|server: https://127.0.0.1:$port|" "$folder/api/admin.kubeconfig" >"$folder/kubeconfig"

	node=0
	while [ "$node" -lt "$nodes" ]; do
		node=$((node + 1))
		sh "$here/node.sh" start "$folder" "$node" </dev/null
	done
	export KUBECONFIG="$folder/kubeconfig"
	# A node registers once its kubelet runs.
	until_true 240 has_nodes
	kubectl wait --for=condition=Ready node --all --timeout=240s >"$folder/log/wait.log" 2>&1
	printf 'ready %s\n' "$folder"
	cat >/dev/null
}

has_nodes() {
	is_running "$outer" || die "the control plane has ended"
	[ "$(kubectl get nodes -o name 2>>"$folder/log/wait.log" | grep -c .)" = "$nodes" ]
}

until_true() { # SECONDS COMMAND...
	tries=$(($1 * 10))
	shift
	until "$@"; do
		is_running "$outer" || die "the control plane has ended"
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || die "expected '$*' in time, found it false"
		sleep 0.1
	done
}

is_running() {
	kill -0 "$1" 2>/dev/null
}

outer=
forward=

leave() {
	code=$?
	trap '' HUP INT TERM PIPE
	[ "$code" = 0 ] || tail -n 15 "$folder"/log/*.log >&2 || true
	# Killing unshare kills the first process of the namespaces, and then the kernel kills all
	# others.
	for pid in $outer $forward; do
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	remove_groups "$name" || code=1
	rm -rf "$folder"
	exit "$code"
}

# Removes what killed keepers have left; their processes ended with them.
sweep() {
	for left in "${TMPDIR:-/tmp}"/socket-bypass-kubernetes-*; do
		[ -e "$left" ] || continue
		[ ! -e "/proc/${left##*-}" ] || continue
		echo "cluster: removing $left, which a run that was killed has left" >&2
		remove_groups "test-${left##*-}-kubernetes"
		rm -rf "$left"
	done
}

die() {
	echo "cluster: $*" >&2
	exit 1
}

main "$@"
