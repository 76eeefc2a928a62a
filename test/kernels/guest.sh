#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs once in a virtual machine, before sshd. It mounts the file systems that no systemd has
# mounted, brings up the network to the machine that started it, and unpacks the keys of this run.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

if [ ! -d /run/systemd/system ]; then
	mount -t proc proc /proc
	mount -t sysfs sys /sys
	mkdir -p /dev/pts
	mount -t devpts pts /dev/pts
	mount -t tmpfs -o mode=755 run /run
	mount -t tmpfs -o mode=1777 tmp /tmp
	mount -t cgroup2 cgroup /sys/fs/cgroup
	mount -t bpf -o mode=700 bpf /sys/fs/bpf
	mount -t securityfs security /sys/kernel/security
	mount -t tracefs trace /sys/kernel/tracing
	mount -t debugfs debug /sys/kernel/debug
fi
mkdir -p /run/sshd
modprobe virtio_net
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
# The second disk is a tar with the keys of this run.
tar -xf /dev/vdb -C /root
chown -R 0:0 /root
chmod 700 /root
cd /root && mv host_key /etc/ssh/guest_key
