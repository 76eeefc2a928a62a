#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The first process of a cluster's namespaces: it makes the network and the secrets and starts the
# control plane.
#
# usage: sh control.sh FOLDER (by cluster.sh)
set -eu

main() {
	folder=$1
	: >"$folder/control.started"
	# A /run of its own, in which ip netns keeps the nodes' networks.
	mount -t tmpfs -o mode=0755 tmpfs /run
	mount -t tmpfs -o mode=0700 tmpfs "$folder/state"
	hostname control
	make_network
	make_secrets
	cd "$folder/state"

	start etcd --data-dir "$folder/state/etcd" --unsafe-no-fsync --log-level warn --listen-client-urls http://127.0.0.1:2379 \
		--advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
	start kube-apiserver --etcd-servers http://127.0.0.1:2379 --advertise-address 10.99.0.1 --secure-port 6443 --cert-dir "$folder/api" \
		--token-auth-file "$folder/api/tokens" --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
		--allow-privileged --service-cluster-ip-range 10.96.0.0/16,fd00:96::/112 --service-account-issuer https://kubernetes.default.svc \
		--service-account-key-file "$folder/api/accounts.key" --service-account-signing-key-file "$folder/api/accounts.key" \
		--kubelet-preferred-address-types InternalIP --profiling=false
	# The API server makes its own certificate; this waits for that too.
	until kubectl --kubeconfig "$folder/api/admin.kubeconfig" get --raw /readyz >/dev/null 2>&1; do sleep 0.1; done
	start kube-controller-manager --kubeconfig "$folder/api/controllers.kubeconfig" --use-service-account-credentials --leader-elect=false \
		--kube-api-qps 300 --kube-api-burst 600 --service-account-private-key-file "$folder/api/accounts.key" \
		--root-ca-file "$folder/api/apiserver.crt" --profiling=false
	start kube-scheduler --kubeconfig "$folder/api/scheduler.kubeconfig" --leader-elect=false --profiling=false
	# The machine reaches the API by this socket, because a path is the same in every network
	# namespace.
	start socat "UNIX-LISTEN:$folder/api.sock,fork,mode=600" TCP:10.99.0.1:6443
	until [ -S "$folder/api.sock" ]; do sleep 0.1; done
	: >"$folder/control.ready"
	# Reaps all children, also those that nobody else waits for.
	wait
}

make_network() {
	ip link set lo up
	ip link add cluster type bridge
	ip address add 10.99.0.1/24 dev cluster
	ip address add fd00:99::1/64 dev cluster nodad
	ip link set cluster up
	node=0
	while [ "$node" -lt "$(cat "$folder/nodes")" ]; do
		node=$((node + 1))
		ip route add "10.244.$node.0/24" via "10.99.0.$((10 + node))"
		ip -6 route add "fd00:244:$node::/64" via "fd00:99::$((10 + node))"
	done
}

make_secrets() {
	mkdir "$folder/api"
	(umask 077 && openssl genrsa -out "$folder/api/accounts.key" 2048 2>/dev/null && : >"$folder/api/tokens")
	add_user admin admin system:masters
	add_user controllers system:kube-controller-manager
	add_user scheduler system:kube-scheduler
	add_user proxy system:kube-proxy
	# For a machine that joins from elsewhere.
	add_user guest system:node:guest system:nodes
	node=0
	while [ "$node" -lt "$(cat "$folder/nodes")" ]; do
		node=$((node + 1))
		add_user "node-$node" "system:node:node-$node" system:nodes
	done
}

# Adds a user with a random token, and writes the kubeconfig with it.
add_user() { # FILE USER [GROUP]
	token=$(openssl rand -hex 16)
	printf '%s,%s,%s,%s\n' "$token" "$2" "$2" "${3:-}" >>"$folder/api/tokens"
	(
		umask 077
		cat >"$folder/api/$1.kubeconfig" <<-END
			apiVersion: v1
			kind: Config
			current-context: cluster
			contexts: [{name: cluster, context: {cluster: cluster, user: $1}}]
			clusters:
			- name: cluster
			  cluster:
			    certificate-authority: $folder/api/apiserver.crt
			    # One of the names in the certificate, whatever the way to it is.
			    tls-server-name: kubernetes.default.svc
			    server: https://10.99.0.1:6443
			users: [{name: $1, user: {token: $token}}]
		END
	)
}

start() { # PROGRAM ARGUMENTS...
	"$@" >"$folder/log/$1.log" 2>&1 </dev/null &
}

main "$@"
