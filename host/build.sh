#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes the host script as it is sent: sh build.sh OUTDIR. Without the comments behind its usage and without indentation, a sixth of
# what goes over the line.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
out=${1:?usage: build.sh OUTDIR}
mkdir -p "$out"
awk '/^set -u$/ { body = 1 } body && /^[ \t]*#/ { next } body { sub(/^\t+/, "") } 1' "$here/socket-bypass.sh" >"$out/socket-bypass.new"
mv "$out/socket-bypass.new" "$out/socket-bypass"
