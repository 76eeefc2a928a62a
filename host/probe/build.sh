#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# build.sh OUTDIR [COMPILER_FLAG...]: builds probe-x86_64 and probe-aarch64 into OUTDIR.
#
# The compiler is one fixed version of Zig from PyPI, so the bytes are the same everywhere. It and what
# it built stay in ${XDG_CACHE_HOME:-$HOME/.cache}/socket-bypass.
set -eu

zig_version=0.17.1
architectures='x86_64 aarch64'
here=$(cd "$(dirname "$0")" && pwd)

say() { printf 'probe/build.sh: %s\n' "$*" >&2; }
err() {
	say "$*"
	exit 1
}

digest() {
	if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -c 1-16
}

# Into a folder of its own first: two builds may run at once, and one may be interrupted.
install_zig() {
	command -v python3 >/dev/null || err 'expected python3 (with venv) to install the Zig compiler, found none'
	say "installing Zig $zig_version from PyPI into $1"
	unfinished=$(mktemp -d "$1.XXXXXX")
	trap 'rm -rf "$unfinished"' EXIT
	python3 -m venv "$unfinished" >&2
	"$unfinished/bin/python" -m pip install --quiet --disable-pip-version-check "ziglang==$zig_version" >&2
	[ -d "$1" ] || mv "$unfinished" "$1"
	rm -rf "$unfinished"
	trap - EXIT
}

# The headers are musl's, the code is all ours (system.c). Paths do not get into the binary: the
# sources are named relative to their folder.
compile() { # ARCHITECTURE FILE FLAGS...
	architecture=$1
	file=$2
	shift 2
	# One instruction per address instead of two; x86_64 has no such model.
	[ "$architecture" = x86_64 ] || set -- -mcmodel=tiny "$@"
	say "compiling probe-$architecture"
	package=$("$zig/bin/python" -c 'import os, ziglang; print(os.path.dirname(ziglang.__file__))')
	headers=$package/lib/libc/include
	# Zig turns -Oz into -Os and keeps frame pointers unless told twice.
	(cd "$here" && "$package/zig" cc -target "$architecture-linux-musl" -std=gnu11 -static -nostdlib \
		-isystem "$headers/$architecture-linux-musl" -isystem "$headers/generic-musl" \
		-isystem "$headers/$architecture-linux-any" -isystem "$headers/any-linux-any" \
		-Oz -Xclang -Oz -fomit-frame-pointer -Wall -Wextra -Werror \
		-fno-builtin -fno-sanitize=undefined -fno-stack-protector \
		-fno-asynchronous-unwind-tables -fno-unwind-tables -fno-ident -ffunction-sections -fdata-sections \
		-Wl,--gc-sections -Wl,--build-id=none -s "$@" -o "$file" ./*.c >&2)
}

main() {
	[ $# -ge 1 ] || {
		say 'expected build.sh OUTDIR [COMPILER_FLAG...], found no OUTDIR'
		exit 2
	}
	mkdir -p "$1"
	outdir=$(cd "$1" && pwd)
	shift
	cache=${XDG_CACHE_HOME:-$HOME/.cache}/socket-bypass
	zig=$cache/zig-$zig_version
	built=$cache/probe-$( (cat "$here"/build.sh "$here"/*.[ch] && printf '%s\n' "$@") | digest)
	export ZIG_GLOBAL_CACHE_DIR="$cache/zig-cache" ZIG_LOCAL_CACHE_DIR="$cache/zig-cache"
	mkdir -p "$built"
	for architecture in $architectures; do
		name=probe-$architecture
		if [ ! -f "$built/$name" ]; then
			[ -x "$zig/bin/python" ] || install_zig "$zig"
			compile "$architecture" "$built/$name.$$" "$@"
			mv "$built/$name.$$" "$built/$name"
		fi
		if cmp -s "$built/$name" "$outdir/$name"; then
			say "$name is up to date"
		else
			cp "$built/$name" "$outdir/$name.$$"
			mv "$outdir/$name.$$" "$outdir/$name"
			say "$name: $(wc -c <"$outdir/$name") bytes"
		fi
	done
}

main "$@"
