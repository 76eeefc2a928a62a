# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# version: prints the version of the package. A host may hold installations of other versions.

# host/build/script.sh writes the version here.
cmd_version() {
	say '@version@'
}
