#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# All checks; `npm test -- ARGS` runs this, and ARGS go to tools/setup/run-tests.ts. It stops at the
# first check that fails, but runs all tests.
set -eu

main() {
	cd -- "$(dirname -- "$0")/../.."
	sh tools/setup/load.sh
	heading "tools, packages, build"
	sh tools/setup/prepare.sh test kubernetes
	if [ -d .state ]; then
		heading "the demo of this checkout holds the whole host; removing it first"
		sh tools/setup/down.sh
	fi
	heading "engine, its languages and Kubernetes"
	node tools/pulumi/ensure.mjs --kubernetes --languages >/dev/null
	heading "lint"
	npm run --silent lint
	heading "types"
	npm run --silent types
	exec node --import tsx tools/setup/run-tests.ts "$@"
}

heading() {
	printf '\n== %s ==\n' "$1"
}

main "$@"
