#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The demo; `npm start -- ARGS` runs this, and ARGS are those of tools/demo/start.ts.
set -eu

cd -- "$(dirname -- "$0")/../.."
sh tools/setup/prepare.sh demo
exec node_modules/.bin/tsx tools/demo/start.ts "$@"
