#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Takes the files of a generation from stdin, for the step behind it to install. Says "wants
# DIGEST" when they should come (a tar, packed by gzip), and "has DIGEST" when they are there whole.
# The sender has `sh -c` read this script by its length, because a shell that reads a script from
# stdin reads ahead.
#
# usage: receive.sh STATE-DIR INSTANCE SHA256-OF-THE-TAR

set -u
umask 077
export LC_ALL=C
export PATH="${SOCKET_BYPASS_PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin}"
nl='
'

err() {
	printf 'socket-bypass: %s\n' "$1" >&2
	exit 1
}

# Root runs what comes here. As is_safe() in the host script, which is not here yet.
check_folder() ( # PATH
	path=$1
	while :; do
		if [ -e "${path:-/}" ] || [ -L "$path" ]; then
			# shellcheck disable=SC2046 # split on purpose: mode, links, user
			set -f -- $(ls -ldn "${path:-/}")
			case ${3:-}${1:-} in
			0d????-??-*) ;;
			*) err "${path:-/}: expected root's own, not writable by others (sticky or not), and no link; found $*; correct it, or choose another stateDir" ;;
			esac
		fi
		[ -n "$path" ] || return 0
		path=${path%/*}
	done
)

finish() {
	code=$?
	trap '' HUP INT PIPE TERM
	trap - EXIT
	[ -z "$new" ] || rm -rf "$new"
	rmdir "$staged" "$state_dir" 2>/dev/null
	exit "$code"
}

# Some tools say two lines, and some nothing.
no_room() { # WHY
	why=${1##*"$nl"}
	err "$staged: expected room for the files, found: ${why:-less than was sent}; make room there, or choose another stateDir"
}

receive() {
	new=$(mktemp -d "$staged/new-XXXXXX" 2>&1) || { why=$new new='' && no_room "$why"; }
	# Before anything comes: the host script and its probe run from here.
	why=$(printf '#!/bin/sh\nexit 0\n' 2>&1 >"$new/try") || no_room "$why"
	chmod 0700 "$new/try"
	"$new/try" 2>/dev/null || err "$staged: expected files that can run there, found that they cannot; remount it without noexec, or choose another stateDir"
	echo "wants $digest"
	why=$(gzip -dc 2>&1 >"$new/tar")
	case $why in *[Ss]pace* | *[Qq]uota* | *[Ww]rite*) no_room "$why" ;; esac
	found=$(sha256sum <"$new/tar")
	found=${found%% *}
	[ "$found" = "$digest" ] || err "files: expected digest $digest, found $found; they were cut or changed on the way, run up again"
	why=$(mkdir "$new/$digest" 2>&1 && tar -xof "$new/tar" -C "$new/$digest" 2>&1) || no_room "$why"
	chmod -R go= "$new/$digest"
	# In one step: what has this name is whole.
	mv "$new/$digest" "$staged/" 2>/dev/null || [ -f "$staged/$digest/socket-bypass" ] || err "$staged: expected to put the files there, found that it cannot be written to"
}

main() {
	state_dir=$1 staged=$1/_staged-$2 digest=$3 new=''
	[ "$(id -u)" -eq 0 ] || err "expected to run as root, found another user; set become"
	for tool in chmod gzip ls mktemp mv sha256sum tar; do
		command -v "$tool" >/dev/null || err "tools: expected gzip, mktemp, sha256sum and tar, found no $tool; install it"
	done
	check_folder "$staged" || exit
	trap '' HUP PIPE
	trap finish EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	why=$(mkdir -p "$staged" 2>&1) || no_room "$why"
	if [ ! -f "$staged/$digest/socket-bypass" ]; then
		# Of runs that ended before their step, and of other versions.
		rm -rf "${staged:?}"/*
		receive
	fi
	echo "has $digest"
}

main "$@"
