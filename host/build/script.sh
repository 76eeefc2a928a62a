#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes the host script with the rows of kernels.deny in it: sh script.sh OUTDIR. For pods, whose
# ConfigMap has no room for more, also without comments, empty lines and indentation behind its
# usage, and without what a pod never comes to: the lines about files that are sent, the unit of
# systemd, and who listens, for it sees no process but its own. OUTDIR/for-pods.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
out=${1:?usage: script.sh OUTDIR}

write() { # FILE IS-SHORT
	mkdir -p "${1%/*}"
	awk -v list="$here/../kernels.deny" -v short="$2" '
		/^set -u$/ { body = short }
		body && /^[ \t]*(#|$)|\/_staged-/ { next }
		body && /^(name_listeners|is_filtered|boot_unit)\(\) \{/ { unused = 1 }
		unused { if (/^}/) unused = 0; next }
		/kernels\.deny/ {
			print "cat <<\047END\047"
			while ((getline row <list) > 0) if (row !~ /^#/) print row
			print "END"
			next
		}
		body { sub(/^\t+/, "") }
		{ print }' "$here/../script/main.sh" >"$1.new"
	mv "$1.new" "$1"
}

write "$out/socket-bypass" 0
write "$out/for-pods/socket-bypass" 1
