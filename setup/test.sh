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
	node_modules/.bin/vitest run "$@"
}

heading() {
	printf '\n== %s ==\n' "$1"
}

main "$@"
