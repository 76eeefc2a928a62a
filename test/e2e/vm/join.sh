#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes this virtual machine a node of a cluster, also after the next boot: containerd, kubelet and
# kube-proxy are services of systemd, which makes the pods' cgroups.
#
# usage: sh join.sh NAME ADDRESS SUBNET PROXY
#   Its folder has node-config.sh, kubernetes (the program), image.tar, kubelet.kubeconfig,
#   proxy.kubeconfig and ca.crt.
set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=test/e2e/kubernetes/cluster/node-config.sh
. "$here/node-config.sh"

main() {
	name=$1 address=$2 subnet=$3 proxy=$4 config=$here/config
	for program in kubelet kube-proxy; do ln -sf kubernetes "$here/$program"; done
	printf 'net.ipv4.ip_forward = 1\n' >/etc/sysctl.d/node.conf
	printf '%s\n' overlay br_netfilter nf_conntrack nf_tables >/etc/modules-load.d/node.conf
	write_network "$subnet"
	write_containerd systemd
	write_kubelet systemd
	write_proxy "$name" "$here/proxy.kubeconfig" "$proxy" 10.244.0.0/16
	# containerd gives this file to its pods.
	[ -e /etc/hosts ] || printf '127.0.0.1 localhost\n' >/etc/hosts
	mkdir -p /etc/containerd
	ln -sf "$config/containerd.toml" /etc/containerd/config.toml
	write_unit kubelet "$here/kubelet --config $config/kubelet.yaml --kubeconfig $here/kubelet.kubeconfig --hostname-override $name --node-ip $address"
	write_unit kube-proxy "$here/kube-proxy --config $config/proxy.yaml"
	systemctl daemon-reload
	systemctl restart systemd-modules-load systemd-sysctl
	systemctl enable --now --quiet containerd
	ctr --namespace k8s.io images import --snapshotter overlayfs "$here/image.tar" >/dev/null
	systemctl enable --now --quiet kubelet kube-proxy
}

write_unit() { # NAME COMMAND
	cat >"/etc/systemd/system/$1.service" <<-END
		[Unit]
		Wants=containerd.service
		After=containerd.service network.target
		[Service]
		ExecStart=$2
		Restart=always
		RestartSec=1
		[Install]
		WantedBy=multi-user.target
	END
}

main "$@"
