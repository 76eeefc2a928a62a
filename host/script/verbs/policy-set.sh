# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# policy set: changes what may be bypassed, live.

cmd_policy_set() { step policy selftest set_policy; }

set_policy() {
	claim_owner
	hex=$(encode_policy "$everything" "$ports" "$cidrs") || exit
	word=$(kept splice-guard)
	# Without this record no way has been looked for yet; attach will do so.
	if [ -n "$word" ]; then
		check_everything "$everything" "$enabled" "$word"
		[ "$verb" = 'boot start' ] || warn_of_listeners "$word"
	fi
	[ -L "$B/$instance/$generation/verdict" ] || build verdict
	# The policy is kept for the next boot before it goes live.
	keep policy "everything=$everything${nl}ports=$ports${nl}cidrs=$cidrs${nl}enabled=$enabled${nl}queue=$queue_bytes${nl}refresh=$refresh_seconds"
	put_policy "$B/$instance/$generation" "$hex" "$queue_bytes" "$refresh_seconds" "$(drain_declared)"
}
