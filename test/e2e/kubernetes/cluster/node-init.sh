#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The first process of a node's namespaces: it makes mounts and network and starts containerd,
# kubelet and kube-proxy.
#
# usage: sh node-init.sh FOLDER NUMBER (by node.sh)
set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=test/e2e/kubernetes/cluster/node-config.sh
. "$here/node-config.sh"

main() {
	folder=$1 number=$2 config=/run/node
	: >"$folder/node-$number.started"
	mode=$(cat "$folder/mode")
	disk=$folder/state/node-$number
	hostname "node-$number"
	make_network
	make_mounts
	hold_settings
	configure
	cd /

	start containerd --config "$config/containerd.toml"
	until ctr version >/dev/null 2>&1; do sleep 0.05; done
	ctr --namespace k8s.io images import --snapshotter overlayfs "$folder/image.tar"
	start kubelet --config "$config/kubelet.yaml" --kubeconfig "$folder/api/node-$number.kubeconfig" \
		--hostname-override "node-$number" --node-ip "10.99.0.$((10 + number)),fd00:99::$((10 + number))"
	start kube-proxy --config "$config/proxy.yaml"
	# Reaps all children, also those that a container leaves.
	wait
}

make_network() {
	ip link set lo up
	echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad
	echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
	ip address add "10.99.0.$((10 + number))/24" dev eth0
	ip address add "fd00:99::$((10 + number))/64" dev eth0 nodad
	ip link set eth0 up
	ip route add default via 10.99.0.1
	ip -6 route add default via fd00:99::1
	echo 1 >/proc/sys/net/ipv4/ip_forward
	echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
	other=0
	while [ "$other" -lt "$(cat "$folder/nodes")" ]; do
		other=$((other + 1))
		[ "$other" != "$number" ] || continue
		ip route add "10.244.$other.0/24" via "10.99.0.$((10 + other))"
		ip -6 route add "fd00:244:$other::/64" via "fd00:99::$((10 + other))"
	done
}

make_mounts() {
	hierarchies=$(awk -F: '{ print $2 }' /proc/self/cgroup)
	while mountpoint -q /sys; do umount -R -l /sys; done
	mount -t sysfs sysfs /sys
	if [ "$mode" = v2 ]; then
		mount -t cgroup2 cgroup2 /sys/fs/cgroup
	else
		mount -t tmpfs -o mode=0755 tmpfs /sys/fs/cgroup
		for controllers in $hierarchies; do
			mkdir "/sys/fs/cgroup/${controllers#name=}"
			case $controllers in
			name=*) mount -t cgroup -o "none,$controllers" cgroup "/sys/fs/cgroup/${controllers#name=}" ;;
			*) mount -t cgroup -o "$controllers" cgroup "/sys/fs/cgroup/$controllers" ;;
			esac
		done
		mkdir /sys/fs/cgroup/unified
		mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
	fi
	mount -t bpf -o mode=0700 bpf /sys/fs/bpf
	mount -t tmpfs -o mode=0755 tmpfs /run
	mount -t tmpfs -o mode=0755 tmpfs /usr/local/sbin
	mkdir -p "$disk/lib/kubelet" "$disk/lib/containerd" "$disk/log" /run/node
	mount --bind "$disk/lib" /var/lib
	mount --bind "$disk/log" /var/log
	# As systemd does on a real machine, so that a pod sees later mounts of its node.
	mount --make-rshared /
}

# The kubelet sets these if they differ from its own values. They belong to the whole machine, so
# the kubelet finds files with its values in their place.
hold_settings() {
	while read -r setting value; do
		mkdir -p "/run/node/settings/${setting%/*}"
		echo "$value" >"/run/node/settings/$setting"
		mount --bind "/run/node/settings/$setting" "/proc/sys/$setting"
	done <<-END
		vm/overcommit_memory 1
		vm/panic_on_oom 0
		kernel/panic 10
		kernel/panic_on_oops 1
		kernel/keys/root_maxkeys 1000000
		kernel/keys/root_maxbytes 25000000
	END
}

configure() {
	case $mode in
	v2) groups=none ;;
	*) groups=direct ;;
	esac
	write_network "10.244.$number.0/24" "fd00:244:$number::/64"
	write_containerd "$groups"
	write_kubelet "$groups"
	write_proxy "node-$number" "$folder/api/proxy.kubeconfig" "$(cat "$folder/proxy")" 10.244.0.0/16,fd00:244::/32
}

start() { # PROGRAM ARGUMENTS...
	"$@" >"$folder/log/node-$number-$1.log" 2>&1 </dev/null &
}

main "$@"
