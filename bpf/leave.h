/* SPDX-License-Identifier: GPL-2.0 */
/* Long: it holds everything that the two programs that leave the bypass have in common. */
/*
 * Takes a socket out of `sockets` while it is in use. A socket that is enrolled but whose messages
 * go by TCP is slower than one that is not enrolled.
 */
#ifndef SOCKET_BYPASS_LEAVE_H
#define SOCKET_BYPASS_LEAVE_H

#include "waiters.h"

#define TCP_ESTABLISHED 1
#define TCP_FIN_WAIT1 4
#define TCP_CLOSE_WAIT 8
#define SOL_TCP 6
#define TCP_NOTSENT_LOWAT 25
#define TCP_RTO_MAX_MS 44 /* since Linux 6.15 */
#define OUR_CALLBACKS \
	(BPF_SOCK_OPS_RTT_CB_FLAG | BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RETRANS_CB_FLAG)

static __always_inline __u32 get_lowat(const struct socket_state *own)
{
	struct tcp_sock *tp = (struct tcp_sock *)own->own.sock;
	__u32 lowat = ~0u;

	BPF_CORE_READ_INTO(&lowat, tp, notsent_lowat);
	return lowat;
}

/*
 * While a direction spills, the sender must block soon; otherwise TCP's queue grows behind a queue
 * that is full already.
 */
static __always_inline void set_lowat(void *ctx, struct socket_state *own)
{
	__u32 lowat = get_lowat(own);
	int bytes = NOTSENT_LOWAT;

	/* The value is ours already, from an earlier time in the map. */
	if (lowat == NOTSENT_LOWAT ||
	    (lowat == 0 && !bpf_setsockopt(ctx, SOL_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof(bytes))))
		own->flags |= FLAG_LOWAT;
}

/* How often the socket was disconnected; 0 if the kernel does not count that. */
static __always_inline __u32 get_disconnects(const struct socket_state *own)
{
	if (!bpf_core_field_exists(((struct sock *)0)->sk_disconnects))
		return 0;
	return LOAD(struct sock, own->own.sock, sk_disconnects);
}

static __always_inline bool is_with_application(const struct bpf_sock_ops *ctx)
{
	return ctx->state == TCP_ESTABLISHED || ctx->state == TCP_CLOSE_WAIT;
}

/*
 * A reader by edge-triggered epoll may have so many redirected bytes unread that TCP has no room
 * behind them. TCP then probes less and less often, up to two minutes apart, while a reader that
 * continues takes the redirected bytes at once and then waits. So TCP's timer is kept short, but
 * only while the application has the socket: for a closed one the kernel gives up what is unsent
 * once the timer is at its longest.
 */
static __always_inline bool needs_short_timer(struct bpf_sock_ops *ctx, struct socket_state *own)
{
	struct sk_psock *psock = get_psock(&own->peer);

	if (!is_with_application(ctx) || own->mode < MODE_SPILL || own->mode == MODE_BYPASS)
		return false;
	return psock && is_same_socket(&own->peer) && has_redirected_bytes(psock);
}

static __always_inline void shorten_timer(struct bpf_sock_ops *ctx, struct socket_state *own)
{
	int before = 0, most = LONGEST_TIMER_MS;

	if (bpf_getsockopt(ctx, SOL_TCP, TCP_RTO_MAX_MS, &before, sizeof(before)) || before <= most)
		return;
	if (!bpf_setsockopt(ctx, SOL_TCP, TCP_RTO_MAX_MS, &most, sizeof(most)))
		own->timer = before;
}

static __always_inline void restore_timer(struct bpf_sock_ops *ctx, struct socket_state *own)
{
	int before = own->timer, now = 0;

	own->timer = 0;
	if (!bpf_getsockopt(ctx, SOL_TCP, TCP_RTO_MAX_MS, &now, sizeof(now)) &&
	    now == LONGEST_TIMER_MS)
		bpf_setsockopt(ctx, SOL_TCP, TCP_RTO_MAX_MS, &before, sizeof(before));
}

/* Called at each ACK of new bytes and at each retransmission. */
NOINLINE void set_timer(struct bpf_sock_ops *ctx, struct socket_state *own)
{
	bool is_short = own->timer;

	if (needs_short_timer(ctx, own) == is_short)
		return;
	if (is_short)
		restore_timer(ctx, own);
	else
		shorten_timer(ctx, own);
}

static __always_inline void restore_socket(struct bpf_sock_ops *ctx, struct socket_state *own)
{
	int none = 0;

	if ((own->flags & FLAG_LOWAT) && get_lowat(own) == NOTSENT_LOWAT)
		bpf_setsockopt(ctx, SOL_TCP, TCP_NOTSENT_LOWAT, &none, sizeof(none));
	own->flags &= ~FLAG_LOWAT;
	if (own->timer)
		restore_timer(ctx, own);
	/*
	 * The other callbacks stay: they cost little, and another program may have asked for them
	 * too.
	 */
	if (!(own->flags & FLAG_RTT_THEIRS))
		bpf_sock_ops_cb_flags_set(ctx,
					  ctx->bpf_sock_ops_cb_flags & ~BPF_SOCK_OPS_RTT_CB_FLAG);
	own->mode = MODE_GONE;
	/*
	 * From here on we are not told when the socket closes. Whoever claims its feed reads
	 * `layout` afterwards.
	 */
	own->layout = 0;
	full_barrier();
	forget_feed(own->own.cookie);
	flush_counts(own);
	count_released(own);
	count(COUNT_GONE);
}

/*
 * Whether nobody feeds this end, which has not found its peer, or ever will. A passive end that has
 * taken the claim publishes itself before it enrols, and then checks the flag (is_withdrawn()). So
 * either this function sees it, or it does not enrol.
 */
static __always_inline bool is_never_fed(struct socket_state *own)
{
	struct claim claim = own->claim;

	if (!(own->flags & FLAG_ACTIVE))
		return true;
	own->flags |= FLAG_WITHDRAWN;
	bpf_map_delete_elem(&claims, &claim);
	full_barrier();
	return !take_published_peer(own);
}

/*
 * Takes the peer out of the map. True if the peer is out and no call that began while it was in can
 * redirect to this end any more.
 */
static __always_inline bool is_peer_out(struct socket_state *own)
{
	struct sk_psock *psock;

	if (!own->peer.cookie && is_never_fed(own))
		return true;
	if (!own->peer.cookie)
		return false;
	if (!is_same_socket(&own->peer))
		return true; /* the peer has closed */
	psock = get_psock(&own->peer);
	if (!psock)
		return true;
	if (own->flags & FLAG_PEER_OUT)
		return false;
	if (has_redirected_bytes(psock))
		return false; /* the bytes would vanish */
	bpf_map_delete_elem(&sockets, &own->peer.cookie);
	forget_feed(own->peer.cookie);
	own->flags |= FLAG_PEER_OUT;
	return !get_psock(&own->peer);
}

/*
 * Takes one step of leaving, at an ACK of this end's own TCP bytes. The order matters: this end
 * feeds its peer by TCP only, so once the peer's queue is empty the peer can leave; then nobody
 * feeds this end by redirect, and once its own queue is empty it can leave too.
 */
static __always_inline void leave_map(struct bpf_sock_ops *ctx, struct socket_state *own)
{
	struct sk_psock *psock = get_psock(&own->own);

	if (!psock) {
		/*
		 * Either the peer has taken this end out or the kernel has taken the socket over
		 * (iSCSI, NFS), so that its key is dead.
		 */
		bpf_map_delete_elem(&sockets, &own->own.cookie);
		restore_socket(ctx, own);
		return;
	}
	if (own->mode != MODE_LEAVE)
		return;
	if (is_owned(&own->own) || count_calls(&own->own, psock, is_adopted(&own->peer)) > 0)
		return; /* a second thread may be about to redirect */
	/*
	 * A third thread that sleeps in plain TCP hides the second one, which therefore gets some
	 * time.
	 */
	if ((own->flags & FLAG_SENDERS) && count_references(psock) > 1 &&
	    bpf_jiffies64() - own->refreshed < ADOPT_JIFFIES)
		return;
	if (!is_peer_out(own) || has_redirected_bytes(psock))
		return;
	bpf_map_delete_elem(&sockets, &own->own.cookie);
	/*
	 * A reader asleep in tcp_bpf_recvmsg() keeps the psock. Restoring the option wakes that
	 * reader (sk_write_space()), and its call would return EAGAIN because there is no data. So
	 * the first ACK after that call restores the option.
	 */
	if (!get_psock(&own->own))
		restore_socket(ctx, own);
}

/* Whether the application may sleep in a recv() and receive an answer there. */
static __always_inline bool may_wait_for_answer(const struct end *end)
{
	struct sock *sk = (struct sock *)end->sock;
	struct socket *socket;

	if (LOAD(struct sock, sk, sk_shutdown) & RCV_SHUTDOWN)
		return false;
	socket = LOAD(struct sock, sk, sk_socket);
	return socket && !never_blocks(LOAD(struct socket, socket, file));
}

/*
 * Whether a call on the peer may still redirect to this end because it is past the point where it
 * checks this end for FLAG_SHUT.
 */
static __always_inline bool may_peer_redirect(struct socket_state *own)
{
	struct sk_psock *psock;

	if (!own->peer.cookie && is_never_fed(own))
		return false;
	if (!is_same_socket(&own->peer))
		return false;
	psock = get_psock(&own->peer);
	if (!psock)
		return false;
	if (count_calls(&own->peer, psock, own->flags & FLAG_ADOPTED) > 0)
		return true;
	return count_references(psock) > 1 && (GET(&own->peer, flags) & FLAG_SENDERS);
}

/*
 * The application has shut this end's direction down and may wait in a recv() for the answer. The
 * ACK of the FIN, up to 40 ms later, wakes a thread that sleeps there (tcp_rcv_state_process()),
 * and the kernel's recv() of an enrolled socket would return EAGAIN. So this end leaves before that
 * ACK, unless bytes could be lost. In that case too, the peer goes by TCP from its next message on.
 */
NOINLINE void leave_when_shut(struct bpf_sock_ops *ctx, struct socket_state *own)
{
	struct sk_psock *psock = get_psock(&own->own);

	if (own->mode == MODE_GONE || !psock || !may_wait_for_answer(&own->own))
		return;
	own->flags |= FLAG_SHUT;
	full_barrier();
	if (may_peer_redirect(own) || has_redirected_bytes(psock) || count_references(psock) > 1)
		return;
	bpf_map_delete_elem(&sockets, &own->own.cookie);
	restore_socket(ctx, own);
}

#endif
