/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shows what enrolled sockets send to a tap (docs/reference/tap.md): each message of a port, with
 * the addresses and the sequence numbers that it would have if all had gone by TCP. Those are true:
 * what went by TCP counts in the kernel's own numbers, and what was redirected in the socket's
 * state.
 */
#ifndef SOCKET_BYPASS_TAP_H
#define SOCKET_BYPASS_TAP_H

#include "peer.h"

#define AF_INET 2
#define TAP_PIECES 64 /* a message is at most 17 elements of 32 KiB, or of a page if larger */
#define TAP_LARGEST 32768 /* bytes of a message in one piece */

#define TAP_BYPASS 1u /* redirected; otherwise it goes by TCP */
#define TAP_ACTIVE 2u /* the sender connected */
#define TAP_FIRST 4u /* nothing was sent before, either way */
#define TAP_LAST 8u /* no further piece of this message follows */

/*
 * What lies in the ring before the bytes of a piece of a message; host/helper/tap/tap.h has the
 * same.
 */
struct piece {
	__u64 time; /* ns of CLOCK_MONOTONIC */
	__u32 sequence; /* of the message's first byte */
	__u32 acknowledged; /* all that the other end had sent */
	__u32 size; /* of the message */
	__u32 offset; /* of this piece in the message */
	__u32 length; /* of this piece */
	__u32 flags;
	__u32 from[4]; /* network order; IPv4 as ::ffff:a.b.c.d */
	__u32 to[4];
	__u16 from_port; /* host order */
	__u16 to_port;
	__u32 unused;
};

struct sent { /* the message at hand */
	struct piece head;
	__u64 msg; /* address of the kernel's struct sk_msg */
	__u32 most; /* bytes of it that the tap wants */
	__u32 element; /* of the message's list, which holds the next byte */
	__u32 taken; /* bytes of that element before it */
	__u32 unused; /* older verifiers want every byte on the stack to be written */
};

static __always_inline bool has_ipv6(struct sock *sk)
{
	return LOAD(struct sock, sk, __sk_common.skc_family) != AF_INET &&
	       bpf_core_field_exists(sk->__sk_common.skc_v6_daddr);
}

/* The address of a socket's own end, or of the end that it is connected to. */
NOINLINE int read_address(struct sock *sk, bool is_remote, __u32 *address)
{
	struct sock_common *common = &sk->__sk_common;

	if (has_ipv6(sk))
		return bpf_probe_read_kernel(address, sizeof(struct in6_addr),
					     is_remote ? &common->skc_v6_daddr
						       : &common->skc_v6_rcv_saddr);
	address[0] = address[1] = 0;
	address[2] = bpf_htonl(0xffff);
	address[3] = is_remote ? LOAD(struct sock, sk, __sk_common.skc_daddr)
			       : LOAD(struct sock, sk, __sk_common.skc_rcv_saddr);
	return 0;
}

static __always_inline __u16 get_port(struct sock *sk)
{
	return LOAD(struct sock, sk, __sk_common.skc_num);
}

static __always_inline __u16 get_port_of_peer(struct sock *sk)
{
	return bpf_ntohs(LOAD(struct sock, sk, __sk_common.skc_dport));
}

/*
 * Each end is named by its own address, so that both directions have the same two even if one end
 * calls the other by an address that is translated. A port counts as either end knows it.
 */
NOINLINE bool name_ends(const struct socket_state *own, struct piece *head, __u16 port)
{
	struct sock *sk = (struct sock *)own->own.sock, *peer = (struct sock *)own->peer.sock;
	bool is_known = own->peer.cookie && is_same_socket(&own->peer);

	head->from_port = get_port(sk);
	head->to_port = is_known ? get_port(peer) : get_port_of_peer(sk);
	if (head->from_port != port && head->to_port != port && get_port_of_peer(sk) != port &&
	    (!is_known || get_port_of_peer(peer) != port))
		return false;
	read_address(sk, false, head->from);
	read_address(is_known ? peer : sk, !is_known, head->to);
	return true;
}

static __always_inline void number_bytes(const struct socket_state *own, struct piece *head)
{
	struct tcp_sock *tp = (struct tcp_sock *)own->own.sock;
	__u32 redirected = own->bytes, heard = own->peer.cookie ? GET(&own->peer, bytes) : 0;

	if (head->flags & TAP_BYPASS)
		redirected -= head->size; /* it is counted already */
	head->sequence = LOAD(struct tcp_sock, tp, write_seq) + redirected;
	head->acknowledged = LOAD(struct tcp_sock, tp, rcv_nxt) + heard;
	if (own->flags & FLAG_ACTIVE)
		head->flags |= TAP_ACTIVE;
	if (!redirected && !heard && !LOAD(struct tcp_sock, tp, data_segs_in) &&
	    !LOAD(struct tcp_sock, tp, data_segs_out))
		head->flags |= TAP_FIRST;
}

/* The length of an element of a message's list, in which the kernel never goes round here. */
static __always_inline __u32 get_length(__u64 msg, __u32 element)
{
	__u64 list = bpf_core_field_offset(struct sk_msg, sg.data);
	__u64 size = bpf_core_type_size(struct scatterlist);
	__u64 at = bpf_core_field_offset(struct scatterlist, length);
	__u32 length = 0;

	bpf_probe_read_kernel(&length, sizeof(length), (void *)(msg + list + element * size + at));
	return length;
}

/*
 * The context of the program is the kernel's message. It is read as a number, because Linux 6.1
 * adds nothing but constants to a pointer to a context.
 */
static __always_inline __u64 get_address(const struct sk_msg_md *msg)
{
	__u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof(address), &msg);
	return address;
}

/* The ring takes only sizes that the verifier knows. */
static __always_inline struct piece *reserve(void *ring, __u64 length)
{
	if (length <= 160)
		return bpf_ringbuf_reserve(ring, sizeof(struct piece) + 160, 0);
	if (length <= 1952)
		return bpf_ringbuf_reserve(ring, sizeof(struct piece) + 1952, 0);
	if (length <= 8096)
		return bpf_ringbuf_reserve(ring, sizeof(struct piece) + 8096, 0);
	if (length <= TAP_LARGEST)
		return bpf_ringbuf_reserve(ring, sizeof(struct piece) + TAP_LARGEST, 0);
	return 0;
}

/*
 * Puts the next piece into the ring: as much as lies in one element, so that nothing of the message
 * is moved. False if that fails.
 */
VERIFIED_ONCE int put_piece(struct sk_msg_md *msg, struct sent *sent)
{
	__u64 length, left = 0;
	struct piece *piece;
	__u32 first = 0;
	void *ring;

	if (!msg || !sent)
		return false;
	ring = bpf_map_lookup_elem(&taps, &first);
	if (!ring)
		return false;
	length = sent->most - sent->head.offset;
	if (length) {
		left = get_length(sent->msg, sent->element) - sent->taken;
		if (length > left)
			length = left;
		if (length > TAP_LARGEST)
			length = TAP_LARGEST;
		if (!length ||
		    bpf_msg_pull_data(msg, sent->head.offset, sent->head.offset + length, 0))
			return false;
	}
	barrier_var(length);
	piece = reserve(ring, length);
	if (!piece)
		return false;
	sent->head.length = length;
	if (sent->head.offset + length == sent->most)
		sent->head.flags |= TAP_LAST;
	*piece = sent->head;
	bpf_probe_read_kernel(piece + 1, length, (void *)(long)msg->data);
	/* The tap looks by itself, because to wake it would cost the sender. */
	bpf_ringbuf_submit(piece, BPF_RB_NO_WAKEUP);
	sent->head.offset += length;
	sent->taken += length;
	if (length == left) {
		sent->element++;
		sent->taken = 0;
	}
	return true;
}

NOINLINE void show(struct sk_msg_md *msg, const struct socket_state *own, __u32 flags)
{
	__u32 tap = KNOB_TAP;
	__u64 *until = bpf_map_lookup_elem(&knobs, &tap);
	__u64 wanted = get_knob(KNOB_TAPPED);
	struct sent sent = {};

	sent.head.time = bpf_ktime_get_ns();
	if (!until || sent.head.time > *until) {
		if (until)
			*until = 0; /* its tap was killed */
		return;
	}
	if (!name_ends(own, &sent.head, wanted))
		return;
	sent.head.size = sent.most = msg->size;
	sent.head.flags = flags;
	number_bytes(own, &sent.head);
	if (sent.most > wanted >> TAP_SHIFT)
		sent.most = wanted >> TAP_SHIFT;
	sent.msg = get_address(msg);
	bpf_probe_read_kernel(&sent.element, sizeof(sent.element),
			      (void *)(sent.msg + bpf_core_field_offset(struct sk_msg, sg.start)));
	for (int i = 0; i < TAP_PIECES; i++) {
		if (!put_piece(msg, &sent))
			break;
		if (sent.head.flags & TAP_LAST)
			return;
	}
	count(COUNT_TAP_LOST);
}

#endif
