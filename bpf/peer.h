/* SPDX-License-Identifier: GPL-2.0 */
/* Long: who holds a socket while it is looked at is told once, for all looks at it. */
/*
 * Looking at either end of a connection by its address. Every address is read with
 * bpf_probe_read_kernel(), which returns an error where nothing is mapped; TCP sockets are recycled
 * only as TCP sockets (SLAB_TYPESAFE_BY_RCU), and the cookie says whether it is still the same one.
 * A stale or failed read must only ever lead to TCP.
 *
 * Who holds what while it is in a call on a socket that is enrolled, or was enrolled after the call
 * began:
 *
 *	call                                   psock   file   wait queue of the socket
 *	tcp_bpf_recvmsg(), awake or asleep       1      1*    asleep: woken_wake_function
 *	tcp_recvmsg(), from before its lock      -      1*    asleep: woken_wake_function
 *	splice(2) from it                        -      1*    asleep: woken_wake_function
 *	tcp_bpf_sendmsg(), sendfile(2) to it     1      1*    asleep: woken_wake_function
 *	tcp_sendmsg() begun before, connect()    -      1*    asleep: woken_wake_function
 *	a redirect to it, by its peer            1      -     -
 *	poll(2), select(2)                       -      1     pollwake
 *	epoll                                    -      -     ep_poll_callback
 *	a request of io_uring that waits         -      1**   io_poll_wake
 *	a worker of io_uring in a call           as the call, but for the file: the request's own
 *	whoever waits for the socket's lock      as before it did; sk_lock.owned is 1
 *	-- and without any call --
 *	the map                                  1      -     -
 *	a descriptor, one in flight, a file that
 *	io_uring has registered                  -      1     -
 *
 *	*  only where threads share their descriptors (files_struct.count > 1); else the thread is
 *	   the only one of its process, so it has a descriptor that no other call uses
 *	** none for a registered file
 *
 * From this follow
 *
 * - how many calls there may be: a reference to the file for each, or a descriptor; where a sleeper
 *   is seen whose descriptors are shared, one of the references at least is a descriptor without a
 *   call (count_hidden_calls());
 * - which of them are in the bypass: as many as hold the psock, less a redirect (which only a
 *   second thread of the peer can be in while the peer asks). If all calls are, none can come to
 *   sleep in plain tcp_recvmsg(), where redirected bytes neither wake nor reach it
 *   (look_once_whether_drained());
 * - that a call without any trace is on its way there only when another one took the last byte by
 *   TCP since it looked: so not where only one call is possible, nor where none ever sleeps
 *   (O_NONBLOCK), nor some time after the last byte. What is asleep can be seen, and has to hold
 *   the psock;
 * - at most how many calls sleep: as many as are in the queue. Those that hold the psock beyond
 *   that number are awake (count_calls()); a sleeper without the psock hides one, so who relies on
 *   it lets time pass.
 */
#ifndef SOCKET_BYPASS_PEER_H
#define SOCKET_BYPASS_PEER_H

#include "socket_bypass.h"

#define MAX_WAITERS 4
#define MAX_STORAGES 8
#define EPOLLET (1u << 31)
#define O_NONBLOCK 04000 /* x86_64, aarch64 */
#define PF_IO_WORKER 0x10
#define RCV_SHUTDOWN 1
#define REQ_F_FIXED_FILE 1

/* The low bits of sk_user_data are flags: NOCOPY, BPF, PSOCK (include/net/sock.h). */
#define USER_DATA_FLAGS 7ULL

/* The address only; 0 where the loader may not see it (kptr_restrict). */
extern const void woken_wake_function __ksym __weak;
extern const void ep_poll_callback __ksym __weak;
extern const void pollwake __ksym __weak;
extern const void io_poll_wake __ksym __weak;

static __always_inline bool is_same_socket(const struct end *end)
{
	__u64 cookie = LOAD(struct sock, end->sock, __sk_common.skc_cookie.counter);

	return cookie && !((cookie ^ end->cookie) & COOKIE_MASK);
}

/*
 * Sockets whose sk_prot or sk_user_data belong to somebody else, or whose sequence numbers a
 * process chose.
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

/* A bit of skc_flags. */
#define FLAG_OF(flag) (1ULL << bpf_core_enum_value(enum sock_flags, flag))

static __always_inline bool tells_unread(struct tcp_sock *tp)
{
	if (!CAN_CAST)
		return BPF_CORE_READ_BITFIELD_PROBED(tp, recvmsg_inq);
	tp = CAST(struct tcp_sock, tp);
	return BPF_CORE_READ_BITFIELD(tp, recvmsg_inq);
}

/* SO_TIMESTAMPING. A load takes the size of the running kernel's field, a probe has to be told. */
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
 * SO_ATTACH_FILTER. No socket has any of them by default, and one that connect() or accept() made
 * has those of before, or of its listener.
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

/* The psock of an end; 0 when it has left the map and the last call that held it is over. */
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
 * A request of io_uring for one of its registered files: the low bit of the address says which of
 * two entries it is.
 */
static __always_inline bool is_registered(const void *private)
{
	struct io_kiocb *request = (struct io_kiocb *)((__u64) private & ~1ULL);
	__u32 flags = REQ_F_FIXED_FILE;

	if (bpf_core_type_exists(struct io_kiocb))
		BPF_CORE_READ_INTO(&flags, request, flags);
	return flags & REQ_F_FIXED_FILE;
}

/* Who waits for a socket; threads are those of the first two sleepers. */
struct waiters {
	int sleepers; /* in calls on it; -1 when that cannot be known */
	int polls; /* that hold a reference to its file */
	__u32 threads[2];
	/* a sleeper shares its descriptors, so its call holds a reference to the file */
	bool is_shared;
	/* a sleeper is a worker of io_uring, whose call may hold none all the same */
	bool is_worker;
};

static __always_inline void note_sleeper(struct waiters *found, const struct task_struct *task)
{
	int tasks = LOAD(struct files_struct, LOAD(struct task_struct, task, files), count.counter);

	found->threads[found->sleepers > 0] = LOAD(struct task_struct, task, pid);
	found->is_shared |= tasks > 1;
	found->is_worker |= (LOAD(struct task_struct, task, flags) & PF_IO_WORKER) != 0;
	found->sleepers++;
}

/* A sleeper of any kind waits by woken_wake_function; poll and epoll do not. */
NOINLINE void look_at_waiters(const struct end *end, struct waiters *found)
{
	struct sock *sk = (struct sock *)end->sock;
	struct list_head *head, *at = 0;
	struct socket_wq *queue = 0;
	int i;

	__builtin_memset(found, 0, sizeof(*found));
	if (BPF_CORE_READ_INTO(&queue, sk, sk_wq))
		goto unknown;
	if (!queue)
		return; /* not accepted yet */
	head = (void *)queue + bpf_core_field_offset(struct socket_wq, wait) +
	       bpf_core_field_offset(struct wait_queue_head, head);
	if (BPF_CORE_READ_INTO(&at, queue, wait.head.next))
		goto unknown;

	for (i = 0; i < MAX_WAITERS && at != head; i++) {
		struct wait_queue_entry *waiter =
			(void *)at - bpf_core_field_offset(struct wait_queue_entry, entry);
		void *func = 0, *private = 0;

		if (BPF_CORE_READ_INTO(&func, waiter, func) ||
		    BPF_CORE_READ_INTO(&private, waiter, private) || !func)
			goto unknown;
		if (!&woken_wake_function || func == &woken_wake_function)
			note_sleeper(found, private);
		else if (func == &pollwake)
			found->polls++;
		else if (func == &io_poll_wake && !is_registered(private))
			found->polls++;
		if (BPF_CORE_READ_INTO(&at, waiter, entry.next))
			goto unknown;
	}
	if (at == head)
		return;
unknown:
	found->sleepers = -1;
}

/*
 * Whether somebody waits for the socket who hears of each wake-up once, and may not come back for
 * bytes whose wake-up it had before: edge-triggered epoll, and whatever waits in a way that is not
 * known here (a poll of io_uring that stays armed). poll(), select() and level-triggered epoll look
 * again, and who sleeps in a call on the socket looks when it wakes. Also true where that cannot be
 * known, and before accept().
 */
NOINLINE bool may_be_read_by_edges(const struct end *end)
{
	struct sock *sk = (struct sock *)end->sock;
	struct list_head *head, *at = 0;
	struct socket_wq *queue = 0;
	int i;

	if (BPF_CORE_READ_INTO(&queue, sk, sk_wq) || !queue)
		return true;
	head = (void *)queue + bpf_core_field_offset(struct socket_wq, wait) +
	       bpf_core_field_offset(struct wait_queue_head, head);
	if (BPF_CORE_READ_INTO(&at, queue, wait.head.next))
		return true;

	for (i = 0; i < MAX_WAITERS && at != head; i++) {
		struct wait_queue_entry *waiter =
			(void *)at - bpf_core_field_offset(struct wait_queue_entry, entry);
		struct eppoll_entry *entry =
			(void *)waiter - bpf_core_field_offset(struct eppoll_entry, wait);
		void *func = 0;
		__u32 events = 0;

		if (BPF_CORE_READ_INTO(&func, waiter, func) || !func)
			return true;
		if (func == &ep_poll_callback) {
			if (BPF_CORE_READ_INTO(&events, entry, base, event.events) ||
			    (events & EPOLLET))
				return true;
		} else if (func != &woken_wake_function && func != &pollwake) {
			return true;
		}
		if (BPF_CORE_READ_INTO(&at, waiter, entry.next))
			return true;
	}
	return at != head;
}

/* Whether nothing waits for it: no sleeper, no poll and no epoll. */
static __always_inline bool is_unattended(const struct end *end)
{
	struct sock *sk = (struct sock *)end->sock;
	struct list_head *at = 0;
	struct socket_wq *queue = 0;

	if (BPF_CORE_READ_INTO(&queue, sk, sk_wq) || !queue ||
	    BPF_CORE_READ_INTO(&at, queue, wait.head.next))
		return false;
	return at == (void *)queue + bpf_core_field_offset(struct socket_wq, wait) +
			     bpf_core_field_offset(struct wait_queue_head, head);
}

/*
 * Where the state of an end is kept, found by way of the socket itself: a program can look up the
 * storage only of the socket that it runs on. Nothing else that may be stored with a socket begins
 * with the socket's own cookie and address.
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
			gone = found; /* maybe of a generation that was refused this socket */
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

/* A word of what is kept for an end; 0 where that cannot be known. */
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
 * Whether a call of the receiver may still be one of plain TCP, begun before the two were adopted.
 */
static __always_inline bool is_adopted(const struct end *sender)
{
	return GET(sender, flags) & FLAG_ADOPTED;
}

/*
 * Threads inside a send or a receive of an enrolled socket that are not just asleep. Of an adopted
 * socket's sleepers only one who has sent since is known to be in no call of plain TCP, and who has
 * not sent redirects nothing.
 */
static __always_inline int count_calls(const struct end *end, struct sk_psock *psock,
				       bool is_adopted)
{
	struct waiters waiters;
	int sleepers;
	__u32 sender;

	look_at_waiters(end, &waiters);
	sleepers = waiters.sleepers;
	if (sleepers < 0)
		return MAX_WAITERS;
	if (is_adopted && sleepers) {
		sender = GET(end, sender);
		if (!sender)
			return 0;
		if (sleepers > 1 || waiters.threads[0] != sender)
			sleepers = 0;
	}
	return count_references(psock) - 1 - sleepers;
}

#define UNKNOWN_REFERENCES (1 << 30)

static __always_inline int count_file_references(struct file *file)
{
	__s64 references = UNKNOWN_REFERENCES;

	if (bpf_core_field_exists(file->f_count))
		BPF_CORE_READ_INTO(&references, file, f_count.counter);
	else if (!BPF_CORE_READ_INTO(&references, file, f_ref.refcnt.counter))
		references++;
	return references;
}

/* Whether no call on it ever sleeps; false where that cannot be known. */
static __always_inline bool never_blocks(struct file *file)
{
	__u32 flags = 0;

	return !BPF_CORE_READ_INTO(&flags, file, f_flags) && (flags & O_NONBLOCK);
}

/*
 * At most how many calls on the peer hold no psock and do not sleep where they can be seen; 0 where
 * they do no harm. The psock is asked before and after the file, so that no call counts as seen
 * which is in one of the two only.
 */
static __always_inline int count_hidden_calls(const struct end *peer, struct sk_psock *psock,
					      const struct waiters *waiters)
{
	struct sock *sk = (struct sock *)peer->sock;
	int calls = count_references(psock) - 1, again, references;
	struct socket *socket = 0;
	struct file *file = 0;

	if (BPF_CORE_READ_INTO(&socket, sk, sk_socket))
		return UNKNOWN_REFERENCES;
	if (!socket)
		return 0; /* not accepted yet: nobody can call */
	if (BPF_CORE_READ_INTO(&file, socket, file) || !file)
		return UNKNOWN_REFERENCES;
	if (!waiters->sleepers && never_blocks(file))
		return 0;
	references = count_file_references(file) - waiters->polls;
	if (!waiters->sleepers && references <= 1)
		return 0;
	if (waiters->is_worker)
		return UNKNOWN_REFERENCES;
	again = count_references(psock) - 1;
	return references - waiters->is_shared - (again < calls ? again : calls);
}

/*
 * Some time after the last packet came: what was on its way into a call then has arrived, and can
 * be seen if it sleeps there.
 */
static __always_inline bool is_settled(const struct end *peer)
{
	struct tcp_sock *tp = (struct tcp_sock *)peer->sock;
	__u64 last = ~0ULL;

	if (!bpf_core_field_exists(tp->tcp_mstamp) || BPF_CORE_READ_INTO(&last, tp, tcp_mstamp))
		return false;
	return bpf_ktime_get_ns() / 1000 > last && bpf_ktime_get_ns() / 1000 - last > SETTLE_US;
}

/*
 * Whether a second thread of this end may be in a redirect, which holds the peer's psock: this call
 * holds this end's own, like each other.
 */
static __always_inline bool may_others_redirect(const struct socket_state *own)
{
	struct sk_psock *psock;

	if (!(own->flags & FLAG_SENDERS))
		return false;
	psock = get_psock(&own->own);
	return !psock || count_references(psock) > 2;
}

/*
 * Whether the sleepers of the peer, two at most, sleep where redirected bytes wake them, when not
 * every reference to the file is explained. Each in tcp_bpf_recvmsg() holds a reference to the
 * psock, and so does the peer's one sender in a send (of a thread that is on its way into its first
 * send, nothing else can be seen). Where calls may have begun before the socket was enrolled, only
 * a sleeper who has sent since is trusted.
 */
static __always_inline bool are_sleepers_in_bypass(const struct socket_state *own,
						   struct sk_psock *psock,
						   const struct waiters *waiters, bool is_explained)
{
	struct socket_state *its = find_state(&own->peer);
	__u32 mode = MODE_GONE, flags = 0, sender = 0;
	bool is_asleep;
	int references;

	if (!its || bpf_probe_read_kernel(&mode, sizeof(mode), &its->mode) ||
	    bpf_probe_read_kernel(&flags, sizeof(flags), &its->flags) ||
	    bpf_probe_read_kernel(&sender, sizeof(sender), &its->sender))
		return false;
	if (mode == MODE_GONE || may_others_redirect(own))
		return false;
	is_asleep = sender && (sender == waiters->threads[0] || sender == waiters->threads[1]);
	references = count_references(psock);
	if (own->flags & FLAG_ADOPTED)
		return waiters->sleepers == 1 && is_asleep && references > 1;
	if (is_explained)
		return references > waiters->sleepers;
	if ((flags & FLAG_SENDERS) || (waiters->sleepers > 1 && !is_asleep))
		return false;
	return references > waiters->sleepers + (sender && !is_asleep);
}

/*
 * A NAT helper (FTP, SIP) that makes a message longer moves the reader's sequence numbers on, and
 * then written == copied is also true with as many bytes unread. Its acknowledgements are moved
 * back on their way: what the reader acknowledged last is then not what the sender was told. It
 * also is not, for a moment, while an acknowledgement is on its way.
 */
static __always_inline bool is_length_changed(struct tcp_sock *sender, struct tcp_sock *reader)
{
	return LOAD(struct tcp_sock, sender, snd_una) != LOAD(struct tcp_sock, reader, rcv_wup);
}

/* UNSURE: DRAINED if the reader that is seen asleep, `lone_reader`, is the only one. */
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
	 * One who waits in our own program is in a send; but others may wait behind him for the
	 * lock, and be in no queue.
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
 * Whether the reader has taken every byte sent by TCP and no call of it sits inside plain
 * tcp_recvmsg(), which redirected bytes neither wake nor reach. Without this test they overtake or
 * strand.
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
 * A socket with a second descriptor may have a second reader: one that is busy elsewhere, and may
 * come back to it while the first takes the last byte by TCP. After so many looks, over so long a
 * time, at which the same thread always was the one that slept, the descriptor is taken for one
 * that nobody reads by (dup(), a parent after fork()).
 */
static __always_inline bool is_doubt_old(struct socket_state *own)
{
	if (!own->doubts)
		own->doubted = bpf_jiffies64();
	own->doubts++;
	return own->doubts > DOUBTS && bpf_jiffies64() - own->doubted >= ADOPT_JIFFIES;
}

#endif
