# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# status: prints the facts of each instance.

cmd_status() {
	one=$instance answers=
	find_instances
	for instance in $instances; do
		home=$state_dir/$instance
		is_there || continue
		observe_one_of "$one"
		[ -z "$json" ] || seen=$(say "$seen" | to_json)
		answers=$answers${answers:+${json:+,}$nl}$seen
	done
	if [ -z "$json" ]; then
		say "${answers:-no instance is installed}" | sed 's/	what=/ /; s/:=/=/g; s/	/ /g'
	elif [ -n "$one" ]; then
		say "$answers"
	else
		say "[$answers]"
	fi
}
