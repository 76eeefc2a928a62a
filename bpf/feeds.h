/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What became of a reader, for splice(2) sees nothing of what was redirected, and recv(MSG_WAITALL)
 * is content with one message of it: either it is redirected to, and a splice from it is refused
 * (splice.h), or its program has done one of them before, and nothing is redirected to it. Who puts
 * the key in first decides, and the insert is atomic, so neither side has to look twice. One pair
 * of maps for all instances of a host: the script pins them in _splice.
 */
#ifndef SOCKET_BYPASS_FEEDS_H
#define SOCKET_BYPASS_FEEDS_H

#include "kernel.h"

#ifndef MAX_FEEDS
#define MAX_FEEDS 65536 /* the host script gives it its real size */
#endif
#define MAX_PAST 8192
#define MAX_SPLICERS 16384

#define COOKIE_BITS 48 /* the kernel counts up from 1 */
#define COOKIE_MASK ((1ULL << COOKIE_BITS) - 1)

/*
 * The third word of what is kept with each enrolled socket, until it leaves or closes. Earlier
 * versions have there what is never this, and nothing of theirs removes a key from `feeds`.
 */
#define LAYOUT 0x736f636b62797031ULL

/* The key of `feeds` that no socket has: it is there while a way in is attached. */
#define GUARDED 0ULL

enum feed {
	FEED_NONE,
	FEED_REDIRECTED,
	/* on TCP, because its program */
	FEED_SPLICED,
	FEED_WAITED, /* for all bytes it asked for: MSG_WAITALL */
	/*
	 * In `past` only: redirected to; what the value is above this is how many of its splices
	 * were refused.
	 */
	FEED_REFUSED = 16,
};

/* A program that tries again and again is slower by the bypass than by TCP, so it leaves. */
#define MOST_REFUSALS 8

#ifndef ONLY_SOCKETS

struct { /* by the kernel's cookie of an enrolled socket */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_FEEDS);
	__type(key, __u64);
	__type(value, __u64);
} feeds SEC(".maps");

/*
 * By cookie: sockets that a reset has left with redirected bytes, which are no longer in `feeds`;
 * those that were spliced from when it was full; and those that are redirected to whose program has
 * begun to ask for all bytes, or to splice.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_PAST);
	__type(key, __u64);
	__type(value, __u64);
} past SEC(".maps");

/*
 * By address: sockets that were spliced from and are not enrolled, for adopt. A new socket at such
 * an address stays on TCP, no more.
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

/* Whether nothing may be redirected to it. */
static __always_inline bool is_kept(__u64 feed)
{
	return feed == FEED_SPLICED || feed == FEED_WAITED;
}

/* What is there, or else `wanted` from here on; FEED_NONE where there is no room. */
static __always_inline __u64 claim_feed(__u64 cookie, __u64 wanted)
{
	__u64 found = get_feed(&feeds, cookie);

	if (found)
		return found;
	if (!bpf_map_update_elem(&feeds, &cookie, &wanted, BPF_NOEXIST))
		return wanted;
	return get_feed(&feeds, cookie);
}

/* Nothing is redirected to it any more, nor unread: a splice from it is TCP's again. */
static __always_inline void forget_feed(__u64 cookie)
{
	cookie &= COOKIE_MASK;
	if (get_feed(&feeds, cookie))
		bpf_map_delete_elem(&feeds, &cookie);
}

#endif

#endif
