#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# helper.sh OUTDIR [COMPILER_FLAG...]: builds probe-x86_64 and probe-aarch64 into OUTDIR. With
# -DFOR_PODS they also serve a pod's health and metrics.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
sources=$here/../helper
# shellcheck source=host/build/zig.sh
. "$here/zig.sh"

# The libc is musl, linked statically. Paths do not get into the binary: the sources are named
# relative to their folder. They are in the order of their names, whatever folder they are in, so a
# file that moves changes no byte.
compile() { # ARCHITECTURE FILE FLAGS...
	architecture=$1
	file=$2
	shift 2
	# shellcheck disable=SC2046 # the names have no spaces
	(cd "$sources" && "$(zig_package)/zig" cc -target "$architecture-linux-musl" -std=gnu11 -static -Ibase -Os \
		-Wall -Wextra -Werror -fno-sanitize=undefined -fno-unwind-tables -fno-asynchronous-unwind-tables \
		-ffunction-sections -fdata-sections \
		-Wl,--gc-sections -Wl,--build-id=none -s "$@" -o "$file" \
		$(find . -name '*.c' | awk -F/ '{ print $NF, $0 }' | LC_ALL=C sort | cut -d ' ' -f 2) >&2)
}

build_all probe "$@"
