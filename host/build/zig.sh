# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# What the builds of the programs share, as `. zig.sh`: one fixed version of the Zig compiler from
# PyPI, its wheels by their digests (zig.txt), so the bytes are the same everywhere. It and what it
# built stay in ${XDG_CACHE_HOME:-$HOME/.cache}/socket-bypass.

# shellcheck disable=SC2154 # of who reads this, as $sources
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

# Another folder for other digests: what is there was checked against these.
zig=$cache/zig-$(digest <"$pins")

# Into a folder of its own first: two builds may run at once, and one may be interrupted.
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

# NAME OUTDIR [FLAG...]: NAME-ARCHITECTURE for each into OUTDIR; `compile ARCHITECTURE FILE FLAG...`
# makes one, of what is in the folder $sources.
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
