#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Functions for scripts that start a node: they write the configuration of its programs.

# The folder for the configuration; the caller sets it.
config=

# Takes the subnets of the node's pods, one for each address family.
write_network() { # SUBNET...
	ranges='' routes=''
	for subnet; do
		case $subnet in
		*:*) all=::/0 ;;
		*) all=0.0.0.0/0 ;;
		esac
		ranges="$ranges${ranges:+, }[{\"subnet\": \"$subnet\"}]"
		routes="$routes${routes:+, }{\"dst\": \"$all\"}"
	done
	mkdir -p "$config/cni"
	cat >"$config/cni/pods.conflist" <<-END
		{"cniVersion": "1.0.0", "name": "pods", "plugins": [
			{"type": "ptp", "mtu": 1500, "ipam": {"type": "host-local", "dataDir": "/run/node/addresses", "ranges": [$ranges], "routes": [$routes]}},
			{"type": "portmap", "capabilities": {"portMappings": true}}]}
	END
}

# Takes what makes the cgroups: systemd, containerd itself (direct) or nothing (none).
write_containerd() { # systemd|direct|none
	cat >"$config/containerd.toml" <<-END
		version = 2
		# opt would make a folder in /opt.
		disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
		[plugins."io.containerd.grpc.v1.cri"]
		sandbox_image = "localhost/pause:3.10"
		restrict_oom_score_adj = true
		disable_cgroup = $([ "$1" = none ] && echo true || echo false)
		[plugins."io.containerd.grpc.v1.cri".containerd]
		snapshotter = "overlayfs"
		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
		runtime_type = "io.containerd.runc.v2"
		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
		SystemdCgroup = $([ "$1" = systemd ] && echo true || echo false)
		[plugins."io.containerd.grpc.v1.cri".cni]
		bin_dir = "/usr/lib/cni"
		conf_dir = "$config/cni"
	END
}

write_kubelet() { # systemd|direct|none
	cat >"$config/kubelet.yaml" <<-END
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
		# Only the cluster's own namespaces reach it.
		authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
		authorization: {mode: AlwaysAllow}
		cgroupDriver: $([ "$1" = systemd ] && echo systemd || echo cgroupfs)
		failCgroupV1: false
		failSwapOn: false
		resolvConf: ""
		volumePluginDir: /var/lib/kubelet/volume-plugins
		serializeImagePulls: false
		# How full the machine's disk is does not matter here.
		imageGCHighThresholdPercent: 100
		evictionHard: {memory.available: "0%", nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%"}
	END
	[ "$1" != none ] || cat >>"$config/kubelet.yaml" <<-END
		# cgroup v2 has no controllers here.
		cgroupsPerQOS: false
		enforceNodeAllocatable: []
		featureGates: {InPlacePodVerticalScaling: false}
	END
}

# KUBECONFIG is a path.
write_proxy() { # NAME KUBECONFIG MODE SUBNETS-OF-ALL-PODS
	cat >"$config/proxy.yaml" <<-END
		apiVersion: kubeproxy.config.k8s.io/v1alpha1
		kind: KubeProxyConfiguration
		clientConnection: {kubeconfig: $2}
		hostnameOverride: $1
		mode: $3
		clusterCIDR: $4
		# The limits of connection tracking are the machine's.
		conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
	END
}
