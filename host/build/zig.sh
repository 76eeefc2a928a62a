# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# The builds of the programs read this file (`. zig.sh`). It installs one fixed version of the Zig
# compiler from PyPI and checks the digests of its wheels (zig.txt), so that the programs have the
# same bytes wherever they are built. The compiler and what it has built stay in
# ${XDG_CACHE_HOME:-$HOME/.cache}/socket-bypass.

# shellcheck disable=SC2154 # the file that reads this one sets it, and $sources
pins=$here/zig.txt
architectures='x86_64 aarch64'
cache=${XDG_CACHE_HOME:-$HOME/.cache}/socket-bypass
export ZIG_GLOBAL_CACHE_DIR="$cache/zig-cache" ZIG_LOCAL_CACHE_DIR="$cache/zig-cache"

say() { printf '%s\n' "$*" >&2; }
err() {
	say "$*"
	exit 1
}

digest() {
	if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -c 1-16
}

# The digests name the folder, so that a compiler is used only with the digests it was checked by.
zig=$cache/zig-$(digest <"$pins")

# Installs into a temporary folder and renames it, because two builds may run at once and one may be
# interrupted.
install_zig() {
	[ ! -x "$zig/bin/python" ] || return 0
	command -v python3 >/dev/null || err 'expected python3 (with venv) to install the Zig compiler, found none'
	say "installing the Zig compiler of $pins from PyPI into $zig"
	unfinished=$(mktemp -d "$zig.XXXXXX")
	trap 'rm -rf "$unfinished"' EXIT
	python3 -m venv "$unfinished" >&2
	"$unfinished/bin/python" -m pip install --quiet --disable-pip-version-check \
		--require-hashes --only-binary :all: --no-deps --requirement "$pins" >&2
	[ -d "$zig" ] || mv "$unfinished" "$zig"
	rm -rf "$unfinished"
	trap - EXIT
}

zig_package() { "$zig/bin/python" -c 'import os, ziglang; print(os.path.dirname(ziglang.__file__))'; }

cat_sources() {
	find "$sources" -type f | LC_ALL=C sort | while IFS= read -r source; do cat "$source"; done
}

# build_all NAME OUTDIR [FLAG...] makes OUTDIR/NAME-ARCHITECTURE for each architecture. The caller
# defines `compile ARCHITECTURE FILE FLAG...`, which makes one of them from the folder $sources.
build_all() {
	[ $# -ge 2 ] || {
		say "expected ${0##*/} OUTDIR [COMPILER_FLAG...], found no OUTDIR"
		exit 2
	}
	name=$1
	mkdir -p "$2"
	outdir=$(cd "$2" && pwd)
	shift 2
	built=$cache/$name-$( (cat "$0" "$here"/zig.* && cat_sources && printf '%s\n' "$@") | digest)
	mkdir -p "$built"
	for architecture in $architectures; do
		program=$name-$architecture
		if [ ! -f "$built/$program" ]; then
			install_zig
			say "compiling $program"
			compile "$architecture" "$built/$program.$$" "$@"
			mv "$built/$program.$$" "$built/$program"
		fi
		if cmp -s "$built/$program" "$outdir/$program"; then
			say "$program is up to date"
		else
			cp "$built/$program" "$outdir/$program.$$"
			mv "$outdir/$program.$$" "$outdir/$program"
			say "$program: $(wc -c <"$outdir/$program") bytes"
		fi
	done
}
