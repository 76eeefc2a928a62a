#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Receives a bundle: unpacks it into a fresh folder, compares its digest and runs the script in it with the same arguments.
# The sender puts the bundle (tar, gzip, base 85) before the last line: a shell reads ahead, so "the rest of stdin" is not to be had.
#
# usage: sh -s -- object install --digest SHA256-OF-THE-TAR ...

set -u
umask 077
export LC_ALL=C
export PATH="${SOCKET_BYPASS_PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin}"

err() {
	printf 'socket-bypass: %s\n' "$1" >&2
	exit "${2:-1}"
}

need() {
	for tool in "$@"; do
		command -v "$tool" >/dev/null || err "tools: expected $*, found no $tool; install it"
	done
}

# Below another user's folder, or one that is open to all and not sticky, others could put their own script in the place of ours.
is_safe() (
	path=$1
	while :; do
		# shellcheck disable=SC2046 # split on purpose: mode, links, user
		set -f -- $(ls -ldn "$path/" 2>/dev/null)
		case ${3:-}${1:-} in
		0d????-??-* | 0d????????[tT]*) ;;
		*) return 1 ;;
		esac
		[ -n "$path" ] || return 0
		path=${path%/*}
	done
)

# Twice what the largest bundle takes. A short file is the only thing that some tools tell of a full disk.
has_room() {
	dd if=/dev/zero of="$folder/room" bs=65536 count=64 2>/dev/null || return
	[ "$(wc -c <"$folder/room")" -eq 4194304 ] && rm -f "$folder/room"
}

# The probe runs from here before anything is installed, so the folder must not be on a noexec mount (often /tmp and /run are).
make_folder() {
	for parent in "${TMPDIR:-/tmp}" /var/tmp /run /var/lib; do
		parent=$(CDPATH='' cd -- "$parent" 2>/dev/null && pwd -P) || continue
		is_safe "$parent" || continue
		folder=$(mktemp -d "$parent/socket-bypass-XXXXXX" 2>/dev/null) || continue
		printf '#!/bin/sh\nexit 0\n' >"$folder/try" && chmod 0700 "$folder/try" && "$folder/try" 2>/dev/null && has_room && return
		rm -rf "$folder"
		folder=
	done
	err "folder: expected one of root's that allows execution and has 4 MiB of room among ${TMPDIR:-/tmp}, /var/tmp, /run and /var/lib, found none; make room in one of them, or remount it without noexec"
}

# Five digits are four bytes. awk counts and the shell writes, for no awk writes every byte.
decode() {
	awk '
		BEGIN {
			for (i = 33; i < 127; i++) {
				c = sprintf("%c", i)
				if (!index("\"&\047<>\\`$_", c)) digit[c] = n++
			}
		}
		{
			for (i = 1; i < length($0); i += 5) {
				n = 0
				for (j = i; j < i + 5; j++) n = n * 85 + (j > length($0) ? 84 : digit[substr($0, j, 1)])
				k = 256 * 65536
				for (j = i; j < i + 4 && j < length($0); j++) {
					printf "\\%03o", int(n / k) % 256
					k /= 256
				}
			}
			print ""
		}' | while read -r line; do
		# shellcheck disable=SC2059 # it is all escapes
		printf "$line"
	done
}

finish() {
	code=$?
	trap '' HUP INT PIPE TERM
	trap - EXIT
	[ -z "$child" ] || { kill "$child" 2>/dev/null && wait "$child"; }
	[ -z "$folder" ] || rm -rf "$folder"
	exit "$code"
}

main() {
	folder='' child='' digest='' flag=''
	for word in "$@"; do
		[ "$flag" != --digest ] || digest=$word
		flag=$word
	done
	[ -n "$digest" ] || err "expected --digest SHA256, found none" 2
	need awk chmod dd gzip ls mktemp rm sha256sum tar wc
	trap '' HUP PIPE
	trap finish EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	make_folder
	why=$(decode 2>/dev/null | gzip -dc 2>&1 >"$folder/bundle.tar")
	case $why in
	*[Ss]pace* | *[Qq]uota* | *[Ww]rite*) err "bundle: expected to write it to $folder, found: $why; make room there, or name another folder by TMPDIR" ;;
	esac
	# bash keeps what stands before the last line in a file of its own.
	[ -s "$folder/bundle.tar" ] || err "bundle: expected one behind this script, found nothing; it was cut on the way, or the shell found no room in ${TMPDIR:-/tmp}: make room there, or send it again"
	found=$(sha256sum <"$folder/bundle.tar")
	found=${found%% *}
	[ "$found" = "$digest" ] || err "bundle: expected digest $digest, found $found; it was cut or changed on the way, send it again"
	mkdir "$folder/bundle"
	tar -xof "$folder/bundle.tar" -C "$folder/bundle" || err "bundle: expected to unpack it in $folder, found the reason above"
	chmod -R go= "$folder/bundle"
	# In the background, so that a TERM is passed on at once.
	sh "$folder/bundle/socket-bypass" "$@" --from "$folder/bundle" &
	child=$!
	wait "$child"
	code=$?
	child=
	return "$code"
}

main "$@" <<'__BUNDLE__'
__BUNDLE__
