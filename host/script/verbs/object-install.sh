# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# object install: the files of a generation.

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
	[ -z "$compile" ] || compile_objects "$new" || err "build.sh: expected it to compile the objects, found the reason above"
	for file in socket-bypass track.bpf.o redirect.bpf.o flows.bpf.o adopt.bpf.o $(splice_objects) "probe-$(machine)"; do
		# Sent only where they are asked for.
		case $file in adopt.bpf.o | splice_*) [ -e "$from/$file" ] || continue ;; esac
		[ -e "$new/$file" ] || ensure cp "$from/$file" "$new/$file"
	done
	ensure chmod 0700 "$new/probe-$(machine)"
	"$new/probe-$(machine)" grace || err "$new/probe-$(machine): expected it to run, found the reason above; is $state_dir mounted noexec? choose another --state-dir"
	if [ "$(digest "$new")" != "$(digest "$home/$generation")" ]; then
		ignore rm -rf "$home/$generation"
		ensure mv -T "$new" "$home/$generation"
		changed=1
	fi
	ignore rm -rf "$new"
	keep files "$(digest "$home/$generation")"
	# Delete lines use this copy: no upgrade prunes it.
	keep socket-bypass "$(cat "$home/$generation/socket-bypass")"
	ensure chmod 0700 "$home/socket-bypass"
	# Somebody's own program, or another instance's script that is there, stays. Aside, for a
	# link that cannot be made is no failure, and one that another instance took along is no
	# change of this step.
	[ -e "$link" ] || (ignore put_link "$link" "$home/socket-bypass")
	keep declared "$generation"
	# What no step behind this one looks at is no change for it.
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
