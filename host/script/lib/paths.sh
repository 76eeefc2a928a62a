# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Finds the folders, tools and files of a generation, and identifies the kernel.

find_places() {
	bpffs=$(mount_of bpf /sys/fs/bpf) v2=$(mount_of cgroup2 /sys/fs/cgroup)
	case $bpffs in *[!a-zA-Z0-9/_-]*) err "bpffs: expected a plain mount point, found $bpffs" ;; esac
	# In a pod, only our folder of the node's bpffs is mounted.
	bpffs=${bpffs%/socket-bypass}
	B=${bpffs:-/no-bpffs}/socket-bypass S=$B/_splice
	# Ubuntu's bpftool is a wrapper that fails under a kernel for which no package is installed;
	# any of the real binaries will do.
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

# Looks in these folders, then beside the bundle and the running script, then in each generation's
# folder.
find_file() ( # NAME [FOLDER...]
	name=$1
	shift
	for folder in "$@" "$from" "$here" "$home/$generation" "$home/$(kept declared)" "$here/$(cat "$here/declared" 2>/dev/null)" "$home/current" "$home"/* "$here/current"; do
		[ -f "$folder/$name" ] && say "$folder/$name" && return
	done
	return 1
)

# Finds the probe of FOLDER, else the one of the script's own version. The other instances of a host
# may be of other versions.
find_probe() { # [FOLDER] -> $probe
	probe=$(find_file "probe-$(machine)" "${1:-$here}" "$here/$(cat "$here/declared" 2>/dev/null)") || err "probe-$(machine): expected it in $here or $home, found none; this host is of type $(machine): declare it so (machine), or run object install again"
}

# Debian shows the upstream stable version in `uname -v`, Ubuntu in version_signature.
find_release() { # -> $release
	release=$(uname -v | sed -n 's/.*Debian \([0-9][0-9.]*\).*/\1/p')
	[ -n "$release" ] || release=$(sed -n 's/^Ubuntu [^ ]* \([0-9][0-9.]*\).*/\1/p' /proc/version_signature 2>/dev/null)
	[ -n "$release" ] || release=$(uname -r)
}

deny_list() {
	# host/build/script.sh replaces the next line with the rows themselves.
	cat "$here/kernels.deny"
}

# Prints BEFORE|VERDICT|CONDITION|WHAT for each row that applies to this kernel.
list_faults() {
	deny_list | awk -F ' *[|] *' -v release="$release" '
		function number(text,   part) {
			split(text, part, /[^0-9]/)
			return part[1] * 1000000 + part[2] * 1000 + part[3]
		}
		/^[0-9]/ && number(release) >= number($1) && number(release) < number($2) { print $2 "|" $3 "|" $4 "|" $5 " (" $6 ")" }'
}

# A kernel that was rebuilt under the same release counts as another kernel.
kernel_build() { say "$(uname -r) $(uname -v)"; }

# Deadlines use the uptime, because somebody may set the wall clock, even back, while we wait.
seconds_up() { read -r up _ </proc/uptime && say "${up%%.*}"; }

digest() (cd "$1" 2>/dev/null && sha256sum ./*)
