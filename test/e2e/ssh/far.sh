#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a separate machine as far as the product can see: with its own network, mounts (bpffs, cgroup
# v2, state, users) and sshd, on this kernel.
#
# With FAR_PROCESSES it also has its own processes.
#
# usage: sh far.sh NAME CGROUP-FOLDER SSHD-CONFIG USER SHELL HASH SUDOERS
#   NAME is an existing network namespace. sshd runs in the foreground; when it ends, all of the
#   machine is gone but namespace and cgroup.
set -eu

if [ "${FAR_INSIDE:-}" != yes ]; then
	echo $$ >"$2/cgroup.procs"
	FAR_INSIDE=yes exec nsenter --net="/run/netns/$1" unshare --mount --cgroup --propagation private ${FAR_PROCESSES:+--pid --fork} sh "$0" "$@"
fi

config=$3 user=$4 shell=$5 hash=$6 sudoers=$7
v2=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
[ -z "${FAR_PROCESSES:-}" ] || mount -t proc proc /proc
umount "$v2"
mount -t cgroup2 cgroup2 "$v2"
mount -t bpf -o mode=0700 bpf /sys/fs/bpf
for folder in /run /var/lib /usr/local/sbin /home; do mount -t tmpfs -o mode=0755 tmpfs "$folder"; done
mkdir -p /run/sshd /run/own "/home/$user"
for name in passwd shadow group; do
	cp -p "/etc/$name" "/run/own/$name"
	mount --bind "/run/own/$name" "/etc/$name"
done
mkdir -p /run/own/sudoers.d
if [ -d /etc/sudoers.d ]; then mount --bind /run/own/sudoers.d /etc/sudoers.d; fi
[ -z "$sudoers" ] || (umask 0227 && printf '%s\n' "$sudoers" >/run/own/sudoers.d/far)
if [ "$user" = root ]; then
	sed -i "s|^root:\([^:]*:[^:]*:[^:]*:[^:]*:[^:]*\):.*|root:\1:$shell|" /run/own/passwd
	sed -i "s|^root:[^:]*|root:$hash|" /run/own/shadow
else
	echo "$user:x:4711:4711::/home/$user:$shell" >>/run/own/passwd
	echo "$user:x:4711:" >>/run/own/group
	echo "$user:$hash:20000:0:99999:7:::" >>/run/own/shadow
	chown 4711:4711 "/home/$user"
fi
# sed -i has replaced the mounted files with new ones.
for name in passwd shadow group; do
	umount "/etc/$name"
	mount --bind "/run/own/$name" "/etc/$name"
done
exec /usr/sbin/sshd -D -e -f "$config"
