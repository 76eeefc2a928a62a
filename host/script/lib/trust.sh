# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Checks that only root can write to what root runs.

# True if root owns it, it is no link, and nobody else may write to it. A sticky folder keeps others
# from replacing an entry, but not from making it again once a cleaner has emptied /tmp; so it is
# good enough only for what was just unpacked.
is_safe() ( # PATH [sticky]
	sticky=${2:-}
	# shellcheck disable=SC2046 # split on purpose: mode, links, user
	set -f -- $(ls -ldn "$1" 2>/dev/null)
	case $sticky${3:-}${1:-} in
	0[d-]????-??-* | sticky0[d-]????-??-* | sticky0d????????[tT]*) ;;
	*) return 1 ;;
	esac
)

unsafe_ancestor() ( # PATH [sticky]
	path=$1
	while :; do
		if [ -e "${path:-/}" ] || [ -L "$path" ]; then
			is_safe "${path:-/}" "${2:-}" || { say "${path:-/}" && return; }
		fi
		[ -n "$path" ] || return 0
		path=${path%/*}
	done
)

# Checks the folder that --from names. The running script and the files beside it were trusted by
# whoever started it.
unsafe_bundle() (
	[ "$from" != "$here" ] || return 0
	for path in "$from"/*; do
		[ ! -e "$path" ] || is_safe "$path" || { say "$path" && return; }
	done
	unsafe_ancestor "$from" sticky
)

# Prints the first pin of the instance that root does not own, that others may write to, or that is
# a link but no record.
unsafe_pin() {
	# shellcheck disable=SC2012 # busybox find has no -printf, and names in bpffs are plain
	ls -lnR "$B/$instance" 2>/dev/null | awk '
		/:$/ { folder = $0; sub(/:$/, "", folder) }
		/^[-bcdlps][-r][-w]/ {
			bad = /^l/ ? $9 !~ /^(owner|cgroup|serving|verdict)(-new)?$/ : /^.....w/ || /^........w/
			if (bad || $3 != 0) { print folder "/" $9; exit }
		}'
}

# Anybody may write to a bpffs that was mounted without a mode (1777), so another user may have made
# our folder first, and could make it again while root removes it.
claim_place() {
	[ -e "$B" ] || [ -L "$B" ] || return 0
	# shellcheck disable=SC2012 # one entry, of which only the number of its owner is read
	[ "$(ls -ldn "$B" | awk '{ print $3 }')" != 0 ] || return 0
	find_probe
	aside=$("$probe" claim "$B") || return 0
	[ -z "$aside" ] || warn "note: $B: expected root's own, found another user's; moved to $aside, which nothing of ours reads; find out who made it, and mount bpffs with mode=0700"
}

check_root() {
	[ "$(id -u)" = 0 ] || err "user: expected root, found $(id -u); say how to become root (become: \"sudo -n\")"
}

check_trust() {
	bad=$(unsafe_bundle)
	[ -z "$bad" ] || err "$bad: expected what root runs to be root's own, not writable by others, and no link; found $(look_of "$bad"); choose another --from"
	bad=$(unsafe_ancestor "${home%/}")
	[ -n "$bad" ] || [ "$kind" != create ] || claim_place
	if [ -z "$bad" ] && { [ -e "$B" ] || [ -L "$B" ]; }; then
		is_safe "$B" && bad=$(unsafe_pin) || bad=$B
	fi
	# Something that a concurrent run has removed meanwhile is no danger.
	[ -e "$bad" ] || [ -L "$bad" ] || bad=
	[ -z "$bad" ] || err "$bad: expected root's own, not writable by others (sticky or not), and no link; found $(look_of "$bad"); remove it, correct it, or choose another --state-dir"
}
