# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Records and checks who owns an instance.

owner_recorded() { recorded owner || kept owner || :; }

stack_of() ( # OWNER; prints its first two words, project and stack
	rest=${1#*/*/}
	say "${1%"/$rest"}"
)

check_owner() {
	found=$(owner_recorded)
	[ -z "$found" ] || [ -n "$take_over" ] || [ "$(stack_of "$found")" = "$(stack_of "$owner")" ] ||
		err "instance $instance: expected owner $owner, found $found; type 'socket-bypass remove --instance $instance', or say --take-over (takeOver: true)"
}

claim_owner() {
	check_owner
	make_folder "$home"
	keep owner "$owner"
	make_folder "$B/$instance"
	record owner "$owner"
}

is_mine() {
	found=$(owner_recorded)
	[ -z "$owner" ] || [ -z "$found" ] || [ "$found" = "$owner" ] || [ -n "$force" ]
}
