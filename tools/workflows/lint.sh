#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Checks .github/workflows with actionlint, which gives each `run:` to shellcheck. It is built once
# from Go modules, whose digests go.sum pins.
set -eu
cd -- "$(dirname -- "$0")"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/socket-bypass
program=$cache/actionlint-$(cat go.mod go.sum | cksum | tr -d ' ')
if [ ! -x "$program" ]; then
	if ! command -v go >/dev/null; then
		echo "tools/workflows/lint.sh: expected Go on PATH to build actionlint, found none; install Go" >&2
		exit 1
	fi
	mkdir -p "$cache"
	go build -o "$program.$$" github.com/rhysd/actionlint/cmd/actionlint
	mv "$program.$$" "$program"
fi
cd ../..
exec "$program" .github/workflows/*.yml
