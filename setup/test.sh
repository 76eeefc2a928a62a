#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# All checks, stopping at the first that fails: `npm test -- ARGS` is this, and ARGS go to vitest.
set -eu

main() {
	cd -- "$(dirname -- "$0")/.."
	heading "tools, packages, build"
	sh setup/prepare.sh test kubernetes
	if [ -d .state ]; then
		heading "the demo of this checkout holds the whole host; removing it first"
		sh setup/down.sh
	fi
	heading "engine and Kubernetes"
	node engine/ensure.mjs --kubernetes >/dev/null
	heading "lint"
	npm run --silent lint
	heading "types"
	npm run --silent types
	heading "tests"
	[ "$#" -eq 0 ] || vitest "$@"
	(vitest --project package --project tools)
	heading "tests on Kubernetes"
	(vitest --project kubernetes)
	heading "tests of the machine, in two parts side by side"
	logs=$(mktemp -d)
	trap end_parts EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	part datapath vitest --project datapath --project uses
	part host sh setup/apart.sh node_modules/.bin/vitest run --project host
	tail -q -n +1 -f "$logs"/*.log &
	parts="$parts $!"
	failed=
	for name in datapath host; do
		while [ ! -e "$logs/$name.code" ]; do sleep 1; done
		[ "$(cat "$logs/$name.code")" = 0 ] || failed="$failed $name"
	done
	sleep 1
	for name in $failed; do
		heading "$name failed"
		sed -n '/Failed /,$p' "$logs/$name.log"
	done
	[ -z "$failed" ]
}

parts=

part() { # NAME COMMAND...
	name=$1
	shift
	(
		child=
		trap 'kill "$child" 2>/dev/null; wait "$child"; exit 143' TERM
		"$@" &
		child=$!
		code=0
		wait "$child" || code=$?
		echo "$code" >"$logs/$name.new"
		mv "$logs/$name.new" "$logs/$name.code"
	) >"$logs/$name.log" 2>&1 &
	parts="$parts $!"
}

end_parts() {
	code=$?
	for pid in $parts; do kill "$pid" 2>/dev/null || true; done
	for pid in $parts; do wait "$pid" 2>/dev/null || true; done
	rm -rf "$logs"
	exit "$code"
}

vitest() {
	exec node_modules/.bin/vitest run "$@"
}

heading() {
	printf '\n== %s ==\n' "$1"
}

main "$@"
