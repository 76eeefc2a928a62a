/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Looking at either end of a connection by its address. Every address is read with bpf_probe_read_kernel(), which returns an error
 * where nothing is mapped; TCP sockets are recycled only as TCP sockets (SLAB_TYPESAFE_BY_RCU), and the cookie says whether it is
 * still the same one. A stale or failed read must only ever lead to TCP.
 */
#ifndef SOCKET_BYPASS_ENDS_H
#define SOCKET_BYPASS_ENDS_H

#include "socket_bypass.h"

#define MAX_SLEEPERS 4
#define MAX_STORAGES 8
#define EPOLLET (1u << 31)

/* The low bits of sk_user_data are flags: NOCOPY, BPF, PSOCK (include/net/sock.h). */
#define USER_DATA_FLAGS 7ULL

/* The address only; 0 where the loader may not see it (kptr_restrict). */
extern const void woken_wake_function __ksym __weak;
extern const void ep_poll_callback __ksym __weak;
extern const void pollwake __ksym __weak;

static __always_inline bool is_end(const struct end *end)
{
	__u64 cookie = LOAD(struct sock, end->sock, __sk_common.skc_cookie.counter);

	return cookie && !((cookie ^ end->cookie) & COOKIE_MASK);
}

/* Sockets whose sk_prot or sk_user_data belong to somebody else, or whose sequence numbers a process chose. */
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

/* The psock of an end; 0 when it has left the map and the last call that held it is over. */
SUBPROGRAM struct sk_psock *get_psock(const struct end *end)
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
 * Threads asleep in a call on the socket, -1 when that cannot be known. A sleeper of any kind waits by woken_wake_function;
 * poll and epoll do not. threads are those of the first two.
 */
SUBPROGRAM int count_sleepers(const struct end *end, __u32 threads[2])
{
	struct sock *sk = (struct sock *)end->sock;
	struct list_head *head, *at = 0;
	struct socket_wq *queue = 0;
	int sleepers = 0, i;

	threads[0] = threads[1] = 0;
	if (BPF_CORE_READ_INTO(&queue, sk, sk_wq))
		return -1;
	if (!queue)
		return 0; /* not accepted yet */
	head = (void *)queue + bpf_core_field_offset(struct socket_wq, wait) +
	       bpf_core_field_offset(struct wait_queue_head, head);
	if (BPF_CORE_READ_INTO(&at, queue, wait.head.next))
		return -1;

	for (i = 0; i < MAX_SLEEPERS && at != head; i++) {
		struct wait_queue_entry *waiter =
			(void *)at - bpf_core_field_offset(struct wait_queue_entry, entry);
		void *func = 0;

		if (BPF_CORE_READ_INTO(&func, waiter, func))
			return -1;
		if (!&woken_wake_function || func == &woken_wake_function) {
			struct task_struct *task = 0;

			BPF_CORE_READ_INTO(&task, waiter, private);
			BPF_CORE_READ_INTO(&threads[sleepers > 0], task, pid);
			sleepers++;
		}
		if (BPF_CORE_READ_INTO(&at, waiter, entry.next))
			return -1;
	}
	return at == head ? sleepers : -1;
}

/*
 * Whether somebody waits for the socket who hears of each wake-up once, and may not come back for bytes whose
 * wake-up it had before: edge-triggered epoll, and whatever waits in a way that is not known here (a poll of
 * io_uring that stays armed). poll(), select() and level-triggered epoll look again, and who sleeps in a call
 * on the socket looks when it wakes. Also true where that cannot be known, and before accept().
 */
SUBPROGRAM bool may_be_read_by_edges(const struct end *end)
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

	for (i = 0; i < MAX_SLEEPERS && at != head; i++) {
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

/*
 * Where the state of an end is kept, found by way of the socket itself: a program can look up the storage only of the
 * socket that it runs on. Nothing else that may be stored with a socket begins with the socket's own cookie and address.
 */
SUBPROGRAM struct socket_state *find_state(const struct end *end)
{
	struct bpf_local_storage *storage = LOAD(struct sock, end->sock, sk_bpf_storage);
	struct hlist_node *node = 0;
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
		if (own.cookie == end->cookie && own.sock == end->sock)
			return found;
		node = LOAD(struct hlist_node, node, next);
	}
	return 0;
}

SUBPROGRAM bool read_state(const struct end *end, struct socket_state *found)
{
	struct socket_state *there = find_state(end);

	return there && !bpf_probe_read_kernel(found, sizeof(*found), there) &&
	       found->own.cookie == end->cookie && found->mode != MODE_GONE;
}

/* A word of what is kept for an end; 0 where that cannot be known. */
#define GET(end, field) get_word(end, __builtin_offsetof(struct socket_state, field))

SUBPROGRAM __u32 get_word(const struct end *end, __u32 offset)
{
	struct socket_state *its = find_state(end);
	__u32 word = 0;

	if (its)
		bpf_probe_read_kernel(&word, sizeof(word), (void *)its + offset);
	return word;
}

/* Whether a call of the receiver may still be one of plain TCP, begun before the two were adopted. */
static __always_inline bool is_adopted(const struct end *sender)
{
	return GET(sender, flags) & FLAG_ADOPTED;
}

/*
 * Threads inside a send or a receive of an enrolled socket that are not just asleep. The map itself holds one reference to the
 * psock, each call one more. A sleeper in a call of plain TCP holds none; of an adopted socket only one who has sent since is
 * known to be in no such call, and who has not sent redirects nothing.
 */
static __always_inline int count_calls(const struct end *end, struct sk_psock *psock,
				       bool is_adopted)
{
	__u32 threads[2], sender;
	int sleepers = count_sleepers(end, threads);

	if (sleepers < 0)
		return MAX_SLEEPERS;
	if (is_adopted && sleepers) {
		sender = GET(end, sender);
		if (!sender)
			return 0;
		if (sleepers > 1 || threads[0] != sender)
			sleepers = 0;
	}
	return count_references(psock) - 1 - sleepers;
}

/*
 * References to the file of an end: one for each descriptor, and one for each call under way where threads share their descriptors.
 * Where they do not, only one call can be under way.
 */
static __always_inline int count_file_references(const struct end *end)
{
	struct sock *sk = (struct sock *)end->sock;
	struct socket *socket = 0;
	struct file *file = 0;
	__s64 references = 1 << 30;

	if (BPF_CORE_READ_INTO(&socket, sk, sk_socket) || BPF_CORE_READ_INTO(&file, socket, file))
		return references;
	if (bpf_core_field_exists(file->f_count))
		BPF_CORE_READ_INTO(&references, file, f_count.counter);
	else if (!BPF_CORE_READ_INTO(&references, file, f_ref.refcnt.counter))
		references++;
	return references;
}

/*
 * Whether the sleepers of the peer, two at most, sleep where redirected bytes wake them. Who sleeps in tcp_bpf_recvmsg() holds a
 * reference to the psock, and the map holds one; other calls hold one too, asleep or not, so there must be as many as there are calls
 * (of a thread that is on its way into its first send, nothing else can be seen). The peer's one sender may hold one in a send. This
 * end has one sender, which is here. Where calls may have begun before the socket was enrolled, only a sleeper who has sent since is
 * trusted.
 */
static __always_inline bool are_sleepers_in_bypass(const struct socket_state *own,
						   struct sk_psock *psock, int sleepers,
						   const __u32 threads[2])
{
	struct socket_state *its = find_state(&own->peer);
	__u32 mode = MODE_GONE, flags = 0, sender = 0;
	bool is_asleep;
	int references;

	if (!its || bpf_probe_read_kernel(&mode, sizeof(mode), &its->mode) ||
	    bpf_probe_read_kernel(&flags, sizeof(flags), &its->flags) ||
	    bpf_probe_read_kernel(&sender, sizeof(sender), &its->sender))
		return false;
	if (mode == MODE_GONE || ((own->flags | flags) & FLAG_SENDERS))
		return false;
	is_asleep = sender && (sender == threads[0] || sender == threads[1]);
	references = count_references(psock);
	if (references < count_file_references(&own->peer))
		return false;
	if (own->flags & FLAG_ADOPTED)
		return sleepers == 1 && is_asleep && references > 1;
	if (sleepers > 1 && !is_asleep)
		return false;
	return references > sleepers + (sender && !is_asleep);
}

SUBPROGRAM bool is_drained_once(const struct socket_state *own)
{
	struct tcp_sock *tp = (struct tcp_sock *)own->own.sock,
			*peer = (struct tcp_sock *)own->peer.sock;
	__u32 written = 0, copied = 1, threads[2];
	struct sk_psock *psock;
	int sleepers;

	if (BPF_CORE_READ_INTO(&written, tp, write_seq) ||
	    BPF_CORE_READ_INTO(&copied, peer, copied_seq))
		return false;
	if (written != copied || is_owned(&own->peer))
		return false;
	psock = get_psock(&own->peer);
	if (!psock)
		return false;
	sleepers = count_sleepers(&own->peer, threads);
	if (sleepers == 0)
		return true;
	return (sleepers == 1 || sleepers == 2) &&
	       are_sleepers_in_bypass(own, psock, sleepers, threads);
}

/*
 * Whether the reader has taken every byte sent by TCP and no call of it sits inside plain tcp_recvmsg(), which redirected bytes
 * neither wake nor reach. Without this test they overtake or strand.
 */
static __always_inline bool is_drained(const struct socket_state *own)
{
	__u64 barrier = 0;

	if (!is_end(&own->peer) || !is_drained_once(own))
		return false;
	__sync_fetch_and_add(&barrier, 1); /* the two looks must not be merged or reordered */
	return is_drained_once(own) && is_end(&own->peer);
}

#endif
