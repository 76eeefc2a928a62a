# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Output, errors, and the end of a run.

say() { printf '%s\n' "$*"; }

# Text that others chose (names of cgroups, targets of links) may hold characters that control a
# terminal: C0, DEL, and C1 in UTF-8.
c1=$(printf '\302[\200-\237]')
# Pulumi's command provider hangs at a line of 64 KiB, which a verifier or a compiler may print.
warn() { printf 'socket-bypass: %.4000s\n' "$*" | sed "s/$c1/?/g" | tr '\000-\011\013-\037\177' '?' >&2; }

shorten() { awk '{ print substr($0, 1, 4000) }'; }

look_of() { printf '%s' "$(ls -ldn "$1")" | tr '\n' '?'; }
ignore() { "$@" >/dev/null 2>&1 || :; }

err() { # MESSAGE [EXIT]
	warn "$1"
	exit "${2:-1}"
}

usage() { err "$1; see sh $script help" 2; }

ensure() { # COMMAND...
	why=$("$@" 2>&1) || err "$* failed: ${why##*"$nl"}"
}

need() { # FLAG VALUE
	[ -n "$2" ] || usage "$verb: expected $1"
}

make_folder() {
	[ -d "$1" ] || ensure mkdir -p -m 0700 "$1"
}

# $undo runs when a verb fails or is stopped, the latest command first. $cleanup runs in any case.
undo_with() { undo="($*); $undo"; }

finish() {
	code=$?
	trap '' INT TERM
	trap - EXIT
	[ "$code" -eq 0 ] || eval "$undo"
	eval "$cleanup"
	exit "$code"
}

yes_no() { case $1 in 0) say false ;; *) say true ;; esac }
