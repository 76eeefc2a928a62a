#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Compiles the BPF objects: sh build.sh OUTDIR [CLANG_FLAG…]
# Needs clang, llvm-strip and llvm-objcopy 14 or newer and the headers of libbpf (bpf/bpf_helpers.h). Does nothing when the objects are newer than the sources.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

find_tool() {
	for tool in "$1-19" "$1" "$1-18" "$1-17" "$1-16" "$1-15" "$1-14"; do
		command -v "$tool" && return
	done
	echo "bpf/build.sh: expected $1 14 or newer on PATH, found none; install clang and llvm" >&2
	return 1
}

# The line numbers of .BTF.ext are a third of an object and pack badly. Neither the kernel nor libbpf needs them: zeros, and a header that
# says there are none. The header is its magic, its own length, then offset and length of functions, of lines, of relocations.
drop_lines() { # OBJECT OBJCOPY
	"$2" --dump-section ".BTF.ext=$1.ext" "$1"
	# shellcheck disable=SC2046 # split on purpose: six numbers
	set -- "$1" "$2" $(od -An -v -tu4 -N 24 "$1.ext")
	dd if=/dev/zero of="$1.ext" bs=1 seek="$(($4 + $7))" count="$8" conv=notrunc 2>/dev/null
	dd if=/dev/zero of="$1.ext" bs=4 seek=5 count=1 conv=notrunc 2>/dev/null
	"$2" --update-section ".BTF.ext=$1.ext" "$1"
	rm "$1.ext"
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
		objcopy=$(find_tool llvm-objcopy)
		# Debian keeps asm/types.h in a folder of the architecture, which clang does not search for the bpf target. The prefix is one that
		# does not exist: else clang puts every source line into the BTF, and the bytes depend on the folder it runs in.
		"$clang" -target bpfel -mcpu=v2 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter \
			-idirafter "/usr/include/$(uname -m)-linux-gnu" "-ffile-prefix-map=$here=socket-bypass/bpf" "$@" -c "$source" -o "$object.new"
		# libbpf reads neither of the two relocation sections, and they are a third of the object.
		"$strip" -g --remove-section .rel.BTF --remove-section .rel.BTF.ext "$object.new"
		drop_lines "$object.new" "$objcopy"
		mv "$object.new" "$object"
	done
}

main "$@"
