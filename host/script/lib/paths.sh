# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Where things are: mounts, tools, files of a generation, and what this kernel is.

mount_of() { # TYPE FIRST-CHOICE
	awk -v type="$1" -v first="$2" '$3 == type && (path == "" || $2 == first) { path = $2 } END { print path }' /proc/mounts
}

find_places() {
	bpffs=$(mount_of bpf /sys/fs/bpf) v2=$(mount_of cgroup2 /sys/fs/cgroup)
	case $bpffs in *[!a-zA-Z0-9/_-]*) err "bpffs: expected a plain mount point, found $bpffs" ;; esac
	# A pod is given our folder of its node's bpffs and nothing beside it.
	bpffs=${bpffs%/socket-bypass}
	B=${bpffs:-/no-bpffs}/socket-bypass S=$B/_splice
	# Ubuntu's bpftool is a wrapper that fails under a kernel it has no package for; any of the
	# real ones will do.
	for tool in bpftool /usr/lib/linux-tools/*/bpftool /usr/lib/linux-tools-*/bpftool; do
		"$tool" version >/dev/null 2>&1 && bpftool=$tool && break
	done
}

mount_bpffs() {
	[ -z "$bpffs" ] || return 0
	mount -t bpf -o mode=0700,nosuid,nodev,noexec bpf /sys/fs/bpf || return
	warn "note: no bpffs was mounted; mounted one at /sys/fs/bpf with mode=0700"
	bpffs=/sys/fs/bpf B=/sys/fs/bpf/socket-bypass S=$B/_splice
}

machine() { uname -m | sed 's/^arm64$/aarch64/'; }

# In a generation's folder, else in the nearest, first in that of the script that runs.
find_file() ( # NAME [FOLDER]
	for folder in "${2:-}" "$from" "$here" "$home/$generation" "$home/$(kept declared)" "$here/$(cat "$here/declared" 2>/dev/null)" "$home/current" "$home"/* "$here/current"; do
		[ -f "$folder/$1" ] && say "$folder/$1" && return
	done
	return 1
)

find_probe() { # [FOLDER]
	probe=$(find_file "probe-$(machine)" "${1:-}") || err "probe-$(machine): expected it in $here or $home, found none; this host is of type $(machine): declare it so (machine), or run object install again"
}

# Debian has the stable version in uname -v, Ubuntu in version_signature.
find_release() { # -> $release
	release=$(uname -v | sed -n 's/.*Debian \([0-9][0-9.]*\).*/\1/p')
	[ -n "$release" ] || release=$(sed -n 's/^Ubuntu [^ ]* \([0-9][0-9.]*\).*/\1/p' /proc/version_signature 2>/dev/null)
	[ -n "$release" ] || release=$(uname -r)
}

deny_list() {
	# host/build/script.sh puts the rows themselves here.
	cat "$here/kernels.deny"
}

# BEFORE|VERDICT|CONDITION|WHAT of each row that this kernel is in.
list_faults() {
	deny_list | awk -F ' *[|] *' -v release="$release" '
		function number(text,   part) {
			split(text, part, /[^0-9]/)
			return part[1] * 1000000 + part[2] * 1000 + part[3]
		}
		/^[0-9]/ && number(release) >= number($1) && number(release) < number($2) { print $2 "|" $3 "|" $4 "|" $5 " (" $6 ")" }'
}

# A kernel that was built again under its release is another one.
kernel_build() { say "$(uname -r) $(uname -v)"; }

# For bounds: the clock of the day may be set, back too, while we wait.
seconds_up() { read -r up _ </proc/uptime && say "${up%%.*}"; }

digest() (cd "$1" 2>/dev/null && sha256sum ./*)
