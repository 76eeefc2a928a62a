/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Decides whether a reader is redirected to. splice(2) does not see redirected bytes, and
 * recv(MSG_WAITALL) is content with one redirected message. So a reader is either redirected to,
 * and a splice from it is refused (splice.h), or its program has used one of the two before, and
 * nothing is redirected to it. Whoever inserts the reader's key first decides; the insert is
 * atomic, so neither side has to look twice. All instances of a host share these maps, which the
 * script pins in _splice.
 */
#ifndef SOCKET_BYPASS_FEEDS_H
#define SOCKET_BYPASS_FEEDS_H

#include "kernel.h"

#ifndef MAX_FEEDS
#define MAX_FEEDS 65536 /* the host script sets its real size */
#endif
#define MAX_PAST 8192
#define MAX_SPLICERS 16384

#define COOKIE_BITS 48 /* the kernel counts cookies up from 1 */
#define COOKIE_MASK ((1ULL << COOKIE_BITS) - 1)

/*
 * The third word of what is stored with each enrolled socket holds this value until the socket
 * leaves or closes. Earlier versions never store this value there, and their programs remove no key
 * from `feeds`.
 */
#define LAYOUT 0x736f636b62797031ULL

/* No socket has this key of `feeds`. It is present while a splice guard is attached. */
#define GUARDED 0ULL

enum feed {
	FEED_NONE,
	FEED_REDIRECTED,
	/* stays on TCP because its program splices from it */
	FEED_SPLICED,
	FEED_WAITED, /* stays on TCP because its program asks for all bytes (MSG_WAITALL) */
	/*
	 * In `past` only: the socket is redirected to, and the value less this one is how many of
	 * its splices were refused.
	 */
	FEED_REFUSED = 16,
};

/*
 * A program that tries again and again is slower by the bypass than by TCP, so its socket leaves.
 */
#define MOST_REFUSALS 8

#ifndef ONLY_SOCKETS

struct { /* values of enum feed, by the kernel's cookie of an enrolled socket */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_FEEDS);
	__type(key, __u64);
	__type(value, __u64);
} feeds SEC(".maps");

/*
 * The same for three kinds of sockets: those that a reset has left with redirected bytes and that
 * are no longer in `feeds`; those that were to stay on TCP when `feeds` was full; and those that
 * are redirected to and whose program has begun to ask for all bytes, or to splice.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_PAST);
	__type(key, __u64);
	__type(value, __u64);
} past SEC(".maps");

/*
 * Sockets that were spliced from and are not enrolled, by address, for adopt. If a new socket gets
 * such an address, it stays on TCP and nothing worse happens.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_SPLICERS);
	__type(key, __u64);
	__type(value, __u64);
} splicers SEC(".maps");

static __always_inline __u64 get_feed(void *map, __u64 cookie)
{
	__u64 *found = bpf_map_lookup_elem(map, &cookie);

	return found ? *found : FEED_NONE;
}

/* Whether nothing may be redirected to a reader with this value. */
static __always_inline bool is_kept(__u64 feed)
{
	return feed == FEED_SPLICED || feed == FEED_WAITED;
}

/*
 * Gives the value of this cookie, and inserts `wanted` if it has none; FEED_NONE if there is no
 * room.
 */
static __always_inline __u64 claim_feed(__u64 cookie, __u64 wanted)
{
	__u64 found = get_feed(&feeds, cookie);

	if (found)
		return found;
	if (!bpf_map_update_elem(&feeds, &cookie, &wanted, BPF_NOEXIST))
		return wanted;
	return get_feed(&feeds, cookie);
}

/*
 * Called when nothing is redirected to the socket any more and nothing redirected is unread: TCP
 * handles a splice from it again.
 */
static __always_inline void forget_feed(__u64 cookie)
{
	cookie &= COOKIE_MASK;
	if (get_feed(&feeds, cookie))
		bpf_map_delete_elem(&feeds, &cookie);
}

#endif

#endif
