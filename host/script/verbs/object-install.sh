# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# object install: installs the files of a generation.

cmd_object_install() { step object '' install_object; }

compile_objects() { # FOLDER
	out=$(sh "$from/build.sh" "$1" 2>&1)
	code=$?
	[ -z "$out" ] || say "$out" | shorten >&2
	return "$code"
}

install_object() {
	[ -f "$from/socket-bypass" ] || err "--from $from: expected the unpacked bundle, found no socket-bypass in it"
	preflight
	claim_owner
	drop_leftovers
	new=$home/$generation-new
	ignore rm -rf "$new"
	cleanup="rm -rf '$new'; $cleanup"
	ensure mkdir -m 0700 "$new"
	[ -z "$compile" ] || compile_objects "$new" || err "build.sh: compiling the objects failed for the reason above"
	for file in socket-bypass track.bpf.o redirect.bpf.o flows.bpf.o adopt.bpf.o $(splice_objects) "probe-$(machine)"; do
		# These objects are sent only on request.
		case $file in adopt.bpf.o | splice_*) [ -e "$from/$file" ] || continue ;; esac
		[ -e "$new/$file" ] || ensure cp "$from/$file" "$new/$file"
	done
	ensure chmod 0700 "$new/probe-$(machine)"
	"$new/probe-$(machine)" grace || err "$new/probe-$(machine): expected a program that can run there, found the reason above; remount $state_dir without noexec, or choose another --state-dir"
	if [ "$(digest "$new")" != "$(digest "$home/$generation")" ]; then
		ignore rm -rf "$home/$generation"
		ensure mv -T "$new" "$home/$generation"
		changed=1
	fi
	ignore rm -rf "$new"
	keep files "$(digest "$home/$generation")"
	# The command lines of a delete use this copy, which no upgrade removes.
	keep socket-bypass "$(cat "$home/$generation/socket-bypass")"
	ensure chmod 0700 "$home/socket-bypass"
	# Whatever is already at that path stays: a program of somebody else, or the link to another
	# instance's script. The subshell makes it no failure if the link cannot be made, and no
	# change of this step if it is made again after another instance removed it.
	[ -e "$link" ] || (ignore put_link "$link" "$home/socket-bypass")
	keep declared "$generation"
	# The removal of old generations concerns no later step, so it does not count as a change.
	was=$changed
	for folder in "$home"/* "$B/$instance"/*; do
		g=${folder##*/}
		if is_generation "$g" && [ "$g" != "$generation" ] && [ "$g" != "$(recorded serving)" ] && [ "$g" != "$(readlink "$home/current")" ]; then
			retire "$B/$instance/$g"
			ensure rm -rf "$home/$g"
		fi
	done
	changed=$was
}
