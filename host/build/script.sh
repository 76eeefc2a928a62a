#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# sh script.sh OUTDIR: joins the parts of the host script and fills in the rows of kernels.deny and
# the version of package.json.
# The script for pods (OUTDIR/for-pods) must be small, because it is in a ConfigMap. It leaves out
# the parts that a pod never runs, and has no comments, empty lines or indentation below its usage.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
scripts=$here/../script
out=${1:?usage: script.sh OUTDIR}
version=$(sed -n 's/^  "version": "\([0-9A-Za-z.+-]*\)",$/\1/p' "$here/../../package.json")
[ -n "$version" ] || {
	echo "host/build/script.sh: package.json: expected a version, found none" >&2
	exit 1
}

# The first lines of a part are for the linters and are left out.
join() { # IS-FOR-PODS
	sed '/^# shellcheck shell=/d; /^# The parts of parts\.txt/,$d' "$scripts/main.sh"
	grep -v '^#' "$scripts/parts.txt" | while read -r part _ pods; do
		[ "$1$pods" = 1no ] || sed '/^# SPDX-/d; /^# shellcheck shell=/d' "$scripts/$part.sh"
		echo
	done
	sed '1,/^@parts@$/d' "$scripts/main.sh"
}

write() { # FILE IS-FOR-PODS
	mkdir -p "${1%/*}"
	# Not in the pipeline below, whose exit status is that of its last command: a part that
	# cannot be read must fail the build.
	join "$2" >"$1.parts"
	cat -s "$1.parts" | awk -v list="$here/../kernels.deny" -v short="$2" -v version="$version" '
		/^set -u$/ { body = short }
		body && /^[ \t]*(#|$)/ { next }
		/kernels\.deny/ {
			print "\tcat <<\047END\047"
			while ((getline row <list) > 0) if (row !~ /^#/) print row
			print "END"
			next
		}
		body { sub(/^\t+/, "") }
		{ sub(/@version@/, version) }
		{ print }' >"$1.new"
	rm "$1.parts"
	mv "$1.new" "$1"
}

write "$out/socket-bypass" 0
write "$out/for-pods/socket-bypass" 1
