#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# helper.sh OUTDIR [COMPILER_FLAG...]: builds probe-x86_64 and probe-aarch64 into OUTDIR.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
sources=$here/../helper
# shellcheck source=host/build/zig.sh
. "$here/zig.sh"

# The headers are musl's, the code is all ours (system.c). Paths do not get into the binary: the
# sources are named relative to their folder. They are in the order of their names, whatever folder
# they are in, so a file that moves changes no byte.
compile() { # ARCHITECTURE FILE FLAGS...
	architecture=$1
	file=$2
	shift 2
	# One instruction per address instead of two; x86_64 has no such model.
	[ "$architecture" = x86_64 ] || set -- -mcmodel=tiny "$@"
	package=$(zig_package)
	headers=$package/lib/libc/include
	# Zig turns -Oz into -Os and keeps frame pointers unless told twice.
	# shellcheck disable=SC2046 # the names have no spaces
	(cd "$sources" && "$package/zig" cc -target "$architecture-linux-musl" -std=gnu11 -static -nostdlib -Ibase \
		-isystem "$headers/$architecture-linux-musl" -isystem "$headers/generic-musl" \
		-isystem "$headers/$architecture-linux-any" -isystem "$headers/any-linux-any" \
		-Oz -Xclang -Oz -fomit-frame-pointer -Wall -Wextra -Werror \
		-fno-builtin -fno-sanitize=undefined -fno-stack-protector \
		-fno-asynchronous-unwind-tables -fno-unwind-tables -fno-ident -ffunction-sections -fdata-sections \
		-Wl,--gc-sections -Wl,--build-id=none -s "$@" -o "$file" \
		$(find . -name '*.c' | awk -F/ '{ print $NF, $0 }' | LC_ALL=C sort | cut -d ' ' -f 2) >&2)
	"$zig/bin/python" "$here/segments.py" "$file"
}

build_all probe "$@"
