/* SPDX-License-Identifier: GPL-2.0 */
/* Long: it explains who holds a socket, once for all programs that ask. */
/*
 * What a call on a socket holds while it runs, if the socket is enrolled, or was enrolled after the
 * call began:
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
 *	*  only if threads share their descriptors (files_struct.count > 1); otherwise the thread is
 *	   the only one of its process, so it has a descriptor that no other call uses
 *	** none for a registered file
 *
 * From this follows
 *
 * - how many calls there may be: each has a reference to the file or a descriptor. If a sleeper is
 *   seen whose descriptors are shared, at least one of the references is a descriptor without a
 *   call (count_hidden_calls());
 * - which of them are in the bypass: as many as hold the psock, less a redirect (which only a
 *   second thread of the peer can be in while the peer asks). If all calls are, none can go to
 *   sleep in plain tcp_recvmsg(), where redirected bytes neither wake nor reach it
 *   (look_once_whether_drained());
 * - that a call without any trace can be on its way to plain TCP only if another call took the last
 *   byte by TCP since it looked. So there is none if only one call is possible, if no call ever
 *   sleeps (O_NONBLOCK), or some time after the last byte. A call that sleeps can be seen, and has
 *   to hold the psock;
 * - at most how many calls sleep: as many as are in the queue. Those that hold the psock beyond
 *   that number are awake (count_calls()). A sleeper without the psock hides one of them, so a
 *   caller that relies on the number lets time pass.
 */
#ifndef SOCKET_BYPASS_WAITERS_H
#define SOCKET_BYPASS_WAITERS_H

#include "peer.h"

#define MAX_WAITERS 4
#define EPOLLET (1u << 31)
#define O_NONBLOCK 04000 /* x86_64, aarch64 */
#define PF_IO_WORKER 0x10
#define REQ_F_FIXED_FILE 1

/* Only the addresses are used; an address is 0 if the loader may not see it (kptr_restrict). */
extern const void woken_wake_function __ksym __weak;
extern const void ep_poll_callback __ksym __weak;
extern const void pollwake __ksym __weak;
extern const void io_poll_wake __ksym __weak;

/*
 * Whether a request of io_uring is for one of its registered files. The low bit of the address
 * tells which of two entries it is.
 */
static __always_inline bool is_registered(const void *private)
{
	struct io_kiocb *request = (struct io_kiocb *)((__u64) private & ~1ULL);
	__u32 flags = REQ_F_FIXED_FILE;

	if (bpf_core_type_exists(struct io_kiocb))
		BPF_CORE_READ_INTO(&flags, request, flags);
	return flags & REQ_F_FIXED_FILE;
}

/* Who waits for a socket; `threads` has the first two sleepers. */
struct waiters {
	int sleepers; /* threads asleep in calls on it; -1 if that cannot be known */
	int polls; /* polls that hold a reference to its file */
	__u32 threads[2];
	/* a sleeper shares its descriptors, so its call holds a reference to the file */
	bool is_shared;
	/* a sleeper is a worker of io_uring, whose call may hold no reference all the same */
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
 * Whether a waiter hears of each wake-up only once, and may not come back for bytes whose wake-up
 * it had before: edge-triggered epoll, and every way of waiting that is not known here (such as a
 * poll of io_uring that stays armed). poll(), select() and level-triggered epoll look again, and a
 * thread asleep in a call on the socket looks when it wakes. The answer is also true if it cannot
 * be known, and before accept().
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

/* Whether nothing waits for the socket: no sleeper, no poll and no epoll. */
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
 * Counts threads inside a send or a receive of an enrolled socket that are not just asleep. Of the
 * sleepers of an adopted socket, only one that has sent since is known to be in no call of plain
 * TCP, and one that has not sent redirects nothing.
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

/* Whether no call on the file ever sleeps; false if that cannot be known. */
static __always_inline bool never_blocks(struct file *file)
{
	__u32 flags = 0;

	return !BPF_CORE_READ_INTO(&flags, file, f_flags) && (flags & O_NONBLOCK);
}

/*
 * The largest possible number of calls on the peer that hold no psock and are not seen asleep; 0 if
 * they do no harm. The references to the psock are read before and after those to the file, so that
 * no call counts as seen that shows in only one of the two.
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
 * Whether some time has passed since the last packet: a call that was on its way then has arrived,
 * and can be seen if it sleeps.
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
 * Whether a second thread of this end may be in a redirect, which holds the peer's psock. Each call
 * on this end, also this one, holds this end's own psock.
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
 * Whether the sleepers of the peer, two at most, sleep where redirected bytes wake them, even if
 * not every reference to the file is explained. Each sleeper in tcp_bpf_recvmsg() holds a reference
 * to the psock, and so does the peer's single sender in a send (nothing else shows a thread that is
 * on its way into its first send). If calls may have begun before the socket was enrolled, only a
 * sleeper that has sent since is trusted.
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

#endif
