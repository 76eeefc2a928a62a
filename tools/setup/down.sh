#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Removes what the demo installed; `npm run down` runs this.
set -eu

cd -- "$(dirname -- "$0")/../.."
sh tools/setup/prepare.sh demo
exec node_modules/.bin/tsx tools/demo/down.ts "$@"
