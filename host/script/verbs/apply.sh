# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# apply: runs all steps in one go.

cmd_apply() {
	cmd_object_install
	apply_steps
}

apply_steps() { # all but `object install`
	step map object create_maps
	step track map do_build track
	step redirect track do_build redirect
	step verdict redirect do_build verdict
	step selftest verdict run_selftest
	step policy selftest set_policy
	step attach selftest do_attach
}
