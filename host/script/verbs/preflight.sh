# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# preflight: reports everything that is in the way, and only then refuses.

finding() { # host|kernel MESSAGE
	warn "$2"
	[ "$1" = host ] && refused=${refused:-1} || refused=3
}

check_kernel() {
	find_release
	while IFS='|' read -r before verdict condition what; do
		[ -n "$before" ] || continue
		advice="update it"
		case $condition in
		iterator) continue ;;
		mptcp)
			enabled_there=$(cat /proc/sys/net/mptcp/enabled 2>/dev/null) || continue
			if [ "$enabled_there" = 1 ]; then
				advice="update it, or set net.mptcp.enabled to 0 in every network namespace and restart what listens with MPTCP (Go does)"
			else
				verdict=warn advice="leave net.mptcp.enabled at 0 in every network namespace"
			fi
			;;
		tls)
			grep -q tls /proc/sys/net/ipv4/tcp_available_ulp 2>/dev/null || continue
			advice="update it, or leave out the ports of programs that use kTLS"
			;;
		esac
		if [ "$verdict" = refuse ]; then
			finding kernel "kernel $release: expected $what, found one before $before; $advice"
		else
			warn "note: kernel $release: expected $what, found one before $before; $advice"
		fi
	done <<-END
		$(list_faults)
	END
}

# attach and boot start may run after a reboot into another kernel, without a preflight.
refuse_kernel() {
	refused=
	check_kernel
	[ -z "$refused" ] || exit "$refused"
}

has_capability() { [ $((capabilities >> $1 & 1)) -eq 1 ]; }

# These modules overwrite what a sockmap stores in a socket. Their ports must match is_taken_over()
# in bpf/policy.h.
check_modules() {
	for word in iscsi_tcp:3260 nbd:10809 nfsd:2049; do
		[ ! -d "/sys/module/${word%:*}" ] || warn "note: module ${word%:*}: expected none that takes sockets over from processes, found it loaded; its port ${word#*:} stays on TCP unless it is listed by itself (not in a range); leave out any other port that it uses"
	done
}

check_host() {
	missing=
	for tool in awk cat chmod cp date dirname grep id ln ls mkdir mount mv readlink rm rmdir sed sha256sum sleep sort touch tr uname; do
		command -v "$tool" >/dev/null || missing="$missing $tool"
	done
	[ -z "$missing" ] || finding host "tools: expected all, found these missing:$missing; install them"
	capabilities=0x$(sed -n 's/^CapEff:[^0-9a-f]*//p' /proc/self/status)
	if ! why=$(check_root 2>&1); then
		finding host "${why#*: }"
	elif ! has_capability 21 && ! { has_capability 39 && has_capability 38 && has_capability 12; }; then
		finding host "capabilities: expected CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN (or CAP_SYS_ADMIN), found $capabilities"
	fi
	if [ -z "$bpftool" ]; then
		finding host "bpftool: expected one that runs, found none; install it (Debian, RHEL: bpftool, Ubuntu: linux-tools-$(uname -r))"
	else
		version=$("$bpftool" version 2>/dev/null | sed -n '1s/.*v\([0-9]\)/\1/p')
		lacking=
		for ability in prog/pinmaps iter/pin map/sockhash cgroup/sock_ops; do
			"$bpftool" "${ability%/*}" help 2>&1 | grep -q "${ability#*/}" || lacking="$lacking $ability"
		done
		[ -z "$lacking" ] || finding host "bpftool: expected 5.8 or newer, found $version without$lacking; install a newer one"
	fi
	case $(machine) in
	x86_64 | aarch64) ;;
	*) finding kernel "machine: expected x86_64 or aarch64, found $(machine)" ;;
	esac
	[ -z "$compile" ] || command -v clang >/dev/null || ls /usr/bin/clang-[0-9]* >/dev/null 2>&1 || finding host "clang: expected 14 or newer for --compile, found none; install it, or use the prebuilt objects"
	[ -r /sys/kernel/btf/vmlinux ] || finding kernel "BTF: expected /sys/kernel/btf/vmlinux, found none; use a kernel with CONFIG_DEBUG_INFO_BTF"
	case $(cat /sys/kernel/security/lockdown 2>/dev/null) in
	*'[confidentiality]'*) finding kernel "lockdown: expected none or integrity, found confidentiality, which forbids bpf_probe_read_kernel" ;;
	esac
	check_kernel
	check_modules
}

check_hooks() { # other sock_ops programs on the cgroup, above it and below it
	lost_place=$(kept_place)
	list_ours
	list_hooks
	while read -r id flags place; do
		# An empty list is one empty line here.
		[ -n "$id" ] || continue
		are_related "$place" "$cgroup_folder" || continue
		case $ours in *" $id "*) continue ;; esac
		case $flags:$cgroup_folder/ in
		multi:* | override:"$place"/?*) ;;
		*:"$place"/*) finding host "$place: expected its sock_ops programs attached with 'multi', found $id with '$flags'; attach that one with multi" ;;
		esac
		[ "$place" != "$lost_place" ] || ! is_lost "$id" || continue
		bpf prog show id "$id" || continue
		field name
		name=$value used=${out#*\"map_ids\":[}
		[ "$used" != "$out" ] || continue
		for map in $(say "${used%%]*}" | tr , ' '); do
			bpf map show id "$map" || continue
			case $out in
			*'"type":"sockmap"'* | *'"type":"sockhash"'*) finding host "$place: expected no other user of sockmaps, found sock_ops program $id ($name): a socket can serve one only; choose another --cgroup, or type 'bpftool cgroup detach $place sock_ops id $id'" && break ;;
			esac
		done
	done <<-END
		$hooks
	END
}

try_load() { # loads every object, in a folder of its own
	make_folder "$B"
	make_maps "$trial" 64 64
	load_track "$trial" "$(find_file track.bpf.o)"
	load_redirect "$trial" "$(find_file redirect.bpf.o)"
	attach_verdict "$trial"
	list_sockets "$trial" || err "flows: listing the sockets of a map failed: $(explain)"
}

try_splice_guard() {
	[ "$splice_guard" != off ] || return 0
	way=$(splice_way)
	[ "$way" = none ] || return 0
	find_splice_way "$trial" "$from"
	ignore rm -rf "$trial"
	[ "$way" != none ] || [ "$splice_guard" = auto ] || finding kernel "spliceGuard: expected a method to protect programs that splice, found none: $reasons"
}

# Runs a check, and reports its error as a finding.
examine() { # host|kernel CHECK
	why=$( ("$2") 2>&1) || finding "$1" "${why#socket-bypass: }"
}

cmd_preflight() {
	preflight
	say "ok kernel=$(uname -r) machine=$(machine) bpftool=$version bpffs=$bpffs cgroup=$cgroup_folder spliceGuard=$way"
}

preflight() {
	refused='' way=none no_traffic=1
	# `object install` does not know the policy; `policy set` checks it.
	case $verb in preflight | apply) [ -z "$everything$ports$cidrs" ] || no_traffic= ;; esac
	check_host
	if [ -n "$v2" ]; then examine host check_cgroup; else examine kernel check_cgroup; fi
	if [ "$(id -u)" = 0 ]; then
		mount_bpffs || finding kernel "bpffs: expected one at /sys/fs/bpf, found none and could not mount it"
		examine host check_trust
		examine host check_boot
		[ -z "$owner" ] || examine host check_owner
		examine host check_rivals
		# check_hooks needs a probe for this machine type; a later check refuses a bundle
		# without one.
		[ -z "$bpftool" ] || [ -z "$v2" ] || ! find_file "probe-$(machine)" >/dev/null || check_hooks
		# This comes last, because some kernels must not even load the programs.
		if [ -z "$refused$compile" ] && find_file track.bpf.o >/dev/null; then
			trial=$B/_try-$$
			cleanup="rm -rf '$trial'; $cleanup"
			examine kernel try_load
			ignore rm -rf "$trial"
			[ -n "$refused" ] || try_splice_guard
			if [ -z "$refused$no_traffic" ]; then
				if is_exposed "$everything" "$enabled" "$splice_guard"; then examine kernel refuse_everything; else warn_of_listeners "$splice_guard"; fi
			fi
			ignore rmdir "$B"
		fi
	fi
	[ -z "$refused" ] || exit "$refused"
}
