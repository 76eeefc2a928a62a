// SPDX-License-Identifier: GPL-2.0
// Long: a program is one file, and this one handles all callbacks of a socket.
/*
 * sock_ops: finds the two sockets of a connection that both live on this host and puts them into
 * `sockets`. It takes them out again when redirect.bpf.c has decided to leave. It returns 1 on
 * every path and never writes a reply, because other programs of the cgroup have replies of their
 * own.
 */
#include "leave.h"
#include "policy.h"

#define TCP_CLOSE 7
#define EBUSY 16
#define E2BIG 7
#define ENOMEM 12

static __always_inline __u32 hash_client(__u32 tail, __u32 port)
{
	__u64 mixed = (((__u64)tail << 16) ^ port) * 0x9e3779b97f4a7c15ULL;

	return mixed >> 32;
}

static __always_inline __u64 get_note(__u32 tail, __u32 port)
{
	return ((__u64)tail << 16) | port;
}

/* The last 32 bits of an address are the same for IPv4 and IPv4 mapped into IPv6. */
static __always_inline __u32 get_local_tail(const struct bpf_sock_ops *ctx)
{
	return ctx->family == AF_INET ? READ(ctx->local_ip4) : READ(ctx->local_ip6[3]);
}

static __always_inline __u32 get_remote_tail(const struct bpf_sock_ops *ctx)
{
	return ctx->family == AF_INET ? READ(ctx->remote_ip4) : READ(ctx->remote_ip6[3]);
}

/*
 * Each client has two slots: of the clients that connect at the same moment some share one slot,
 * and hardly any share both.
 */
static __always_inline __u64 *get_place(__u32 tail, __u32 port, bool is_second)
{
	__u32 hash = hash_client(tail, port), index;

	index = (is_second ? hash >> 16 : hash) % MAX_NOTES;
	return bpf_map_lookup_elem(&notes, &index);
}

/* Called at a SYN to a listener of this host: its client may be a socket of this host. */
static __always_inline void note_client(const struct bpf_sock_ops *ctx)
{
	__u32 tail = get_remote_tail(ctx), port = get_remote_port(ctx);

	for (int i = 0; i < 2; i++) {
		__u64 *place = get_place(tail, port, i);

		if (place)
			*place = get_note(tail, port);
	}
}

static __always_inline bool is_noted(const struct bpf_sock_ops *ctx)
{
	__u32 tail = get_local_tail(ctx), port = ctx->local_port;

	for (int i = 0; i < 2; i++) {
		__u64 *place = get_place(tail, port, i);

		if (place && *place == get_note(tail, port))
			return true;
	}
	return false;
}

/*
 * Whether to skip a service whose connections are too short to gain; one connection in SHORT_PROBE
 * is not skipped.
 */
static __always_inline bool is_too_short(const struct bpf_sock_ops *ctx, __u32 *index)
{
	struct service *service;

	*index = hash_client(get_remote_tail(ctx), get_remote_port(ctx)) % MAX_SERVICES;
	service = bpf_map_lookup_elem(&services, index);
	if (!service || service->connections < SHORT_CONNECTIONS)
		return false;
	if (service->messages >= service->connections * SHORT_MESSAGES)
		return false;
	return ++service->skipped % SHORT_PROBE;
}

static __always_inline void learn_length(const struct socket_state *own)
{
	__u32 index = own->service;
	struct service *service;

	if (!(own->flags & FLAG_ACTIVE))
		return;
	service = bpf_map_lookup_elem(&services, &index);
	if (!service)
		return;
	if (service->connections >= 1024) { /* what is long ago counts less */
		service->connections /= 2;
		service->messages /= 2;
	}
	service->connections++;
	service->messages += own->sent < 1024 ? own->sent : 1024;
}

static __always_inline struct socket_state *get_state(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *socket = ctx->sk;

	return socket ? bpf_sk_storage_get(&state, socket, 0, 0) : 0;
}

/*
 * The passive end may be on another CPU, between taking the claim and publishing itself. So this
 * end sets the flag before it deletes what was published, and the passive end checks the flag after
 * it has published itself: one of the two sees the other.
 */
static __always_inline void withdraw(struct socket_state *own)
{
	struct claim claim = own->claim;
	__u64 cookie = own->own.cookie;

	if (!(own->flags & FLAG_ACTIVE) || own->peer.cookie)
		return;
	own->flags |= FLAG_WITHDRAWN;
	full_barrier();
	bpf_map_delete_elem(&claims, &claim);
	bpf_map_delete_elem(&peers, &cookie);
}

/*
 * The connection with which a socket was enrolled has ended, and its application goes on with the
 * socket. Redirected bytes that were not read belonged to that connection, so they are dropped, as
 * tcp_disconnect() drops what came by TCP.
 */
NOINLINE void leave_at_once(struct bpf_sock_ops *ctx, struct socket_state *own)
{
	if (own->mode == MODE_GONE)
		return;
	withdraw(own);
	bpf_map_delete_elem(&sockets, &own->own.cookie);
	restore_socket(ctx, own);
}

static __always_inline void end_old_connection(struct bpf_sock_ops *ctx)
{
	struct socket_state *own = get_state(ctx);
	__u64 cookie;

	if (!own)
		return;
	leave_at_once(ctx, own);
	cookie = own->own.cookie & COOKIE_MASK;
	bpf_map_delete_elem(&past, &cookie);
}

static __always_inline struct socket_state *
keep_state(struct bpf_sock_ops *ctx, struct bpf_sock *socket, struct sock *sk, __u32 ports)
{
	struct socket_state *own;
	__u64 cookie;

	own = bpf_sk_storage_get(&state, socket, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!own)
		return 0;
	cookie = get_next_cookie(bpf_get_socket_cookie(ctx), own);
	__builtin_memset(own, 0, sizeof(*own));
	own->own.cookie = cookie;
	own->own.sock = (__u64)sk;
	own->layout = LAYOUT;
	own->refreshed = bpf_jiffies64();
	own->disconnects = get_disconnects(own);
	own->ports = make_port_counter(ports);
	return own;
}

static __always_inline bool enrol(struct bpf_sock_ops *ctx, struct socket_state *own)
{
	__u64 cookie = own->own.cookie;
	long error;

/* a test build: an active end has found its passive one, which is not in the map yet */
#ifdef ENROL_LOOPS
	bpf_loop(ENROL_LOOPS, pass_time, 0, 0);
#endif
	error = bpf_sock_hash_update(ctx, &sockets, &cookie, BPF_NOEXIST);
	if (!error) {
		set_lowat(ctx, own);
		if (ctx->bpf_sock_ops_cb_flags & BPF_SOCK_OPS_RTT_CB_FLAG)
			own->flags |= FLAG_RTT_THEIRS;
		bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | OUR_CALLBACKS);
		return true;
	}
	if (error == -EBUSY)
		count(COUNT_REFUSED_BUSY);
	else if (error == -E2BIG || error == -ENOMEM)
		count(COUNT_REFUSED_FULL);
	else
		count(COUNT_REFUSED_OTHER);
	return false;
}

/*
 * Whether the packet that establishes a connection brings its first bytes. All do at a listener
 * that defers (TCP_DEFER_ACCEPT, of which the socket keeps no trace). An ordinary connection begins
 * with an ACK without bytes, unless that was lost.
 */
static __always_inline bool begins_with_bytes(const struct bpf_sock_ops *ctx)
{
	void *header = (void *)(long)ctx->skb_data, *end = (void *)(long)ctx->skb_data_end;

	return (long)ctx->skb_len > end - header;
}

/*
 * Whether to refuse a connection because of such bytes: nginx reads as many of them as its buffer
 * takes, and believes FIONREAD if that says that nothing is left.
 */
static __always_inline bool is_deferred(const struct bpf_sock_ops *ctx)
{
	if (is_fionread_right() || !begins_with_bytes(ctx))
		return false;
	count(COUNT_REFUSED_DEFERRED);
	return true;
}

/* Whether a socket has to stay on TCP for its kind, or for an option that its program has set. */
static __always_inline bool is_refused(struct sock *sk)
{
	if (!is_ordinary(sk)) {
		count(COUNT_REFUSED_OTHER);
		return true;
	}
	if (needs_tcp((__u64)sk)) {
		count(COUNT_REFUSED_OPTIONS);
		return true;
	}
	return false;
}

static __always_inline void enrol_active(struct bpf_sock_ops *ctx, struct bpf_sock *socket,
					 struct sock *sk, __u32 ports)
{
	struct claim claim = {
		.client_seq = ctx->snd_nxt,
		.server_seq = ctx->rcv_nxt,
		.client_tail = get_local_tail(ctx),
		.client_port = ctx->local_port,
	};
	struct socket_state *own;
	__u32 service;

	if (is_refused(sk))
		return;
	if (is_too_short(ctx, &service)) {
		count(COUNT_SHORT_SKIPPED);
		return;
	}
	own = keep_state(ctx, socket, sk, ports);
	if (!own)
		return;
	own->mode = MODE_WAIT;
	own->flags = FLAG_ACTIVE;
	own->service = service;
	own->claim = claim;
	if (bpf_map_update_elem(&claims, &claim, &own->own, BPF_NOEXIST)) {
		count(COUNT_REFUSED_FULL);
		goto forget;
	}
	if (enrol(ctx, own))
		return;
	withdraw(own);
forget:
	own->mode = MODE_GONE; /* the state stays, because the next cookie must be another one */
}

/* Whether an active end is closed, or will be before it looks for its peer. */
static __always_inline bool is_withdrawn(const struct end *active)
{
	struct socket_state *its = find_state(active);
	__u32 flags = FLAG_WITHDRAWN;

	if (its)
		bpf_probe_read_kernel(&flags, sizeof(flags), &its->flags);
	return flags & FLAG_WITHDRAWN;
}

/*
 * Whether the active end has sent something before it found its peer. That comes by TCP to a socket
 * that is enrolled by then, like the first bytes at a listener that defers, and misleads those who
 * believe FIONREAD in the same way.
 */
static __always_inline bool has_sent_before(const struct end *active)
{
	if (is_fionread_right() || !GET(active, sent))
		return false;
	count(COUNT_REFUSED_DEFERRED);
	return true;
}

static __always_inline void enrol_passive(struct bpf_sock_ops *ctx, struct bpf_sock *socket,
					  struct sock *sk, __u32 ports)
{
	struct claim claim = {
		.client_seq = ctx->rcv_nxt,
		.server_seq = ctx->snd_nxt,
		.client_tail = get_remote_tail(ctx),
		.client_port = get_remote_port(ctx),
	};
	struct end *found = bpf_map_lookup_elem(&claims, &claim);
	struct socket_state *own;
	struct end active;

	if (!found) {
		count(COUNT_REMOTE_SKIPPED);
		return;
	}
	active = *found;
	/* somebody else, or the active end itself, was first */
	if (bpf_map_delete_elem(&claims, &claim))
		return;
	if (is_refused(sk) || is_deferred(ctx)) {
		/*
		 * Nobody will feed the active end, and at most it is in a send, so its next ACK
		 * restores its settings.
		 */
		bpf_map_delete_elem(&sockets, &active.cookie);
		return;
	}
	own = keep_state(ctx, socket, sk, ports);
	if (!own)
		return;
	own->mode = MODE_SPILL;
	own->peer = active;
#ifdef PUBLISH_LOOPS /* a test build: gives the active end time to close */
	bpf_loop(PUBLISH_LOOPS, pass_time, 0, 0);
#endif
	/*
	 * The active end must know who feeds it before it is fed; otherwise it would take itself
	 * out of the map with bytes unread.
	 */
	if (bpf_map_update_elem(&peers, &active.cookie, &own->own, BPF_NOEXIST)) {
		count(COUNT_REFUSED_FULL);
		goto forget;
	}
	full_barrier(); /* first publish, then look */
	if (is_withdrawn(&active)) {
		count(COUNT_UNPAIRED);
	} else if (has_sent_before(&active)) {
		/*
		 * Nobody feeds the active end. It is in a send, or asleep in a recv() after which
		 * its next ACK restores its settings.
		 */
		bpf_map_delete_elem(&sockets, &active.cookie);
	} else if (enrol(ctx, own)) {
		count(COUNT_PAIRS);
		count_enrolled(own);
		return;
	}
	bpf_map_delete_elem(&peers, &active.cookie);
forget:
	own->mode = MODE_GONE; /* the state stays, because the next cookie must be another one */
}

static __always_inline void on_established(struct bpf_sock_ops *ctx, bool is_active)
{
	struct sock *sk = BPF_CORE_READ((struct bpf_sock_ops_kern *)ctx, sk);
	struct bpf_sock *socket = ctx->sk;
	__u32 ports;

	/*
	 * The end of the old connection, and connect(), may have come while nothing was attached.
	 */
	end_old_connection(ctx);
	if (!socket || get_knob(KNOB_DRAIN))
		return;
	if (is_active && !is_noted(ctx)) {
		count(COUNT_REMOTE_SKIPPED);
		return;
	}
	ports = ask_policy(ctx, is_active);
	if (!ports) {
		count(COUNT_POLICY_SKIPPED);
		return;
	}
	if (is_active)
		enrol_active(ctx, socket, sk, ports);
	else
		enrol_passive(ctx, socket, sk, ports);
}

/*
 * Forgets the feed of a socket that closes, also of one that an earlier generation has enrolled.
 * After a reset its bytes stay readable, and no later event tells when they were read, so the
 * socket moves to `past`, where the oldest entries make room.
 */
static __always_inline void close_feed(struct bpf_sock_ops *ctx)
{
	__u64 cookie = bpf_get_socket_cookie(ctx), redirected = FEED_REDIRECTED;
	struct end end = { cookie, (__u64)BPF_CORE_READ((struct bpf_sock_ops_kern *)ctx, sk) };
	struct sk_psock *psock;

	if (!get_feed(&feeds, cookie))
		return;
	psock = get_psock(&end);
	if (psock && has_redirected_bytes(psock))
		bpf_map_update_elem(&past, &cookie, &redirected, BPF_ANY);
	forget_feed(cookie);
}

static __always_inline void on_state(struct bpf_sock_ops *ctx)
{
	struct socket_state *own = get_state(ctx);
	__u32 state = ctx->args[1];

	/* no pointer into the context: the verifier refuses one that was added to */
	barrier_var(state);
	if (state == TCP_CLOSE) {
		/* Whoever claims the feed of this socket reads `layout` afterwards. */
		if (own)
			own->layout = 0;
		full_barrier();
		close_feed(ctx);
	}
	if (!own)
		return;
	if (own->timer)
		restore_timer(ctx, own);
	if (state == TCP_FIN_WAIT1)
		leave_when_shut(ctx, own);
	if (state != TCP_CLOSE)
		return;
	flush_counts(own);
	count_released(own);
	learn_length(own);
	withdraw(own);
	/*
	 * After a reset, and after an orderly end, bytes must stay readable, whatever the old state
	 * was; after connect(AF_UNSPEC) they must not. If the kernel does not count the latter, the
	 * bytes go when the socket connects or listens.
	 */
	if (get_disconnects(own) != own->disconnects)
		leave_at_once(ctx, own);
}

static __always_inline void on_rtt(struct bpf_sock_ops *ctx)
{
	struct socket_state *own;

	if (!is_with_application(ctx))
		return; /* the application has closed it, and the kernel takes it out */
	own = get_state(ctx);
	if (!own || own->mode == MODE_GONE)
		return;
	if ((ctx->bpf_sock_ops_cb_flags & OUR_CALLBACKS) != OUR_CALLBACKS) {
		bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | OUR_CALLBACKS);
		count(COUNT_REARMED);
	}
	set_timer(ctx, own);
	leave_map(ctx, own);
}

static __always_inline void on_retransmission(struct bpf_sock_ops *ctx)
{
	struct socket_state *own = get_state(ctx);

	if (own)
		set_timer(ctx, own);
}

SEC("sockops")
int track_sockets(void *context)
{
	struct bpf_sock_ops *ctx = context;

	switch (ctx->op) {
	case BPF_SOCK_OPS_RWND_INIT:
		if (!ctx->is_fullsock) /* a connection request at a listener */
			note_client(ctx);
		break;
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
	case BPF_SOCK_OPS_TCP_LISTEN_CB:
		end_old_connection(ctx);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		on_established(ctx, true);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		on_established(ctx, false);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		on_state(ctx);
		break;
	case BPF_SOCK_OPS_RTT_CB:
		on_rtt(ctx);
		break;
	case BPF_SOCK_OPS_RETRANS_CB:
		on_retransmission(ctx);
		break;
	}
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
