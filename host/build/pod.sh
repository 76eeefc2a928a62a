#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# pod.sh OUTDIR [COMPILER_FLAG...]: builds pod-x86_64 and pod-aarch64 into OUTDIR.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
sources=$here/../helper/pod
# shellcheck source=host/build/zig.sh
. "$here/zig.sh"

# With musl in it: a ConfigMap has room.
compile() { # ARCHITECTURE FILE FLAGS...
	architecture=$1
	file=$2
	shift 2
	(cd "$sources" && "$(zig_package)/zig" cc -target "$architecture-linux-musl" -std=gnu11 -static -Os \
		-Wall -Wextra -Werror -fno-sanitize=undefined -ffunction-sections -fdata-sections \
		-Wl,--gc-sections -Wl,--build-id=none -s "$@" -o "$file" \
		bpf.c health.c bpftool.c http.c main.c report.c >&2)
}

build_all pod "$@"
