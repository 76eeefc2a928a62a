/* SPDX-License-Identifier: GPL-2.0 */
/* Whether a reader has taken all that was sent to it by TCP. */
#ifndef SOCKET_BYPASS_DRAINED_H
#define SOCKET_BYPASS_DRAINED_H

#include "waiters.h"

/*
 * A NAT helper (FTP, SIP) that makes a message longer moves the reader's sequence numbers forward,
 * and then written == copied can hold with that many bytes unread. The helper moves
 * acknowledgements back on their way, so the reader's last acknowledgement differs from what the
 * sender was told. The two also differ for a moment while an acknowledgement is on its way.
 */
static __always_inline bool is_length_changed(struct tcp_sock *sender, struct tcp_sock *reader)
{
	return LOAD(struct tcp_sock, sender, snd_una) != LOAD(struct tcp_sock, reader, rcv_wup);
}

/* UNSURE means DRAINED if the reader that is seen asleep, `lone_reader`, is the only one. */
enum drained { NOT_DRAINED, UNSURE, DRAINED };

VERIFIED_ONCE int look_once_whether_drained(struct socket_state *own)
{
	struct tcp_sock *tp, *peer;
	__u32 written = 0, copied = 1;
	struct waiters waiters;
	struct sk_psock *psock;
	bool is_explained, is_sure, is_locked;

	if (!own)
		return NOT_DRAINED;
	tp = (struct tcp_sock *)own->own.sock;
	peer = (struct tcp_sock *)own->peer.sock;
	if (BPF_CORE_READ_INTO(&written, tp, write_seq) ||
	    BPF_CORE_READ_INTO(&copied, peer, copied_seq))
		return NOT_DRAINED;
	/*
	 * If the owner of the lock waits in our own program, it is in a send. But other calls may
	 * wait for the lock behind it, and those are in no wait queue.
	 */
	is_locked = is_owned(&own->peer);
	if (written != copied || (is_locked && !GET(&own->peer, is_waiting)))
		return NOT_DRAINED;
	if (is_length_changed(tp, peer) || BPF_CORE_READ_BITFIELD_PROBED(peer, repair))
		return NOT_DRAINED;
	psock = get_psock(&own->peer);
	if (!psock)
		return NOT_DRAINED;
	look_at_waiters(&own->peer, &waiters);
	if (waiters.sleepers < 0 || waiters.sleepers > 2)
		return NOT_DRAINED;
	is_explained = count_hidden_calls(&own->peer, psock, &waiters) <= 0;
	is_sure = is_explained || (!is_locked && is_settled(&own->peer));
	if (waiters.sleepers > 1 || (waiters.sleepers && waiters.threads[0] != own->lone_reader)) {
		own->lone_reader = waiters.threads[0];
		own->doubts = 0;
	}
	if (waiters.sleepers && !are_sleepers_in_bypass(own, psock, &waiters, is_explained))
		return NOT_DRAINED;
	if (is_sure)
		return DRAINED;
	return waiters.sleepers == 1 ? UNSURE : NOT_DRAINED;
}

/*
 * Whether the reader has taken every byte sent by TCP, and none of its calls is inside plain
 * tcp_recvmsg(), which redirected bytes neither wake nor reach. Without this test redirected bytes
 * could overtake TCP bytes, or never be read.
 */
static __always_inline enum drained look_whether_drained(struct socket_state *own)
{
	enum drained first, second;

	if (!is_same_socket(&own->peer))
		return NOT_DRAINED;
	first = look_once_whether_drained(own);
	if (first == NOT_DRAINED)
		return NOT_DRAINED;
	full_barrier(); /* the two looks must not be merged or reordered */
	second = look_once_whether_drained(own);
	if (!is_same_socket(&own->peer))
		return NOT_DRAINED;
	return first < second ? first : second;
}

/*
 * A socket with a second descriptor may have a second reader, which is busy elsewhere and may
 * return to the socket while the first reader takes the last byte by TCP. If at this many looks,
 * over this long a time, the thread asleep was always the same, the other descriptor is taken for
 * one from which nobody reads (dup(), a parent after fork()).
 */
static __always_inline bool is_doubt_old(struct socket_state *own)
{
	if (!own->doubts)
		own->doubted = bpf_jiffies64();
	own->doubts++;
	return own->doubts > DOUBTS && bpf_jiffies64() - own->doubted >= ADOPT_JIFFIES;
}

#endif
