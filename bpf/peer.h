/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reads either end of a connection by its address. A read from an address where nothing is mapped
 * gives an error (bpf_probe_read_kernel()) or 0 (bpf_rdonly_cast()). TCP sockets are recycled only
 * as TCP sockets (SLAB_TYPESAFE_BY_RCU), and the cookie tells whether it is still the same one. A
 * stale or failed read must only ever lead to TCP.
 */
#ifndef SOCKET_BYPASS_PEER_H
#define SOCKET_BYPASS_PEER_H

#include "socket_bypass.h"

#define MAX_STORAGES 8
#define RCV_SHUTDOWN 1

/* The low bits of sk_user_data are flags: NOCOPY, BPF, PSOCK (include/net/sock.h). */
#define USER_DATA_FLAGS 7ULL

static __always_inline bool is_same_socket(const struct end *end)
{
	__u64 cookie = LOAD(struct sock, end->sock, __sk_common.skc_cookie.counter);

	return cookie && !((cookie ^ end->cookie) & COOKIE_MASK);
}

/*
 * False for sockets whose sk_prot or sk_user_data belong to somebody else, or whose sequence
 * numbers a process chose.
 */
static __always_inline bool is_ordinary(struct sock *sk)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	const struct tcp_ulp_ops *ulp = 0;

	if (BPF_CORE_READ_INTO(&ulp, tp, inet_conn.icsk_ulp_ops) || ulp)
		return false;
	if (BPF_CORE_READ_BITFIELD_PROBED(tp, repair) ||
	    BPF_CORE_READ_BITFIELD_PROBED(sk, sk_kern_sock))
		return false;
	return !bpf_core_field_exists(tp->is_mptcp) || !BPF_CORE_READ_BITFIELD_PROBED(tp, is_mptcp);
}

/* The bit of a flag in skc_flags. */
#define FLAG_OF(flag) (1ULL << bpf_core_enum_value(enum sock_flags, flag))

static __always_inline bool tells_unread(struct tcp_sock *tp)
{
	if (!CAN_CAST)
		return BPF_CORE_READ_BITFIELD_PROBED(tp, recvmsg_inq);
	tp = CAST(struct tcp_sock, tp);
	return BPF_CORE_READ_BITFIELD(tp, recvmsg_inq);
}

/*
 * Whether SO_TIMESTAMPING is set. A load uses the size of the field in the running kernel; a probe
 * read must be told that size.
 */
static __always_inline bool takes_times(struct sock *sk)
{
	__u64 flags = 0;

	if (CAN_CAST)
		return CAST(struct sock, sk)->sk_tsflags;
	bpf_probe_read_kernel(&flags, bpf_core_field_size(sk->sk_tsflags), &sk->sk_tsflags);
	return flags;
}

/*
 * Whether a program has set an option of the socket that only TCP's own code or packets obey:
 * SO_OOBINLINE, SO_ZEROCOPY, SO_TIMESTAMP*, SO_RCVLOWAT, SO_PEEK_OFF, TCP_INQ, SO_MAX_PACING_RATE,
 * SO_ATTACH_FILTER. No socket has any of them by default. A socket keeps what was set before
 * connect(), and accept() gives it what its listener has.
 */
NOINLINE bool needs_tcp(__u64 socket)
{
	__u64 flags = LOAD(struct sock, socket, __sk_common.skc_flags);

	if (flags & (FLAG_OF(SOCK_URGINLINE) | FLAG_OF(SOCK_ZEROCOPY) | FLAG_OF(SOCK_RCVTSTAMP)))
		return true;
	if (LOAD(struct sock, socket, sk_rcvlowat) > 1 ||
	    LOAD(struct sock, socket, sk_peek_off) >= 0)
		return true;
	if (LOAD(struct sock, socket, sk_max_pacing_rate) != ~0UL ||
	    LOAD(struct sock, socket, sk_filter))
		return true;
	return takes_times((struct sock *)socket) || tells_unread((struct tcp_sock *)socket);
}

/*
 * The psock of an end; 0 once the end has left the map and the last call that held the psock is
 * over.
 */
NOINLINE struct sk_psock *get_psock(const struct end *end)
{
	__u64 data = (__u64)LOAD(struct sock, end->sock, sk_user_data) & ~USER_DATA_FLAGS;

	if (!data || (__u64)LOAD(struct sk_psock, data, sk) != end->sock)
		return 0;
	return (struct sk_psock *)data;
}

static __always_inline bool has_redirected_bytes(struct sk_psock *psock)
{
	struct list_head *head =
		(void *)psock + bpf_core_field_offset(struct sk_psock, ingress_msg);

	return LOAD(struct sk_psock, psock, ingress_msg.next) != head;
}

static __always_inline int count_references(struct sk_psock *psock)
{
	int references = 0;

	BPF_CORE_READ_INTO(&references, psock, refcnt.refs.counter);
	return references;
}

static __always_inline bool is_owned(const struct end *end)
{
	struct sock *sk = (struct sock *)end->sock;
	int owned = 1;

	BPF_CORE_READ_INTO(&owned, sk, sk_lock.owned);
	return owned;
}

/*
 * Finds the state of an end by way of its socket, because a program can look up the storage only of
 * the socket that it runs on. Nothing else that may be stored with a socket begins with the
 * socket's own cookie and address.
 */
NOINLINE struct socket_state *find_state(const struct end *end)
{
	struct bpf_local_storage *storage = LOAD(struct sock, end->sock, sk_bpf_storage);
	struct hlist_node *node = 0;
	struct socket_state *gone = 0;
	__u16 mode = MODE_GONE;
	int i;

	if (storage)
		node = LOAD(struct bpf_local_storage, storage, list.first);
	for (i = 0; i < MAX_STORAGES && node; i++) {
		struct bpf_local_storage_elem *elem =
			(void *)node - bpf_core_field_offset(struct bpf_local_storage_elem, snode);
		struct socket_state *found =
			(void *)elem + bpf_core_field_offset(struct bpf_local_storage_elem, sdata) +
			bpf_core_field_offset(struct bpf_local_storage_data, data);
		struct end own = {};

		if (bpf_probe_read_kernel(&own, sizeof(own), &found->own))
			return 0;
		if (own.cookie == end->cookie && own.sock == end->sock) {
			if (bpf_probe_read_kernel(&mode, sizeof(mode), &found->mode))
				return 0;
			if (mode != MODE_GONE)
				return found;
			/* perhaps the state of a generation that was refused this socket */
			gone = found;
		}
		node = LOAD(struct hlist_node, node, next);
	}
	return gone;
}

NOINLINE bool read_state(const struct end *end, struct socket_state *found)
{
	struct socket_state *there = find_state(end);

	return there && !bpf_probe_read_kernel(found, sizeof(*found), there) &&
	       found->own.cookie == end->cookie && found->mode != MODE_GONE;
}

/* A word of the state of an end; 0 if it cannot be read. */
#define GET(end, field) get_word(end, __builtin_offsetof(struct socket_state, field))

NOINLINE __u32 get_word(const struct end *end, __u32 offset)
{
	struct socket_state *its = find_state(end);
	__u32 word = 0;

	if (its)
		bpf_probe_read_kernel(&word, sizeof(word), (void *)its + offset);
	return word;
}

/*
 * Whether a call of the receiver may still be one of plain TCP that began before the connection was
 * adopted.
 */
static __always_inline bool is_adopted(const struct end *sender)
{
	return GET(sender, flags) & FLAG_ADOPTED;
}

#endif
