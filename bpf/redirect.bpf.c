// SPDX-License-Identifier: GPL-2.0
// Long: a program is one file, and this one makes every decision about a message.
/*
 * sk_msg: redirects each message of an enrolled socket into the peer's receive queue, or lets it go
 * by TCP. The verdict is always SK_PASS: any other one, also that of a redirect that failed, would
 * make send() fail.
 */
#include "drained.h"
#include "tap.h"

#define SOCK_RCVBUF_LOCK 2
#define MEMCG_FLAGS 7ULL /* in the low bits of sk_memcg, on newer kernels */
#define MAX_CGROUPS 8 /* how many parents of a cgroup are read, including itself */

#define SK_FORCE_REUSE 2

/* The states in which a socket sends, and those in which it is sent to, as bits. */
#define SENDING (1 << TCP_ESTABLISHED | 1 << TCP_CLOSE_WAIT)
#define RECEIVING \
	(1 << TCP_ESTABLISHED | 1 << TCP_SYN_RECV | 1 << TCP_FIN_WAIT1 | 1 << TCP_FIN_WAIT2)

enum { TCP_ESTABLISHED = 1, TCP_SYN_RECV = 3, TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_CLOSE_WAIT = 8 };

NOINLINE void enter(struct socket_state *own, __u32 mode)
{
	if (mode == MODE_SPILL) {
		own->spilled = 0;
		own->spilled_messages = 0;
		count(COUNT_SPILLS);
	} else if (mode == MODE_LEAVE) {
		count(COUNT_LEAVES);
	}
	flush_counts(own);
	own->refreshed = bpf_jiffies64();
	own->refreshed_ns = bpf_ktime_get_ns();
	own->mode = mode;
	own->turn = MODE_WAIT;
}

static __always_inline void enter_for(struct socket_state *own, __u32 mode, enum why why)
{
	own->why = why;
	enter(own, mode);
}

static __always_inline enum mode change_for(struct socket_state *own, enum mode mode, enum why why)
{
	own->why = why;
	return mode;
}

/* In MODE_BYPASS: leaves when that is safe, see turn_when_safe(). */
static __always_inline void leave_for(struct socket_state *own, enum why why)
{
	own->why = why;
	own->turn = MODE_LEAVE;
}

NOINLINE void count_tcp_message(struct socket_state *own, __u32 size)
{
	__u32 why = own->why;
	__u64 *messages = bpf_map_lookup_elem(&tcp_reasons, &why);

	if (messages)
		__sync_fetch_and_add(messages, 1);
	count(COUNT_TCP_MESSAGES);
	own->tcp_messages++;
	own->tcp_bytes += size;
	if (own->tcp_messages >= LOOK_MESSAGES || own->tcp_bytes >= LOOK_BYTES)
		flush_counts(own);
}

static __always_inline void note_sender(struct socket_state *own)
{
	__u32 thread = bpf_get_current_pid_tgid();

	if (own->sender == thread)
		return;
	if (own->sender)
		own->flags |= FLAG_SENDERS | FLAG_SENDERS_NOW;
	own->sender = thread;
}

/*
 * A thread that has not sent for this long is inside no send, because one that sleeps in a send is
 * seen like any other sleeper.
 */
static __always_inline void age_senders(struct socket_state *own)
{
	if (bpf_jiffies64() - own->aged <= REFRESH_JIFFIES)
		return;
	own->aged = bpf_jiffies64();
	if (!(own->flags & FLAG_SENDERS_NOW))
		own->flags &= ~FLAG_SENDERS;
	own->flags &= ~FLAG_SENDERS_NOW;
}

/*
 * In MODE_WAIT the passive end is about to publish itself. An active end that waits in vain must
 * first make sure that nobody will publish any more.
 */
NOINLINE void find_peer(struct socket_state *own)
{
	own->why = WHY_PEER_UNKNOWN;
	full_barrier(); /* `sent` must be written first: has_sent_before() reads it */
	if (take_published_peer(own)) {
		enter(own, MODE_SPILL);
		return;
	}
	if (own->sent == ALONE_MESSAGES) {
		struct claim claim = own->claim;

		if (!bpf_map_delete_elem(&claims, &claim)) {
			count(COUNT_UNPAIRED);
			enter(own, MODE_LEAVE);
		}
		own->refreshed = bpf_jiffies64();
		return;
	}
	/*
	 * The claim was taken, or pushed out of the LRU, and nobody has published since. A passive
	 * end publishes itself before it enrols, so there is none.
	 */
	if (own->sent > ALONE_MESSAGES && bpf_jiffies64() - own->refreshed > REFRESH_JIFFIES) {
		count(COUNT_UNPAIRED);
		enter(own, MODE_LEAVE);
	}
}

/* The field is an unsigned long or a u64, depending on the kernel, and is in jiffies. */
static __always_inline __u64 get_pressure_end(struct mem_cgroup *group)
{
	__u64 end = 0;

	BPF_CORE_READ_INTO(&end, group, socket_pressure);
	return end;
}

/*
 * Redirected bytes are charged to the reader's memory cgroup at once. If that has no room, send()
 * fails with ENOMEM (or, in v2, a process is killed), whereas TCP makes the sender wait. The limit
 * of v1 is one for TCP alone. In v2 a cgroup full of page cache has room all the same, so a reader
 * that is not far behind is fed until the kernel itself reports pressure.
 */
NOINLINE bool is_cgroup_short(const struct end *reader, bool is_behind)
{
	struct page_counter *counter;
	struct mem_cgroup *group;
	struct sock *sk = (struct sock *)reader->sock;
	__u64 memcg = 0;
	bool is_v1;

	if (!bpf_core_field_exists(sk->sk_memcg))
		return false;
	/*
	 * LOAD() would not do: the verifier would take the value for a pointer, of which no bit may
	 * be cleared.
	 */
	BPF_CORE_READ_INTO(&memcg, sk, sk_memcg);
	memcg &= ~MEMCG_FLAGS;
	if (!memcg)
		return false;
	group = (struct mem_cgroup *)memcg;
	counter = (void *)group + bpf_core_field_offset(struct mem_cgroup, memory);
	is_v1 = bpf_core_field_exists(group->tcpmem_active) &&
		LOAD(struct mem_cgroup, group, tcpmem_active);
	if (is_v1)
		counter = (void *)group + bpf_core_field_offset(struct mem_cgroup, tcpmem);
	for (int i = 0; i < MAX_CGROUPS && counter; i++) {
		unsigned long most = LOAD(struct page_counter, counter, max);
		long used = LOAD(struct page_counter, counter, usage.counter);

		if ((is_v1 || is_behind) && used > (long)(most - most / 4))
			return true;
		group = (void *)counter - bpf_core_field_offset(struct mem_cgroup, memory);
		if (!is_v1 && bpf_core_field_exists(group->socket_pressure) &&
		    get_pressure_end(group) > bpf_jiffies64())
			return true;
		counter = LOAD(struct page_counter, counter, parent);
	}
	return false;
}

static __always_inline bool is_memory_short(const struct socket_state *own, bool is_behind)
{
	struct proto *proto = LOAD(struct sock, own->own.sock, __sk_common.skc_prot);
	unsigned long pressure = 0;

	/*
	 * The pointer is read by way of the socket because a kernel without CONFIG_KALLSYMS_ALL
	 * hides the address of tcp_memory_pressure.
	 */
	bpf_probe_read_kernel(&pressure, sizeof(pressure),
			      LOAD(struct proto, proto, memory_pressure));
	return pressure || is_cgroup_short(&own->peer, is_behind);
}

/* The sender's write_seq, which every message needs, so it must cost no more than a load. */
static __always_inline __u32 get_written(struct bpf_sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	return tp ? tp->write_seq : 0;
}

/*
 * A single reader of an adopted socket may have been anywhere inside a call of plain TCP. Once it
 * has taken bytes that were sent later, it has left that call or is seen asleep. If there are
 * several readers, one may still be on its way into such a call, so some time must pass.
 */
static __always_inline bool is_too_early(const struct socket_state *own)
{
	return own->sent == 1 || bpf_jiffies64() - own->refreshed < ADOPT_JIFFIES;
}

/*
 * An option of either end, be it for sending or for reading, stops both directions, because such
 * connections are rare.
 */
NOINLINE bool is_kept_by_options(struct socket_state *own)
{
	if (!needs_tcp(own->own.sock) && !needs_tcp(own->peer.sock))
		return false;
	if (!(own->flags & FLAG_OPTIONS))
		count(COUNT_REFUSED_OPTIONS);
	own->flags |= FLAG_OPTIONS;
	return true;
}

static __always_inline void note_look(struct socket_state *own)
{
	__u64 seconds = get_knob(KNOB_REFRESH);

	own->look_messages = own->messages;
	own->look_bytes = own->bytes;
	own->looked = bpf_jiffies64();
	own->patience = (seconds ? seconds * LEAST_HZ : REFRESH_JIFFIES) / REFRESH_LOOKS;
}

/*
 * Whether the reader may stop with TCP bytes unread, because it waits for edges and FIONREAD tells
 * it that there is nothing. What could as well be redirected to such a reader does not go by TCP.
 */
static __always_inline bool may_miss_bytes(const struct socket_state *own)
{
	return leaves_out_tcp() && may_be_read_by_edges(&own->peer);
}

#ifdef CHECK_LOOPS /* a test build: gives the reader time to become another kind */
#define pause_between_checks() bpf_loop(CHECK_LOOPS, pass_time, 0, 0)
#else
#define pause_between_checks()
#endif

/*
 * The same, or the reader may become such a one: it never blocks and nothing waits for it yet,
 * perhaps just before its epoll_ctl(). A socket is first not accepted, then accepted, then waited
 * for, and the checks have the same order: one that moves on between two checks is caught by the
 * next.
 */
NOINLINE bool may_come_to_miss_bytes(const struct socket_state *own)
{
	struct sock *sk = (struct sock *)own->peer.sock;
	struct socket *socket;

	if (!leaves_out_tcp())
		return false;
	if (!LOAD(struct sock, sk, sk_wq))
		return true;
	pause_between_checks();
	if (is_unattended(&own->peer)) {
		socket = LOAD(struct sock, sk, sk_socket);
		/* accept() sets sk_wq before sk_socket */
		if (!socket || never_blocks(LOAD(struct socket, socket, file)))
			return true;
	}
	pause_between_checks();
	return may_be_read_by_edges(&own->peer);
}

/*
 * While a splice guard is attached, the first message goes by TCP, so that a reader that splices
 * from the first byte on does so before anything is redirected to it. A reader that begins to
 * splice later must cope with a refused splice.
 */
static __always_inline bool is_too_early_for_splice(const struct socket_state *own)
{
#ifndef GUARD_ALWAYS /* a test build acts as if a splice guard were attached */
	if (!get_feed(&feeds, GUARDED))
		return false;
#endif
	return own->sent == 1 && !may_come_to_miss_bytes(own);
}

/*
 * Decides what the reader is from here on. An adopted socket may have been spliced from before it
 * was enrolled, so `splicers` decides first.
 */
NOINLINE __u64 claim_reader(const struct socket_state *own)
{
	__u64 cookie = own->peer.cookie & COOKIE_MASK, feed, kept;

	if ((own->flags & FLAG_ADOPTED) && get_feed(&splicers, own->peer.sock))
		return FEED_SPLICED;
	feed = claim_feed(cookie, FEED_REDIRECTED);
	if (!feed)
		count(COUNT_REFUSED_FULL);
	if (feed != FEED_REDIRECTED)
		return feed;
	full_barrier();
	kept = get_feed(&past, cookie);
	if (is_kept(kept)) {
		forget_feed(cookie);
		return kept;
	}
	if (GET(&own->peer, layout))
		return FEED_REDIRECTED;
	forget_feed(cookie); /* the reader has closed meanwhile */
	return FEED_NONE;
}

struct holder { /* who holds a reader's lock */
	__u64 sock;
	__u64 state; /* address of the state of that end; 0: unknown */
	__u64 is_near;
};

/*
 * Whether a redirect would wait only briefly: nobody holds the lock, or its holder is in this very
 * program and about to release it.
 */
static long look_at_lock(__u32 unused, struct holder *holder)
{
	const struct socket_state *its = (void *)holder->state;
	__u32 is_waiting = 0;

	if (LOAD(struct sock, holder->sock, sk_lock.owned) && its)
		bpf_probe_read_kernel(&is_waiting, sizeof(is_waiting), &its->is_waiting);
	holder->is_near = is_waiting || !LOAD(struct sock, holder->sock, sk_lock.owned);
	return holder->is_near;
}

/*
 * A redirect waits for the lock of the reader's socket, even if the holder sleeps inside its call,
 * on a page of FUSE, swap or NFS: a sender that does not block would be held, and could not be
 * killed. A call that only copies is over soon, and streams on two CPUs meet such a call at most of
 * their messages, so a short wait decides; going by TCP each time would cost such a stream all that
 * the bypass gains. If both ends send, each holds its own lock, waits here for the other's, and
 * announces that in `is_waiting`. Only the time from here to lock_sock() in the kernel's redirect
 * remains unguarded.
 */
NOINLINE bool is_lock_held(struct socket_state *own)
{
	struct holder holder = { own->peer.sock, (__u64)find_state(&own->peer), false };
	__u32 was_waiting = own->is_waiting;

	own->is_waiting = 1;
	full_barrier(); /* the other end must see it before we look */
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop)) /* Linux 5.17 */
		bpf_loop(LOCK_LOOKS, look_at_lock, &holder, 0);
	else
		look_at_lock(0, &holder);
	own->is_waiting = was_waiting;
	return !holder.is_near;
}

/*
 * Whether the passive end is still on its way into the map although its active end has already
 * found it.
 */
static __always_inline bool is_being_enrolled(const struct end *reader)
{
	__u8 state = LOAD(struct sock, reader->sock, __sk_common.skc_state);

	return is_same_socket(reader) && (1 << state) & RECEIVING && !get_psock(reader) &&
	       (__u16)GET(reader, mode) != MODE_GONE;
}

static long look_at_enrolment(__u32 unused, const struct end *reader)
{
	return !is_being_enrolled(reader);
}

static __always_inline bool has_unread_by_tcp(const struct socket_state *own)
{
	return LOAD(struct tcp_sock, own->own.sock, write_seq) !=
	       LOAD(struct tcp_sock, own->peer.sock, copied_seq);
}

/*
 * Nothing should go by TCP to a reader that may stop with it unread, and what keeps the bypass from
 * that reader is often over at once: it is in accept(), or on another CPU in the send that this
 * message answers, or it is just being enrolled. True if another look may succeed.
 */
VERIFIED_ONCE int await_reader(struct socket_state *own)
{
	struct end reader;

	if (!own)
		return false;
	reader = own->peer;
	if (has_unread_by_tcp(own))
		return false;
	if (is_length_changed((struct tcp_sock *)own->own.sock, (struct tcp_sock *)reader.sock) ||
	    !may_come_to_miss_bytes(own))
		return false;
	if (own->sent == 1 && own->flags & FLAG_ACTIVE && is_being_enrolled(&reader) &&
	    bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop))
		bpf_loop(LOCK_LOOKS, look_at_enrolment, &reader, 0);
	if (!get_psock(&reader))
		return false;
	if (!is_owned(&reader) || !is_lock_held(own))
		return true;
	own->strikes += LOCK_STRIKES;
	return false;
}

/*
 * `is_waiting` is set for all the time that this end waits here, so that its peer does not wait for
 * it.
 */
VERIFIED_ONCE int look_until_drained(struct socket_state *own)
{
	enum drained drained;
	__u64 start;

	if (!own)
		return NOT_DRAINED;
	drained = look_whether_drained(own);
	if (drained != NOT_DRAINED)
		return drained;
	start = bpf_ktime_get_ns();
	own->is_waiting = 1;
	for (int i = 0; i < FURTHER_LOOKS && drained == NOT_DRAINED && await_reader(own); i++) {
		drained = look_whether_drained(own);
		if (bpf_ktime_get_ns() - start > FURTHER_LOOKS_NS)
			break;
	}
	own->is_waiting = 0;
	return drained;
}

/* Notes if nothing may be redirected to the reader any more; true in that case. */
static __always_inline bool note_kept(struct socket_state *own, __u64 feed)
{
	if (!is_kept(feed))
		return false;
	own->flags |= feed == FEED_SPLICED ? FLAG_SPLICED : FLAG_WAITED;
	leave_for(own, feed == FEED_SPLICED ? WHY_READER_SPLICES : WHY_READER_WAITALL);
	return true;
}

NOINLINE void return_when_drained(struct bpf_sock *sk, struct socket_state *own, __u32 size)
{
	enum drained drained;
	__u64 feed;

	own->why = WHY_FIRST_MESSAGE;
	if ((own->flags & FLAG_ADOPTED) && is_too_early(own))
		return;
	own->spilled += size;
	own->spilled_messages++;
	if (is_spill_long(own)) {
		enter_for(own, MODE_LEAVE, WHY_MUCH_BY_TCP);
		return;
	}
	age_senders(own);
	if (own->largest && size > own->largest) {
		own->why = WHY_READER_BEHIND; /* the next look would send it back to TCP */
		return;
	}
	if (is_too_early_for_splice(own))
		return;
	drained = look_until_drained(own);
	if (own->strikes >= STRIKES) {
		own->flags |= FLAG_LOCKED;
		enter_for(own, MODE_LEAVE, WHY_READER_LOCKED);
		return;
	}
	if (drained == UNSURE && !is_doubt_old(own)) {
		own->flags |= FLAG_DOUBTFUL;
		own->why = WHY_READER_SHARED;
		count(COUNT_DOUBTFUL_MESSAGES);
		return;
	}
	if (drained == NOT_DRAINED) {
		own->why = has_unread_by_tcp(own) ? WHY_TCP_UNREAD : WHY_READER_BUSY;
		return;
	}
	own->why = WHY_MEMORY;
	if (is_memory_short(own, false))
		return;
	if (is_kept_by_options(own)) {
		enter_for(own, MODE_LEAVE, WHY_OPTIONS);
		return;
	}
	own->why = WHY_OTHER;
	feed = claim_reader(own);
	if (note_kept(own, feed))
		enter(own, MODE_LEAVE);
	if (feed != FEED_REDIRECTED)
		return;
	own->flags &= ~(FLAG_ADOPTED | FLAG_DOUBTFUL);
	count(COUNT_RETURNS);
	enter(own, MODE_BYPASS);
	own->written = get_written(sk);
	own->returned = own->messages;
	note_look(own);
	own->queued = 0;
	own->limit = 0;
	own->empty_bytes = own->bytes;
	own->doubts = 0;
}

/*
 * Whether more bytes would wait than the last look allowed. The length of the queue is read for
 * every message only if that costs no more than two loads; elsewhere everything sent since the last
 * look counts as unread.
 */
static __always_inline bool is_queue_long(const struct socket_state *own, __u32 size)
{
	__u64 psock;

	if (!CAN_CAST || !bpf_core_field_exists(((struct sk_psock *)0)->msg_tot_len))
		return own->queued + own->bytes + size - own->look_bytes > own->limit;
	psock = (__u64)LOAD(struct sock, own->peer.sock, sk_user_data) & ~USER_DATA_FLAGS;
	return LOAD(struct sk_psock, psock, msg_tot_len) + size > own->limit;
}

static __always_inline bool is_look_due(const struct socket_state *own, __u32 size)
{
	__u64 messages = own->messages - own->look_messages;

	return messages >= LOOK_MESSAGES || own->bytes + size - own->look_bytes >= LOOK_BYTES ||
	       own->messages == LOOK_FIRST || is_queue_long(own, size) ||
	       bpf_jiffies64() - own->looked > own->patience;
}

/* Whether conntrack or a firewall should see a message of this direction again. */
static __always_inline bool is_refresh_due(const struct socket_state *own)
{
	__u64 seconds = get_knob(KNOB_REFRESH);

	if (!seconds)
		return bpf_jiffies64() - own->refreshed > REFRESH_JIFFIES;
	return bpf_ktime_get_ns() - own->refreshed_ns > seconds * 1000000000;
}

/*
 * Whether this end has sent without a pause since the last look and heard nothing. The reader of
 * such a stream sleeps and is woken for each message, while TCP puts many small ones into one
 * packet.
 */
static __always_inline bool is_one_way(struct socket_state *own, __u64 messages)
{
	__u32 heard = GET(&own->peer, sent), heard_before = own->heard;
	__u64 now = bpf_ktime_get_ns(), before = own->look_time;

	own->heard = heard;
	own->look_time = now;
	return heard == heard_before && now - before < messages * BUSY_NS;
}

/*
 * How many redirected bytes the reader's buffer has room for beside what TCP may still send.
 * Waiting bytes count in sk_rmem_alloc; if they leave no room, TCP drops bytes that its window had
 * allowed, and the sender retries only when its timer says so, which backs off for as long as the
 * reader pauses. A buffer whose size nobody has set grows up to tcp_rmem[2] (tcp_clamp_window()).
 */
static __always_inline __u64 get_room(const struct end *reader)
{
	struct sock *sk = (struct sock *)reader->sock;
	__u64 buffer = LOAD(struct sock, sk, sk_rcvbuf), window;

	window = LOAD(struct tcp_sock, sk, rcv_wnd);
	if (!(BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SOCK_RCVBUF_LOCK)) {
		struct net *net = LOAD(struct sock, sk, __sk_common.skc_net.net);
		__u64 most = (__u32)LOAD(struct net, net, ipv4.sysctl_tcp_rmem[2]);

		if (buffer < most)
			buffer = most;
	}
	window += buffer / 4; /* what the kernel keeps beside the bytes of a segment */
	return buffer > window ? buffer - window : 0;
}

/* In MODE_BYPASS: checks how well the reader keeps up and decides what follows. */
NOINLINE void look_at_reader(struct socket_state *own, __u32 size)
{
	__u64 since = own->bytes - own->look_bytes, messages = own->messages - own->look_messages;
	__u64 queued, held, room, mean = 1, most = get_knob(KNOB_QUEUE_BYTES), limit;
	struct tcp_sock *reader = (struct tcp_sock *)own->peer.sock;
	struct sk_psock *psock = get_psock(&own->peer);
	__u32 rcvbuf = LOAD(struct sock, own->peer.sock, sk_rcvbuf);

	if (!psock || !is_same_socket(&own->peer)) {
		enter_for(own, MODE_LEAVE, WHY_PEER_GONE);
		return;
	}
	/*
	 * Checks for TCP_REPAIR on kernels where look_at_socket() does not do so for every message.
	 */
	if (!CAN_CAST && BPF_CORE_READ_BITFIELD_PROBED(reader, repair)) {
		enter_for(own, MODE_SPILL, WHY_OTHER);
		return;
	}
	if (bpf_core_field_exists(psock->msg_tot_len)) {
		queued = LOAD(struct sk_psock, psock, msg_tot_len);
	} else {
		if (!has_redirected_bytes(psock))
			own->empty_bytes = own->bytes;
		queued = own->bytes - own->empty_bytes;
	}
	flush_counts(own);
	age_senders(own);
	note_look(own);
	own->queued = queued;

	if (own->turn != MODE_LEAVE && is_kept_by_options(own)) /* an option was set since */
		leave_for(own, WHY_OPTIONS);
	if (own->turn != MODE_LEAVE) /* its program has begun to splice, or to ask for all bytes */
		note_kept(own, get_feed(&past, own->peer.cookie & COOKIE_MASK));
	if (messages && since / messages <= SMALL_MESSAGE &&
	    ((messages >= ONE_WAY_MESSAGES && is_one_way(own, messages)) || queued)) {
		/* To leave would save time, but a reader that may miss bytes by TCP would hang. */
		own->strikes += may_miss_bytes(own) ? 0 : 2;
		if (own->strikes >= STRIKES)
			leave_for(own, WHY_SMALL_MESSAGES);
	} else if (own->strikes) {
		own->strikes--;
	}

	if (!most)
		most = QUEUE_BYTES;
	if (most < rcvbuf / 2)
		most = rcvbuf / 2;
	if (own->messages)
		mean = own->bytes / own->messages + 1;
	held = queued + queued / mean * MESSAGE_BYTES + size + MESSAGE_BYTES;
	room = get_room(&own->peer);
	limit = most < room ? most : room;
	/*
	 * A reader that waits for edges gets a higher limit: what TCP drops and sends again wakes
	 * it if it has stopped with bytes unread. Before accept() nobody waits, and no memory
	 * cgroup is charged for the bytes that do.
	 */
	if (held > limit && LOAD(struct sock, reader, sk_wq) && may_be_read_by_edges(&own->peer))
		limit = most * EDGE_QUEUES;
	own->limit = limit - limit / (mean + MESSAGE_BYTES) * MESSAGE_BYTES + 1;
	own->largest = limit > MESSAGE_BYTES ? limit - MESSAGE_BYTES : 1;
	if (held > limit || is_memory_short(own, queued + size > 2 * LOOK_BYTES)) {
		if (own->turn != MODE_LEAVE)
			own->why = held > limit ? WHY_READER_BEHIND : WHY_MEMORY;
		enter(own,
		      own->flags & FLAG_LOWAT && own->turn != MODE_LEAVE ? MODE_SPILL : MODE_LEAVE);
	} else if (!own->turn && is_refresh_due(own) && !may_miss_bytes(own)) {
		own->why = WHY_REFRESH;
		own->turn = MODE_SPILL;
	}
}

/*
 * In MODE_BYPASS: a change to TCP waits until a reader by edge-triggered epoll has taken everything
 * that was redirected, unless its queue is too long. Otherwise a reader that takes a short read for
 * the end, as epoll(7) allows and nginx, Netty and Tokio do, stops between the last redirected byte
 * and the first TCP byte, and nothing wakes it. A reader that has taken nothing yet may become such
 * a reader. In the first second of a drain every direction waits, because that costs nothing.
 */
NOINLINE void turn_when_safe(struct socket_state *own, bool is_drain)
{
	struct sk_psock *psock = get_psock(&own->peer);

	if (psock && is_same_socket(&own->peer) && has_redirected_bytes(psock) &&
	    (is_drain || own->queued >= own->bytes || may_be_read_by_edges(&own->peer)))
		return;
	enter(own, own->turn);
}

/*
 * A reader that holds its lock on purpose costs its sender the wait each time, so this soon gives
 * up.
 */
static __always_inline enum mode give_up_lock(struct socket_state *own)
{
	own->strikes += LOCK_STRIKES;
	if (own->strikes < STRIKES)
		return change_for(own, MODE_SPILL, WHY_READER_LOCKED);
	own->flags |= FLAG_LOCKED;
	return change_for(own, MODE_LEAVE, WHY_READER_LOCKED);
}

/*
 * In MODE_BYPASS: checks the reader for every message and gives the mode that follows. Unlike TCP,
 * a redirect reads neither the reader's state nor what became of the connection: after
 * connect(AF_UNSPEC) the socket may have another one.
 */
static __always_inline enum mode look_at_socket(struct socket_state *own)
{
	const struct end *reader = &own->peer;
	__u8 state = LOAD(struct sock, reader->sock, __sk_common.skc_state);
	__u8 shutdown = LOAD(struct sock, reader->sock, sk_shutdown);
	struct sock *sk;

	if (!is_same_socket(reader) || !((1 << state) & RECEIVING))
		return change_for(own, MODE_LEAVE, WHY_PEER_GONE);
	/*
	 * Either TCP resets the connection at the next byte, or leave_when_shut() has run, whose
	 * shutdown becomes visible before the state does.
	 */
	if (shutdown && (shutdown & RCV_SHUTDOWN || GET(reader, flags) & FLAG_SHUT))
		return change_for(own, MODE_LEAVE, WHY_PEER_GONE);
	if (LOAD(struct sock, reader->sock, sk_lock.owned) && is_lock_held(own))
		return give_up_lock(own);
	if (!CAN_CAST)
		return MODE_BYPASS; /* the rest would cost more, so each look does it */
	if (!get_psock(reader))
		return change_for(own, MODE_LEAVE, WHY_PEER_GONE); /* or send() would fail */
	/*
	 * TCP_REPAIR: the socket is being dumped, and what came between dump and close would be
	 * lost.
	 */
	sk = CAST(struct sock, reader->sock);
	if (BPF_CORE_READ_BITFIELD(sk, __sk_common.skc_reuse) == SK_FORCE_REUSE)
		return change_for(own, MODE_SPILL, WHY_OTHER);
	return MODE_BYPASS;
}

#ifdef PAUSE_BYTES /* a test build: a message of this size gives all others time */
static __always_inline void pause_before_redirect(const struct sk_msg_md *msg)
{
	if (msg->size == PAUSE_BYTES)
		bpf_loop(PAUSE_LOOPS, pass_time, 0, 0);
}
#else
#define pause_before_redirect(msg)
#endif

/* True if the message is redirected; otherwise it goes by TCP. */
static __always_inline bool is_redirected(struct sk_msg_md *msg, struct bpf_sock *sk,
					  struct socket_state *own)
{
	__u64 drain;

	if (own->mode >= MODE_LEAVE || !((1 << sk->state) & SENDING))
		return false;

	own->sent++;
	note_sender(own);
	/* before a drain: a socket that leaves must know who feeds it */
	if (own->mode == MODE_WAIT)
		find_peer(own);
	drain = get_knob(KNOB_DRAIN);
	if (drain && own->turn != MODE_LEAVE) {
		count(COUNT_DRAINED);
		leave_for(own, WHY_DRAIN);
	}
	if (drain && (drain != DRAIN_GENTLY || own->mode != MODE_BYPASS)) {
		enter_for(own, MODE_LEAVE, WHY_DRAIN);
		count_tcp_message(own, msg->size);
		return false;
	}
	/* A thread that was inside a send when the socket was enrolled has sent bytes unseen. */
	if (own->mode == MODE_BYPASS && get_written(sk) != own->written)
		enter_for(own, MODE_SPILL, WHY_OTHER);
	if (own->mode == MODE_SPILL)
		return_when_drained(sk, own, msg->size);
	if (own->mode == MODE_BYPASS && is_look_due(own, msg->size))
		look_at_reader(own, msg->size);
	if (own->mode == MODE_BYPASS && own->turn)
		turn_when_safe(own, drain);
	if (own->mode == MODE_BYPASS) {
		enum mode next = look_at_socket(own);

		if (next != MODE_BYPASS)
			enter(own, next);
	}
	if (own->mode != MODE_BYPASS) {
		count_tcp_message(own, msg->size);
		return false;
	}

	pause_before_redirect(msg);
	if (bpf_msg_redirect_hash(msg, &sockets, &own->peer.cookie, BPF_F_INGRESS) != SK_PASS) {
		count(COUNT_REDIRECT_FAILED);
		enter_for(own, MODE_LEAVE, WHY_OTHER);
		count_tcp_message(own, msg->size);
		return false;
	}
	own->messages++;
	own->bytes += msg->size;
	return true;
}

SEC("sk_msg")
int redirect_msg(void *context)
{
	struct sk_msg_md *msg = context;
	struct bpf_sock *sk = msg->sk;
	struct socket_state *own;
	__u32 flags;

	if (!sk)
		return SK_PASS;
	own = bpf_sk_storage_get(&state, sk, 0, 0);
	if (!own)
		return SK_PASS;
	flags = is_redirected(msg, sk, own) ? TAP_BYPASS : 0;
	if (get_knob(KNOB_TAP))
		show(msg, own, flags);
	return SK_PASS;
}

char LICENSE[] SEC("license") = "GPL";
