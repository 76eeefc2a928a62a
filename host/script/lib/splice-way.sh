# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Finds the way in which this kernel can have the splice guard; docs/explanation/datapath.md says
# how it works. The records of the guard use link names that existed before it, because a
# report of an earlier version checks everything that is pinned:
#	$S/serving           the way, and the folder of its programs and links
#	$S/for-I/serving     what instance I has declared

splice_objects() { # the last one is for the way `syscall`
	case $(machine) in
	x86_64) say splice_waitall.bpf.o splice_lsm.bpf.o splice_fmod.bpf.o splice_x86.bpf.o ;;
	*) say splice_waitall.bpf.o splice_lsm.bpf.o splice_fmod.bpf.o splice_arm64.bpf.o ;;
	esac
}

# A link has the name of its program, or of its section if an earlier bpftool pinned the program.
has_link() (
	for pin in "$1"/link-*; do
		[ -e "$pin" ] && return
	done
	return 1
)

# Prints lsm, fmod_ret or syscall if a guard is attached, else none.
splice_way() (
	way=$(readlink "$S/serving")
	if has_link "$S/${way#* }"; then say "${way% *}"; else say none; fi
)

# True if recv(MSG_WAITALL) is watched too.
is_waitall_seen() (
	for folder in "$S"/waitall-*; do
		has_link "$folder" && return
	done
	return 1
)

load_splice_guard() { # FOLDER OBJECT WORD...
	folder=$1 object=$2
	shift 2
	make_folder "$folder"
	bpf prog loadall "$object" "$folder/programs" "$@" || return
	for pin in "$folder/programs"/*; do
		out=$("$probe" attach "$pin" "$folder/link-${pin##*/}" 2>&1) || return
	done
}

load_shared_guard() { # FOLDER OBJECT
	for map in $shared_names programs; do
		set -- "$@" map name "$map" pinned "$S/maps/$map"
	done
	load_splice_guard "$@"
}

# An LSM program attaches even if the kernel does not call BPF LSM hooks, so only a refused splice
# is proof.
is_splice_refused() { # FEEDS-PIN
	out=$("$probe" splice "$1" 2>&1)
	case $out in EINVAL* | full*) ;; *) return 1 ;; esac
}

# Tries each way, with maps of its own -> $way and $object, or none and $reasons.
find_splice_way() { # FOLDER-TO-TRY-IN FOLDER-OF-OBJECTS
	find_probe
	reasons=
	# Internal: tests choose ways with SOCKET_BYPASS_SPLICE_WAYS.
	for way in ${SOCKET_BYPASS_SPLICE_WAYS:-lsm fmod_ret syscall}; do
		case $way in
		lsm) object=splice_lsm.bpf.o ;;
		fmod_ret) object=splice_fmod.bpf.o ;;
		syscall) object=$(splice_objects) object=${object##* } ;;
		*) object=$way.bpf.o ;;
		esac
		if object=$(find_file "$object" "$2"); then
			ignore rm -rf "$1"
			load_splice_guard "$1" "$object" pinmaps "$1/maps" && is_splice_refused "$1/maps/feeds" && found=1 || found=
			[ -n "$found" ] || reasons="$reasons${reasons:+; }$way: $(explain)"
			ignore rm -rf "$1"
			[ -z "$found" ] || return 0
		else
			reasons="$reasons${reasons:+; }$way: not sent"
		fi
	done
	way=none
}

# `everything` includes the ports of programs that splice, and nobody knows all of those.
is_exposed() { # EVERYTHING ENABLED WORD; reads $way
	[ "$1$2" = 1true ] && [ "$3" != off ] && [ "$way" = none ]
}

refuse_everything() {
	err "traffic.everything: expected a kernel with a method to protect programs that splice, found none ($reasons); list ports (traffic.ports) and leave out those of such programs, or say spliceGuard: \"off\" (--splice-guard off), with which they hang or lose bytes" 3
}

check_everything() { # EVERYTHING ENABLED WORD -> $way
	way=$(splice_way)
	is_exposed "$@" || return 0
	make_folder "$S"
	cleanup="rm -rf '$S/try'; $cleanup"
	find_splice_way "$S/try" "$home/$generation"
	! is_exposed "$@" || refuse_everything
}
