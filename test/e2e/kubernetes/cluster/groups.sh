#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Functions for the other scripts here. They handle a cgroup by its name in every cgroup hierarchy
# of this machine, below the cgroup of the caller.

# Prints "controllers folder" for each hierarchy; the controllers are "-" for cgroup v2.
hierarchies() {
	while IFS=: read -r _ controllers path; do
		if [ -z "$controllers" ]; then
			mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
		else
			mount=$(awk -v is="${controllers#name=}" '$3 == "cgroup" && ("," $4 ",") ~ ("[,=]" is ",") { print $2; exit }' /proc/mounts)
		fi
		[ "$mount" ] || continue
		# The path may belong to another cgroup namespace than the mount.
		[ -d "$mount$path" ] || path=
		path=${path%/}
		printf '%s %s\n' "${controllers:--}" "$mount$path"
	done </proc/self/cgroup
}

make_groups() { # NAME...
	hierarchies | while read -r controllers parent; do
		for name; do
			group=$parent/$name
			mkdir -p "$group"
			[ "$controllers" = cpuset ] || continue
			for file in cpuset.cpus cpuset.mems; do
				cat "${group%/*}/$file" >"$group/$file"
			done
		done
	done
}

# Replaces this shell with the command.
exec_in_groups() { # NAME COMMAND...
	group=$1
	shift
	# shellcheck disable=SC2016,SC2046 # for the inner shell; folders without spaces
	exec sh -c '
		until [ "$1" = in ]; do
			echo $$ >"$1/cgroup.procs" || exit
			shift
		done
		shift
		exec "$@"' sh $(hierarchies | sed "s|^[^ ]* \(.*\)|\1/$group|") in "$@"
}

# Prints the only child of a process.
child_of() { # PID
	# shellcheck disable=SC2046 # none, one or more
	sed -n 's/^Pid:[[:space:]]*//p' $(grep -l "^PPid:[[:space:]]*$1\$" /proc/[0-9]*/status 2>/dev/null) </dev/null
}

# Removes cgroups whose processes were killed; the last process may need a moment to go.
remove_groups() { # NAME
	hierarchies | while read -r _ parent; do
		for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 last; do
			[ -e "$parent/$1" ] || break
			find "$parent/$1" -depth -type d -exec rmdir {} + 2>/dev/null && break
			if [ "$try" = last ]; then
				echo "cluster: expected $parent/$1 to be without processes, found $(cat "$parent/$1/cgroup.procs" 2>&1)" >&2
				exit 1
			fi
			sleep 0.3
		done
	done
}
