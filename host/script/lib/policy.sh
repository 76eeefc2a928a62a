# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Reads and writes the declared policy and the live one.

policy_of() { kept policy | sed -n "s/^$1=//p"; }
policy_declared() { encode_policy "$(policy_of everything)" "$(policy_of ports)" "$(policy_of cidrs)"; }

ranges_declared() {
	set -- "$(policy_of ports)"
	say "${1:-any}"
}

refresh_declared() { # 0 if an earlier version wrote the record
	set -- "$(policy_of refresh)"
	say "${1:-0}"
}

drain_declared() {
	case $(policy_of enabled) in false) say 1 ;; *) say 0 ;; esac
}

live_policy() { # FOLDER -> $slot (the live one), $live (its bytes)
	get_knob "$1" "$policy_knob"
	slot=$((value & 1))
	read_map bytes "$1/maps/policies" "$slot"
	live="$out "
}

# Writes the slot that is not in use, then the selector, and the drain knob last.
put_policy() { # FOLDER HEX QUEUE-BYTES REFRESH-SECONDS DRAIN
	live_policy "$1"
	if [ "$live" != "$2" ]; then
		# shellcheck disable=SC2086 # one argument a byte
		must map update pinned "$1/maps/policies" key hex "0$((1 - slot))" 00 00 00 value hex $2
		set_knob "$1" "$policy_knob" $((1 - slot))
	fi
	set_knob "$1" "$queue_knob" "$3"
	set_knob "$1" "$refresh_knob" "$4"
	[ "$5" -eq 0 ] || drain_gently "$1"
	set_knob "$1" "$drain_knob" "$5"
}

list_policy_faults() { # FOLDER; prints how the live policy differs from the declared one
	get_knob "$1" "$drain_knob"
	[ "$value" = "$(drain_declared)" ] || say "drain is $value, declared $(drain_declared)"
	live_policy "$1"
	[ "$live" = "$(policy_declared)" ] || say "the policy in force is not the declared one"
	get_knob "$1" "$queue_knob"
	[ "$value" = "$(policy_of queue)" ] || say "queue bytes are $value, declared $(policy_of queue)"
	get_knob "$1" "$refresh_knob"
	[ "$value" = "$(refresh_declared)" ] || say "refresh seconds are $value, declared $(refresh_declared)"
}

has_policy() { # FOLDER; true if the live policy is the declared one
	faults=$(list_policy_faults "$1") && [ -z "$faults" ]
}
