#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# All checks, stopping at the first that fails: `npm test -- ARGS` is this, and ARGS go to vitest.
set -eu

main() {
	cd -- "$(dirname -- "$0")/.."
	heading "tools, packages, build"
	sh setup/prepare.sh test
	if [ -d .state ]; then
		heading "the demo of this checkout holds the whole host; removing it first"
		sh setup/down.sh
	fi
	heading "engine"
	node engine/ensure.mjs >/dev/null
	heading "lint"
	npm run --silent lint
	heading "types"
	npm run --silent types
	heading "tests"
	if [ "$#" -gt 0 ]; then
		vitest "$@"
		return
	fi
	vitest --project package --project tools
	heading "tests of the host script, and of what uses it, side by side"
	sh setup/apart.sh node_modules/.bin/vitest run --project host &
	apart=$!
	trap 'kill "$apart" 2>/dev/null || true' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	code=0
	vitest --project machine || code=$?
	wait "$apart" || code=$?
	trap - EXIT
	return "$code"
}

vitest() {
	node_modules/.bin/vitest run "$@"
}

heading() {
	printf '\n== %s ==\n' "$1"
}

main "$@"
