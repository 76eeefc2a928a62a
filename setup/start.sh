#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The demo: `npm start -- ARGS` is this, and ARGS are those of demo/start.ts.
set -eu

cd -- "$(dirname -- "$0")/.."
sh setup/prepare.sh demo
exec node_modules/.bin/tsx demo/start.ts "$@"
