# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Runs steps and keeps their serials.

link=/usr/local/sbin/socket-bypass

serial_of() { kept "serials/$1" | sed 's/ .*//'; }

# A step's serial grows when the step changed anything, when an attempt ended half-way, when its
# predecessor's serial grew, and with a new generation. So every step after one that really ran runs
# again. A serial is at least the current time: so it also grows when the state was lost, and a
# restored snapshot that is then changed never gets a serial that was used before. A boot makes what
# was declared, so it changes no serial.
step() { # NAME PREDECESSOR FUNCTION...
	stage=serials/$1 changed=
	[ -d "$home" ] || undo_with undo_home
	[ -d "$B/$instance" ] || undo_with undo_pins
	make_folder "$home/serials"
	seen="$(serial_of "$2") $generation"
	unfinished=
	[ ! -e "$home/$stage-running" ] || changed=1 unfinished=1
	ensure touch "$home/$stage-running"
	shift 2
	"$@"
	undo=
	if [ "$verb" = 'boot start' ]; then
		[ -n "$unfinished" ] || ensure rm -f "$home/$stage-running"
		return 0
	fi
	[ -z "$epoch" ] || keep "epoch-${stage#*/}" "$epoch"
	serial=$(serial_of "${stage#*/}")
	[ "$(kept "$stage")" = "$serial $seen" ] || changed=1
	if [ -n "$changed" ]; then
		now=$(date +%s)
		serial=$((${serial:-0} < now ? now : serial + 1))
	fi
	keep "$stage" "$serial $seen"
	ensure rm -f "$home/$stage-running"
}

undo_home() {
	drop_link
	ignore rm -rf "$home"
	ignore rmdir "$state_dir"
}

# Removes our link for hand-typed commands, or points it at another instance if there is one.
drop_link() {
	[ "$(readlink "$link")" = "$home/socket-bypass" ] || return 0
	ignore rm -f "$link"
	for other in "$state_dir"/*/socket-bypass; do
		[ "$other" = "$home/socket-bypass" ] || [ ! -f "$other" ] || (ignore put_link "$link" "$other")
	done
}

undo_pins() {
	ignore rm -f "$B/$instance/owner"
	ignore rmdir "$B/$instance"
	(settle_splice_guard)
	ignore rmdir "$B"
}

is_proven() { # true if the self-test passed on this kernel, or is switched off
	case $(kept kernel) in "$(kernel_build)" | off) ;; *) return 1 ;; esac
}
