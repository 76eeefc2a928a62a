# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Finds what is attached to which cgroup, and which instances compete for one.

# -> $hooks: one line for each sock_ops program that is attached anywhere in cgroup v2, with ID,
# flags (or none) and path
list_hooks() {
	find_probe
	hooks=$("$probe" hooks "$v2" 2>&1) || err "$v2: listing what is attached in it failed: ${hooks##*"$nl"}"
	# The kernel may list a program twice while others are being detached.
	hooks=$(say "$hooks" | awk '!met[$0]++')
}

places_of() { # PROGRAM-ID; prints the cgroups in $hooks that it is attached to
	say "$hooks" | sed -n "s/^$1 [^ ]* //p"
}

detach_program() { # PIN [CGROUP-FOLDER-TO-KEEP]
	id_of prog "$1"
	places=$(places_of "$value")
	while IFS= read -r place; do
		[ "${place:-${2:-}}" != "${2:-}" ] || continue
		# The removal of a cgroup detaches its programs.
		bpf cgroup detach "$place" sock_ops pinned "$1" || [ ! -d "$place" ] || err "bpftool cgroup detach $place failed: $(explain); run this again"
		changed=1
	done <<-END
		$places
	END
}

list_ours() { # -> $ours, the IDs of the sock_ops programs that any instance has pinned
	ours=
	for track in "$B"/*/*/track; do
		id_of prog "$track"
		ours="$ours $value "
	done
}

# Prints the cgroup to which this instance was last attached. An unpinned program on any other
# cgroup may belong to somebody else.
kept_place() (
	place=$(kept cgroup)
	[ -z "$place" ] || say "$v2${place%/}"
)

are_related() { # PATH PATH; true if they are the same, or one is above the other
	case ${1%/}/ in "${2%/}"/*) return ;; esac
	case ${2%/}/ in "${1%/}"/*) return ;; esac
	return 1
}

clean_cgroup() {
	case /$cgroup/ in
	*/../* | */./*) usage "--cgroup: expected a path below the cgroup v2 mount, found $cgroup" ;;
	*.service/* | *.scope/*) usage "--cgroup: expected a slice, found $cgroup; the cgroup of a .service or .scope unit vanishes when it restarts: name the slice above" ;;
	esac
	cgroup=$(say "/$cgroup/" | sed 's://*:/:g; s:\(.\)/$:\1:')
	cgroup_folder=$v2${cgroup%/}
}

check_cgroup() {
	[ -n "$v2" ] || err "cgroup v2: expected a cgroup2 mount, found none; mount one, or boot with systemd.unified_cgroup_hierarchy=1" 3
	[ -d "$cgroup_folder" ] || err "--cgroup $cgroup: expected the folder $cgroup_folder (cgroup v2 is mounted at $v2), found none; create it, or name one that is there"
}

list_rivals() { # -> $rivals, other instances on the same cgroup, above it or below it
	rivals=
	for other in "$B"/*/cgroup; do
		other=${other%/cgroup} other=${other##*/}
		if ! is_name "$other" || [ "$other" = "$instance" ]; then continue; fi
		# An instance that is just being removed has no record.
		its=$(recorded cgroup "$other") && are_related "$its" "$cgroup" && rivals="$rivals $other"
	done
	other=${rivals##* }
	return 0
}

check_rivals() {
	list_rivals
	[ -z "$rivals" ] || [ -n "$take_over" ] || err "cgroup $cgroup: expected no other instance on it, above or below, found $other on $(recorded cgroup "$other"); type 'socket-bypass remove --instance $other', or say --take-over (takeOver: true)"
}
