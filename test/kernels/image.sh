#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the disk, the kernel and the initrd of a virtual machine from Debian packages.
#
# usage: sh image.sh list FOLDER amd64|arm64 SUITE [KERNEL-SUITE [MORE]]
#          print the packages and versions that it would be built from now
#        sh image.sh make FOLDER amd64|arm64 SUITE [KERNEL-SUITE [MORE]]
#          leave disk.ext4, kernel and initrd in FOLDER
# The kernel and bpftool come from KERNEL-SUITE (default: SUITE). MORE lists further packages,
# separated by commas. Nothing outside FOLDER changes.
#
# The packages are only extracted, and none of their programs runs. That takes seconds and works for
# other processors too. What the tests need besides is set up below or by guest.sh.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
keys=/usr/share/keyrings/debian-archive-keyring.gpg
packages="base-files,bash,busybox-static,coreutils,dash,findutils,grep,gzip,hostname,iproute2,kmod,libc-bin,mawk,mount,nftables,openssh-server,procps,python3,sed,systemd,tar,util-linux"

main() {
	verb=${1:-} folder=${2:?expected FOLDER} architecture=${3:?expected amd64 or arm64} suite=${4:?expected SUITE} from=${5:-} more=${6:-}
	root=$folder/root
	sources >"$folder/sources"
	case $verb in
	list)
		list_packages
		return
		;;
	make) ;;
	*) echo "image.sh: expected list or make, found ${verb:-nothing}" >&2 && return 2 ;;
	esac
	mmdebstrap --architectures="$architecture" --mode=root --variant=extract --include="$(names)" "$suite" "$root" "$folder/sources"
	complete_root
	make_initrd >"$folder/initrd"
	# Leaves room for the generations, logs and objects of a run, which are discarded with the
	# machine.
	mke2fs -q -t ext4 -d "$root" -L root "$folder/disk.ext4" "$(($(du -sm "$root" | cut -f 1) + 1000))M"
	rm -rf "$root"
}

# Prints package sources on the mirrors that this machine uses.
sources() {
	for source in "debian $suite" "debian-security $suite-security" ${from:+"debian $from"}; do
		# shellcheck disable=SC2016 # for apt-get
		site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep "/${source%% *}\$" | head -n 1)
		if [ -z "$site" ]; then
			echo "image.sh: expected a source of packages that ends in /${source%% *}, found none; add one to /etc/apt and run apt-get update" >&2
			return 1
		fi
		echo "deb [signed-by=$keys] $site ${source#* } main"
	done
}

names() {
	echo "$packages,linux-image-cloud-$architecture${from:+/$from},bpftool${from:+/$from}${more:+,$more}"
}

list_packages() {
	if ! mmdebstrap --architectures="$architecture" --simulate --verbose --mode=root --variant=extract --include="$(names)" "$suite" /dev/null "$folder/sources" >"$folder/log" 2>&1; then
		cat "$folder/log" >&2
		return 1
	fi
	sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1 \2/p' "$folder/log" | sort
}

# Does what the scripts of the packages would have done.
complete_root() {
	release=$(ls "$root/lib/modules")
	/sbin/depmod -b "$root" "$release"
	[ -e "$root/usr/bin/awk" ] || ln -s mawk "$root/usr/bin/awk"
	[ -e "$root/bin/sh" ] || ln -s dash "$root/bin/sh"
	cat >"$root/etc/passwd" <<-END
		root:*:0:0:root:/root:/bin/sh
		sshd:*:100:65534::/run/sshd:/bin/false
		nobody:*:65534:65534:nobody:/:/bin/false
	END
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
	mkdir -p "$root/opt/busybox" "$root/usr/local/sbin"
	for applet in $(busybox --list); do ln -s /bin/busybox "$root/opt/busybox/$applet"; done
	cp "$here/guest.sh" "$root/sbin/guest"
	chmod 755 "$root/sbin/guest"
	cat >"$root/etc/inittab" <<-END
		::sysinit:/sbin/guest
		::respawn:/usr/sbin/sshd -D -e -f /etc/ssh/guest
	END
	cat >"$root/etc/ssh/guest" <<-END
		HostKey /etc/ssh/guest_key
		AuthorizedKeysFile %h/authorized_keys
		PermitRootLogin prohibit-password
		MaxSessions 64
		UseDNS no
	END
	# With guest_init=/lib/systemd/systemd, units start the same two programs. Without a machine
	# ID, systemd would ask for one on the console.
	echo 5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b >"$root/etc/machine-id"
	wants=$root/etc/systemd/system/multi-user.target.wants
	mkdir -p "$wants"
	ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
	cat >"$root/etc/systemd/system/guest.service" <<-END
		[Unit]
		Wants=network.target
		Before=network.target
		[Service]
		Type=oneshot
		RemainAfterExit=yes
		ExecStart=/sbin/guest
	END
	cat >"$root/etc/systemd/system/guest-sshd.service" <<-END
		[Unit]
		Requires=guest.service
		After=guest.service network.target
		[Service]
		ExecStart=/usr/sbin/sshd -D -e -f /etc/ssh/guest
		Restart=always
	END
	ln -s ../guest-sshd.service "$wants/guest-sshd.service"
	rm -rf "$root/usr/share/doc" "$root/usr/share/man" "$root/usr/share/locale" "$root/var/cache/apt"
}

# Prints an initrd with a shell and the modules that the disk needs.
make_initrd() {
	modules=$root/lib/modules/$release
	cp "$(find "$root/boot" "$modules" -maxdepth 1 -name 'vmlinuz*' | head -n 1)" "$folder/kernel"
	small=$folder/initrd.folder
	mkdir -p "$small/bin" "$small/dev" "$small/disk"
	cp "$root/bin/busybox" "$small/bin/busybox"
	: >"$small/modules"
	for module in virtio_pci virtio_blk; do
		# Modules come in the order of their dependencies; what is built into the kernel is
		# not listed.
		awk -v name="/$module.ko" 'index($1, name) { sub(/:$/, "", $1); for (i = NF; i > 0; i--) print $i }' "$modules/modules.dep" |
			while read -r file; do
				name=${file##*/} name=${name%.xz}
				[ ! -e "$small/$name" ] || continue
				case $file in *.xz) xz -dc "$modules/$file" ;; *) cat "$modules/$file" ;; esac >"$small/$name"
				echo "$name" >>"$small/modules"
			done
	done
	cat >"$small/init" <<-'END'
		#!/bin/busybox sh
		/bin/busybox mount -t devtmpfs dev /dev
		while read -r module; do /bin/busybox insmod "/$module"; done </modules
		/bin/busybox mount -t ext4 /dev/vda /disk
		/bin/busybox mount -o move /dev /disk/dev
		# The kernel passes words of its command line that it does not know as variables.
		exec /bin/busybox switch_root /disk ${guest_init:-/bin/busybox init}
	END
	chmod 755 "$small/init"
	(cd "$small" && find . | busybox cpio -o -H newc 2>/dev/null)
	rm -rf "$small"
}

main "$@"
