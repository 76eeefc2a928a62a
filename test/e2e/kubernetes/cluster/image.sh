#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes the image of the tests' pods as a tar that containerd imports, without a registry: busybox,
# bpftool with its libraries, and the helper. The same machine gives the same bytes. It stands in
# for image/Dockerfile, and also has the name of the pause image.
#
# usage: sh image.sh PROBE TAR
set -eu

main() {
	probe=$1 tar=$2
	PATH=$PATH:/usr/sbin:/sbin
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	trap 'exit 143' HUP INT TERM
	make_root "$work/root"
	mkdir -p "$work/layout/blobs/sha256"
	pack "$work/root" >"$work/layer"
	layer=$(digest "$work/layer")
	case $(uname -m) in
	x86_64) architecture=amd64 ;;
	aarch64) architecture=arm64 ;;
	esac
	cat >"$work/config" <<-END
		{"architecture": "$architecture", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:$layer"]},
		"config": {"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["sleep", "2147483647"]}}
	END
	config=$(digest "$work/config")
	oci=application/vnd.oci.image
	cat >"$work/manifest" <<-END
		{"schemaVersion": 2, "mediaType": "$oci.manifest.v1+json",
		"config": {"mediaType": "$oci.config.v1+json", "digest": "sha256:$config", "size": $(size "$work/config")},
		"layers": [{"mediaType": "$oci.layer.v1.tar", "digest": "sha256:$layer", "size": $(size "$work/layer")}]}
	END
	manifest=$(digest "$work/manifest")
	for part in layer config manifest; do mv "$work/$part" "$work/layout/blobs/sha256/$(eval "echo \$$part")"; done
	echo '{"imageLayoutVersion": "1.0.0"}' >"$work/layout/oci-layout"
	bytes=$(size "$work/layout/blobs/sha256/$manifest")
	entries=
	for name in localhost/socket-bypass:test localhost/pause:3.10; do
		entries="$entries${entries:+,}{\"mediaType\": \"$oci.manifest.v1+json\", \"digest\": \"sha256:$manifest\", \"size\": $bytes,
			\"annotations\": {\"io.containerd.image.name\": \"$name\"}}"
	done
	echo "{\"schemaVersion\": 2, \"manifests\": [$entries]}" >"$work/layout/index.json"
	pack "$work/layout" >"$tar.part-$$"
	mv "$tar.part-$$" "$tar"
}

make_root() {
	mkdir -p "$1/bin" "$1/sbin" "$1/usr/bin" "$1/usr/sbin" "$1/etc" "$1/tmp" "$1/proc" "$1/sys" "$1/dev" "$1/run"
	chmod 1777 "$1/tmp"
	echo 'root:x:0:0:root:/:/bin/sh' >"$1/etc/passwd"
	echo 'root:x:0:' >"$1/etc/group"
	cp "$(command -v busybox)" "$1/bin/busybox"
	for applet in $(busybox --list-full); do
		[ -e "$1/$applet" ] || ln -s /bin/busybox "$1/$applet"
	done
	cp "$(command -v bpftool)" "$1/usr/sbin/bpftool"
	ldd "$1/bin/busybox" "$1/usr/sbin/bpftool" | grep -o '[[:blank:]]/[^ ]*' | sort -u | while read -r library; do
		mkdir -p "$1${library%/*}"
		cp -L "$library" "$1$library"
	done
	cp "$probe" "$1/usr/bin/probe"
}

pack() { # FOLDER
	tar --create --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=ustar --directory "$1" .
}

digest() {
	sha256sum "$1" | cut -d ' ' -f 1
}

size() {
	wc -c <"$1"
}

main "$@"
