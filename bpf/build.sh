#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Compiles the BPF objects: sh build.sh OUTDIR [CLANG_FLAG…]
# Needs clang and llvm-strip 14 or newer and the headers of libbpf (bpf/bpf_helpers.h). Does nothing
# when the objects are newer than the sources.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

find_tool() {
	for tool in "$1-19" "$1" "$1-18" "$1-17" "$1-16" "$1-15" "$1-14"; do
		command -v "$tool" && return
	done
	echo "bpf/build.sh: expected $1 14 or newer on PATH, found none; install clang and llvm" >&2
	return 1
}

# From the assembly of a program: the line numbers in .BTF.ext, half of a packed object, which only
# a rejected program's log would show (without the lines' text, which a prebuilt object cannot
# hold). One for each function stays, or libbpf warns. The section is words of 32 bits: a header
# with the places and lengths of what follows, the functions, the lines, the relocations. What clang
# aligns and hides in an object file the text does not say, so we do.
drop_lines() {
	awk '
		function long(word) { return "\t.long\t" word "\n" }
		function put_ext(   first, from, to, at, n, i, name, lines, count) {
			if (!words) return
			first = w[1] / 4
			lines = long(16); count = 1
			for (at = first + w[2] / 4 + 1; at < first + (w[2] + w[3]) / 4; ) {
				name = w[at++]; n = w[at++]
				lines = lines long(name) long(n); count += 2 + 4 * n
				for (; n > 0; n--) { lines = lines long(w[at]) long(name) long(0) long(1024); at += 2 }
			}
			from = first + w[4] / 4; to = from + w[5] / 4
			w[6] += 4 * count - w[5]; w[5] = 4 * count
			for (i = 1; i < words; i++) {
				if (i == from) printf "%s", lines
				if (i < from || i >= to) printf "%s", long(w[i])
			}
			words = 0
		}
		/^\t\.section\t/ { put_ext(); inside = /\.BTF\.ext/; if (/\.BTF/) $0 = $0 "\n\t.p2align\t2" }
		inside && /^\t\.long\t/ { if (!words) words = 1; w[words++] = $2; next }
		{ gsub(/LBB[0-9]/, ".&"); print }
		END { put_ext() }'
}

main() {
	out=${1:?usage: build.sh OUTDIR [CLANG_FLAG...]}
	shift
	mkdir -p "$out"
	for object in "$out"/*.bpf.o; do
		# Of an earlier version, whose source has gone: it would be sent to hosts and pods
		# with the others.
		[ -e "$here/$(basename "$object" .o).c" ] || rm -f "$object"
	done
	for source in "$here"/*.bpf.c; do
		object=$out/$(basename "$source" .c).o
		[ $# -eq 0 ] && [ -e "$object" ] && [ -z "$(find "$here" -newer "$object" -name '*.[ch]')" ] && continue
		clang=$(find_tool clang)
		strip=$(find_tool llvm-strip)
		# Debian keeps asm/types.h in a folder of the architecture, which clang does not
		# search for the bpf target. The prefix is one that does not exist: else clang puts
		# every source line into the BTF, and the bytes depend on the folder it runs in.
		"$clang" -target bpfel -mcpu=v2 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -fno-addrsig \
			-idirafter "/usr/include/$(uname -m)-linux-gnu" "-ffile-prefix-map=$here=socket-bypass/bpf" "$@" -S "$source" -o "$object.s"
		drop_lines <"$object.s" >"$object.new.s"
		"$clang" -target bpfel -mcpu=v2 -c "$object.new.s" -o "$object.new"
		rm -f "$object.s" "$object.new.s"
		# libbpf reads neither of the two relocation sections, and they are a third of the
		# object.
		"$strip" -g --remove-section .rel.BTF --remove-section .rel.BTF.ext "$object.new"
		mv "$object.new" "$object"
	done
}

main "$@"
