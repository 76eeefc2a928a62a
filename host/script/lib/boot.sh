# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Installs and removes the systemd unit that runs the steps again at boot.

# Internal: tests set these two variables, because no systemd runs there.
systemd=${SOCKET_BYPASS_SYSTEMD:-/run/systemd/system} unit_folder=${SOCKET_BYPASS_UNITS:-/etc/systemd/system}

find_unit() { # -> $unit, $unit_file, $systemd_version (0 if unknown)
	unit=socket-bypass-$instance.service unit_file=$unit_folder/socket-bypass-$instance.service
	[ -z "$systemd_version" ] && [ -d "$systemd" ] || return 0
	systemd_version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
	systemd_version=${systemd_version:-0}
}

wants_unit() { [ -d "$systemd" ] && [ "$(kept boot)" != false ]; }
has_unit() { [ "$(cat "$unit_file" 2>/dev/null)" = "$(boot_unit)" ]; }

# Runs before anything is handed over, because a step that fails on a host that already serves would
# be the worst of both. It writes a file, because `test -w` of busybox calls a folder on a read-only
# mount writable for root.
check_boot() {
	find_unit
	[ "$boot" = true ] && [ -d "$systemd" ] && [ -n "$instance" ] && ! has_unit || return 0
	(boot_unit >"$unit_file-new") 2>/dev/null && [ "$(cat "$unit_file-new")" = "$(boot_unit)" ] && why= || why=1
	ignore rm -f "$unit_file-new"
	[ -z "$why" ] || err "$unit_folder: expected a folder that can hold the boot unit $unit, found it read-only or full; say --boot false (boot: false), and have '$home/socket-bypass boot start --instance $instance --state-dir $state_dir' run at boot by other means"
}

enable_boot() {
	find_unit
	[ -d "$systemd" ] || return 0
	if ! has_unit; then
		{ (boot_unit >"$unit_file-new") 2>/dev/null && ensure mv "$unit_file-new" "$unit_file" && has_unit; } ||
			err "$unit_file: expected room for the boot unit, found none; it serves, but starts at no boot: make room and run this again"
		ensure systemctl daemon-reload
		[ "$systemd_version" -ge 244 ] || warn "note: systemd $systemd_version: expected 244 or newer, which can try a unit of this kind again; a boot start that fails is not tried again"
		changed=1
	fi
	systemctl is-enabled --quiet "$unit" 2>/dev/null || { ensure systemctl enable --quiet "$unit" && changed=1; }
	case $(systemctl show --property=LoadState "$unit" 2>/dev/null) in
	*=error | *=bad-setting | *=masked) err "$unit_file: expected a boot unit that systemd accepts, found: $(systemctl status "$unit" 2>&1 | sed -n '/^ *Loaded:/{s/^ *//;p;}'); it serves, but starts at no boot: say --boot false (boot: false), and have boot start run by other means" ;;
	esac
}

# With `boot: false`, a unit of this name belongs to the administrator.
disable_boot() {
	find_unit
	wants_unit || [ ! -d "$systemd" ] || return 0
	grep -q "^Description=TCP on this host skips the stack ($instance)$" "$unit_file" 2>/dev/null || return 0
	# If systemd does not answer, only the links of the enabled unit stay behind.
	[ ! -d "$systemd" ] || systemctl disable --quiet --now "$unit" || warn "note: systemctl disable $unit failed; its file is removed all the same"
	ensure rm -f "$unit_file"
	[ ! -d "$systemd" ] || ignore systemctl daemon-reload
}

# The next boot would restart an instance that was taken over, perhaps before this one. Rivals on
# the same cgroup, above it or below it are also found by their files; if a rival has another state
# directory, its unit names that.
disable_rivals() {
	for unit_file in "$unit_folder"/socket-bypass-*.service "$state_dir"/*/cgroup; do
		place=${unit_file%/cgroup}
		[ "$place" != "$unit_file" ] || place=$(sed -n 's:^ExecStart=/bin/sh \(/.*\)/socket-bypass boot start --instance .*:\1:p' "$unit_file" 2>/dev/null)
		other=${place##*/}
		{ [ "$other" != "$instance" ] && [ -f "$place/cgroup" ] && [ -z "$(unsafe_ancestor "$place")" ]; } || continue
		are_related "$(cat "$place/cgroup")" "$cgroup" || continue
		set -- "$instance" "$home"
		instance=$other home=$place
		disable_boot
		instance=$1 home=$2
		ensure rm -f "$place/current" "$place/cgroup"
		warn "note: instance $other is taken over for good and starts at no boot; its own stack gets the cgroup back with takeOver: true"
	done
}
