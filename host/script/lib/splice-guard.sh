# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # parts share their variables
# Attaches and removes the splice guard. There is one for the host, in $S, for all instances.

# Removes the records of instances that are gone. If no instance wants the guard, detaches it; if no
# instance is left, removes its maps too.
settle_splice_guard() {
	[ -d "$S" ] || return 0
	wanted='' there='' its=
	for user in "$S"/for-*; do
		[ -d "$user" ] || continue
		if [ ! -d "$B/${user#"$S"/for-}" ]; then
			ignore rm -rf "$user"
		elif [ "$(readlink "$user/serving")" != off ]; then
			wanted=1
		fi
	done
	if [ -n "$wanted" ]; then
		its=$(readlink "$S/serving") its=${its#* }
	elif [ -L "$S/serving" ]; then
		ignore bpf map delete pinned "$S/maps/feeds" key hex 00 00 00 00 00 00 00 00
		ignore rm -f "$S/serving"
		changed=1
	fi
	# This may also be left from a run that was killed.
	ignore rm -rf "$S/try"
	for pin in "$S"/lsm-* "$S"/fmod_ret-* "$S"/syscall-* "$S"/waitall-*; do
		[ -d "$pin" ] || continue
		case ${pin##*/} in
		"$its") continue ;;
		waitall-*) [ -z "$its" ] || continue ;;
		esac
		ignore rm -rf "$pin"
		changed=1
	done
	for pin in "$S"/for-* "$B"/*/*/maps/feeds; do
		[ ! -e "$pin" ] || there=1
	done
	[ -n "$there" ] || drop_pins "$S"
}

# Looks even if a guard is already attached, because another instance may be of another version. A
# new guard is attached before the old one is removed.
attach_splice_guard() {
	shape=$(kept shape)
	# The step itself reports what is missing.
	[ -n "$shape" ] || return 0
	keep splice-guard "$splice_guard"
	make_feeds "${shape% *}"
	make_folder "$S/for-$instance"
	put_link "$S/for-$instance/serving" "$splice_guard"
	settle_splice_guard
	prune_feeds
	[ "$splice_guard" != off ] || return 0
	find_probe "$home/$generation"
	# shellcheck disable=SC2046 # a name each
	objects=$(cd "$home/$generation" && sha256sum $(splice_objects) 2>/dev/null | sha256sum | sed 's/^\(............\).*/\1/')
	way=$(splice_way)
	case " ${SOCKET_BYPASS_SPLICE_WAYS:-lsm fmod_ret syscall} " in
	*" $way "*)
		case $(readlink "$S/serving")- in
		"$way $way-$objects-"*) ! is_splice_refused "$S/maps/feeds" || return 0 ;;
		esac
		;;
	esac
	cleanup="rm -rf '$S/try'; $cleanup"
	# `apply` and `boot start` come here twice in one run.
	[ -z "$is_tried" ] || return 0
	find_splice_way "$S/try" "$home/$generation"
	former=$(readlink "$S/serving")
	if [ "$way" = none ]; then
		# A guard that another instance attached will do; it may be of another version, or
		# have more objects.
		[ "$(splice_way)" = none ] || ! is_splice_refused "$S/maps/feeds" || return 0
		[ "$splice_guard" = auto ] || err "spliceGuard: expected a method to protect programs that splice, found none: $reasons; use another kernel, or say auto or off and leave out their ports" 3
		keep splice-why "$reasons"
		is_tried=1
		return
	fi
	new=$way-$objects
	# The attached guard has this name but refuses no splice, so the new one gets another name
	# and replaces it.
	[ "${former#* }" != "$new" ] || new=$new-$$
	ignore rm -rf "$S/$new"
	if ! load_shared_guard "$S/$new" "$object" || ! is_splice_refused "$S/maps/feeds"; then
		ignore rm -rf "$S/$new"
		[ "$splice_guard" = auto ] || err "spliceGuard: attaching it by $way failed: $(explain)"
		keep splice-why "$way: $(explain)"
		is_tried=1
		return
	fi
	must map update pinned "$S/maps/feeds" key hex 00 00 00 00 00 00 00 00 value hex 01 00 00 00 00 00 00 00
	put_link "$S/serving" "$way $new"
	settle_splice_guard
}

# Attaches the program for recv(MSG_WAITALL) separately, because the guard works without it. A pod
# has no room for this object and leaves the host's in place.
put_waitall() {
	[ "$splice_guard" != off ] && [ "$(splice_way)" != none ] || return 0
	object=$(find_file splice_waitall.bpf.o "$home/$generation") || return 0
	new=waitall-$(sha256sum <"$object" | sed 's/^\(............\).*/\1/')
	! has_link "$S/$new" || return 0
	ignore rm -rf "$S/$new"
	if ! load_shared_guard "$S/$new" "$object"; then
		ignore rm -rf "$S/$new"
		return
	fi
	for pin in "$S"/waitall-*; do
		[ "$pin" = "$S/$new" ] || ignore rm -rf "$pin"
	done
}

put_splice_guard() {
	attach_splice_guard
	put_waitall
}
