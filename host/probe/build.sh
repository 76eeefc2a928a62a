#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# build.sh OUTDIR [COMPILER_FLAG...]: builds probe-x86_64 and probe-aarch64 into OUTDIR.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=host/zig.sh
. "$here/../zig.sh"

# The headers are musl's, the code is all ours (system.c). Paths do not get into the binary: the
# sources are named relative to their folder.
compile() { # ARCHITECTURE FILE FLAGS...
	architecture=$1
	file=$2
	shift 2
	# One instruction per address instead of two; x86_64 has no such model.
	[ "$architecture" = x86_64 ] || set -- -mcmodel=tiny "$@"
	package=$(zig_package)
	headers=$package/lib/libc/include
	# Zig turns -Oz into -Os and keeps frame pointers unless told twice.
	(cd "$here" && "$package/zig" cc -target "$architecture-linux-musl" -std=gnu11 -static -nostdlib \
		-isystem "$headers/$architecture-linux-musl" -isystem "$headers/generic-musl" \
		-isystem "$headers/$architecture-linux-any" -isystem "$headers/any-linux-any" \
		-Oz -Xclang -Oz -fomit-frame-pointer -Wall -Wextra -Werror \
		-fno-builtin -fno-sanitize=undefined -fno-stack-protector \
		-fno-asynchronous-unwind-tables -fno-unwind-tables -fno-ident -ffunction-sections -fdata-sections \
		-Wl,--gc-sections -Wl,--build-id=none -s "$@" -o "$file" ./*.c >&2)
	"$zig/bin/python" "$here/segments.py" "$file"
}

build_all probe "$@"
