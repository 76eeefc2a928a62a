#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Compiles the BPF objects: sh build.sh OUTDIR [CLANG_FLAG…]
# Needs clang and llvm-strip 14 or newer and the headers of libbpf (bpf/bpf_helpers.h). Does nothing when the objects are newer than the sources.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

find_tool() {
	for tool in "$1-19" "$1" "$1-18" "$1-17" "$1-16" "$1-15" "$1-14"; do
		command -v "$tool" && return
	done
	echo "bpf/build.sh: expected $1 14 or newer on PATH, found none; install clang and llvm" >&2
	return 1
}

main() {
	out=${1:?usage: build.sh OUTDIR [CLANG_FLAG...]}
	shift
	mkdir -p "$out"
	for source in "$here"/*.bpf.c; do
		object=$out/$(basename "$source" .c).o
		[ $# -eq 0 ] && [ -e "$object" ] && [ -z "$(find "$here" -newer "$object" -name '*.[ch]')" ] && continue
		clang=$(find_tool clang)
		strip=$(find_tool llvm-strip)
		# Debian keeps asm/types.h in a folder of the architecture, which clang does not search for the bpf target. The prefix is one that
		# does not exist: else clang puts every source line into the BTF, and the bytes depend on the folder it runs in.
		"$clang" -target bpfel -mcpu=v2 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter \
			-idirafter "/usr/include/$(uname -m)-linux-gnu" "-ffile-prefix-map=$here=socket-bypass/bpf" "$@" -c "$source" -o "$object.new"
		# libbpf reads neither of the two relocation sections, and they are a third of the object.
		"$strip" -g --remove-section .rel.BTF --remove-section .rel.BTF.ext "$object.new"
		mv "$object.new" "$object"
	done
}

main "$@"
