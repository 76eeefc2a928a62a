#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Receives the files of a generation on stdin, for the next step to install. Prints "wants DIGEST"
# when it is ready for them (a gzipped tar), and "has DIGEST" once all of them are there. The sender
# has `sh -c` read this script by its length, because a shell that reads a script from stdin reads
# ahead.
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

# Root will run what is received here. This is the check of is_safe() in the host script, which has
# not been received yet.
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

# Some tools print two lines when they fail, some begin with an empty one, and some print nothing.
# A full disk is an I/O error for dash's printf, and may be a short write for tar.
not_written() { # WHY
	why=${1#"$nl"}
	why=${why%%"$nl"*}
	case $1 in
	*'No space left'* | *'uota exceeded'* | *'Wrote only'* | *'I/O error'* | '') err "$staged: expected room for the files, found: ${why:-less than was sent}; make room there, or choose another stateDir" ;;
	esac
	err "$staged: expected a folder that root can write to, found: $why; correct that, or choose another stateDir"
}

receive() {
	new=$(mktemp -d "$staged/new-XXXXXX" 2>&1) || { why=$new new='' && not_written "$why"; }
	# The host script and its probe run from this folder, so noexec is found before anything is
	# sent.
	why=$(printf '#!/bin/sh\nexit 0\n' 2>&1 >"$new/try") || not_written "$why"
	chmod 0700 "$new/try"
	"$new/try" 2>/dev/null || err "$staged: expected files that can run there, found that they cannot; remount it without noexec, or choose another stateDir"
	echo "wants $digest"
	why=$(gzip -dc 2>&1 >"$new/tar")
	case $why in *[Ss]pace* | *[Qq]uota* | *[Ww]rite*) not_written "$why" ;; esac
	found=$(sha256sum <"$new/tar")
	found=${found%% *}
	[ "$found" = "$digest" ] || err "files: expected digest $digest, found $found; they were cut or changed on the way, run up again"
	why=$(mkdir "$new/$digest" 2>&1 && tar -xof "$new/tar" -C "$new/$digest" 2>&1) || not_written "$why"
	chmod -R go= "$new/$digest"
	# One rename: a folder of this name is complete.
	mv "$new/$digest" "$staged/" 2>/dev/null || [ -f "$staged/$digest/socket-bypass" ] || err "$staged: putting the files there failed: it cannot be written to"
}

main() {
	state_dir=$1 staged=$1/_staged-$2 digest=$3 new=''
	[ "$(id -u)" -eq 0 ] || err "expected to run as root, found another user; set become"
	tools='chmod gzip ls mktemp mv sha256sum tar'
	for tool in $tools; do
		command -v "$tool" >/dev/null || err "tools: expected $tools, found no $tool; install it"
	done
	check_folder "$staged" || exit
	trap '' HUP PIPE
	trap finish EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	why=$(mkdir -p "$staged" 2>&1) || not_written "$why"
	if [ ! -f "$staged/$digest/socket-bypass" ]; then
		# These were left by runs that ended before their step, or belong to other versions.
		rm -rf "${staged:?}"/*
		receive
	fi
	echo "has $digest"
}

main "$@"
