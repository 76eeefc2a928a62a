# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Records: in bpffs, which holds no regular files, a link whose target is the text; in the state
# directory, a file.

recorded() { readlink "$B/${2:-$instance}/$1" 2>/dev/null; }
kept() { cat "$home/$1" 2>/dev/null; }

put_link() { # PATH TEXT
	[ "$(readlink "$1")" != "$2" ] || return 0
	ignore rm -f "$1-new"
	# Others may be able to write to the folder that holds the link for hand-typed commands.
	# With -n and -T, a folder that they put in the way is not written into.
	ensure ln -sn -- "$2" "$1-new"
	ensure mv -fT "$1-new" "$1"
	changed=1
}

record() { put_link "$B/$instance/$1" "$2"; }

keep() { # NAME TEXT
	[ "$(kept "$1")" != "$2" ] || return 0
	# Not every shell reports a full disk, by a message or by its exit status.
	why=$( (say "$2" >"$home/$1-new") 2>&1)
	[ "$(cat "$home/$1-new" 2>/dev/null)" = "$2" ] || err "$home/$1: expected a file that holds what was written, found: ${why:-less than that}; free space on its disk, or choose another --state-dir"
	ensure mv -f "$home/$1-new" "$home/$1"
	changed=1
}
