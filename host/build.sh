#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes the host script as it is sent: sh build.sh OUTDIR. With the rows of kernels.deny in it; without comments, empty lines and
# indentation behind its usage, a sixth of what goes over the line.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
out=${1:?usage: build.sh OUTDIR}
mkdir -p "$out"
awk -v list="$here/kernels.deny" '
	/^set -u$/ { body = 1 }
	body && /^[ \t]*(#|$)/ { next }
	/kernels\.deny/ {
		print "cat <<\047END\047"
		while ((getline row <list) > 0) if (row !~ /^#/) print row
		print "END"
		next
	}
	body { sub(/^\t+/, "") }
	{ print }' "$here/socket-bypass.sh" >"$out/socket-bypass.new"
mv "$out/socket-bypass.new" "$out/socket-bypass"
