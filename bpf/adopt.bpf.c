// SPDX-License-Identifier: GPL-2.0
// Long: a program is one file, and its passes share what they find out about a socket.
/*
 * iter/tcp: enrols connections that were established before the attach. It runs over all sockets
 * once for each pass:
 *
 *	NOTE     each socket that may take part stores its end under the connection's name
 *	ACTIVE   an active end that finds its passive end enrols and publishes itself to it
 *	PASSIVE  a passive end to which an active end has published itself enrols too; if it cannot,
 *	         the active end leaves the map again
 *
 * The kernel holds the lock of the socket meanwhile. Nothing is redirected to an end before it has
 * enrolled itself and knows its peer: the peer begins in SPILL, and look_whether_drained() requires
 * both to be in the map.
 */
#include "leave.h"
#include "policy.h"

#ifndef CALLBACKS /* a test build may name an option that no kernel has */
#define CALLBACKS 1008 /* TCP_BPF_SOCK_OPS_CB_FLAGS, since Linux 6.12 */
#endif
#define MAX_DEPTH 64
#define MAX_NOTED 262144
#define E2BIG 7
#define ENOMEM 12

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct in6_addr___iter {
	__u32 word[4];
};

struct sock_common___iter {
	__u16 skc_family;
	volatile unsigned char skc_state;
	__u16 skc_num;
	__u16 skc_dport;
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	struct in6_addr___iter skc_v6_daddr;
	struct in6_addr___iter skc_v6_rcv_saddr;
};

struct kernfs_node {
	__u64 id;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
};

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

struct sock___iter {
	struct sock_cgroup_data sk_cgrp_data;
};

struct tcp_sock___iter {
	__u32 rcv_nxt;
	__u32 snd_una;
	__u32 write_seq;
	__u8 bpf_sock_ops_cb_flags;
	__u64 bytes_received;
	__u64 bytes_acked;
};

struct sk_psock___iter {
	struct list_head link; /* the maps that it is in */
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common___iter *sk_common;
};

#pragma clang attribute pop

/* The host script sets the first two and names the others in this order. */
enum task {
	TASK_CGROUP, /* id of the cgroup to which the programs are attached */
	TASK_PASS,
	TASK_ADOPTED, /* connections that were adopted */
	TASK_SEEN, /* all established sockets */
	TASK_ENROLLED, /* sockets that are enrolled already */
	TASK_CGROUP_SKIPPED, /* sockets that were made in another cgroup */
	TASK_POLICY_SKIPPED,
	TASK_SPECIAL, /* ULP, MPTCP, TCP_REPAIR, kernel socket, an option that needs TCP */
	TASK_BUSY, /* in another sockmap, or a call from their time in ours is not over */
	TASK_LEFT, /* sockets for which the bypass was no gain before */
	TASK_NOTED, /* sockets that may take part */
	TASK_FULL, /* connections for which a map had no room */
	TASK_REFUSED, /* connections that the kernel refused */
	/* connections for which this kernel cannot enable the sock_ops callbacks */
	TASK_NO_CALLBACKS,
	TASKS,
};

enum pass { PASS_NOTE, PASS_ACTIVE, PASS_PASSIVE };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TASKS);
	__type(key, __u32);
	__type(value, __u64);
} tasks SEC(".maps");

struct { /* passive ends, by the connection's name; cookie 0: several ends have that name */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_NOTED);
	__type(key, struct claim);
	__type(value, struct end);
} noted SEC(".maps");

struct { /* enrolled active ends, by the cookie of their passive end */
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_NOTED);
	__type(key, __u64);
	__type(value, struct end);
} actives SEC(".maps");

static __always_inline __u64 get_task(__u32 task)
{
	__u64 *value = bpf_map_lookup_elem(&tasks, &task);

	return value ? *value : 0;
}

NOINLINE void add_task(__u32 task)
{
	__u64 *value = bpf_map_lookup_elem(&tasks, &task);

	if (value)
		*value += 1;
}

/* The addresses and ports of both ends, as this socket sees them. */
struct names {
	struct address local, remote;
	__u32 local_port, remote_port; /* host order */
};

static __always_inline void read_names(const struct sock_common___iter *sk, struct names *names)
{
	*names = (struct names){ .local.word[2] = MAPPED_PREFIX, .remote.word[2] = MAPPED_PREFIX };
	if (sk->skc_family == AF_INET) {
		names->local.word[3] = sk->skc_rcv_saddr;
		names->remote.word[3] = sk->skc_daddr;
	} else {
		BPF_CORE_READ_INTO(&names->local, sk, skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&names->remote, sk, skc_v6_daddr);
	}
	names->local_port = sk->skc_num;
	names->remote_port = bpf_ntohs(sk->skc_dport);
}

/*
 * Like the kernel's choice of sock_ops programs, this depends on the cgroup in which the socket, or
 * its listener, was made.
 */
static __always_inline bool is_in_cgroup(struct tcp_sock *tp)
{
	struct cgroup *cgroup = ((struct sock___iter *)tp)->sk_cgrp_data.cgroup;
	struct cgroup_subsys_state *parent;
	__u64 wanted = get_task(TASK_CGROUP);

	for (int i = 0; i < MAX_DEPTH; i++) {
		if (cgroup->kn->id == wanted)
			return true;
		parent = cgroup->self.parent;
		if (!parent)
			break;
		cgroup = parent->cgroup;
	}
	return false;
}

/* Which end is the active one matters only to what an allowed connection counts under. */
VERIFIED_ONCE __u32 ask_policy_for(const struct names *names, __u32 is_active)
{
	const struct policy *policy = get_policy();
	__u32 ports;

	if (!names || !policy)
		return NO_PORTS;
	ports = is_active ? ask_ports(policy, names->remote_port, names->local_port)
			  : ask_ports(policy, names->local_port, names->remote_port);
	if (!ports || !are_addresses_asked(policy))
		return ports;
	return are_addresses_in(policy, &names->local, &names->remote) ? ports : NO_PORTS;
}

static __always_inline bool is_in_a_map(struct sk_psock *psock)
{
	struct sk_psock___iter *its = (void *)psock;
	struct list_head *first = 0, *head = (void *)psock + bpf_core_field_offset(its->link);

	BPF_CORE_READ_INTO(&first, its, link.next);
	return first != head;
}

/* Whether nobody has fed this end or ever will, so that it can leave the map. */
static __always_inline bool is_alone(const struct socket_state *own, struct sk_psock *psock)
{
	return get_task(TASK_PASS) == PASS_NOTE && (own->flags & FLAG_ADOPTED) &&
	       is_same_socket(&own->peer) && !get_psock(&own->peer) && !has_redirected_bytes(psock);
}

static __always_inline bool is_read_by_edges(struct tcp_sock *tp)
{
	struct end end = { .sock = (__u64)tp };

	return may_be_read_by_edges(&end);
}

/* Gives the reason why a socket does not take part, or TASK_NOTED if it does. */
static __always_inline enum task examine(const struct names *names, struct tcp_sock *tp)
{
	struct socket_state *own = bpf_sk_storage_get(&state, tp, 0, 0);
	struct sk_psock *psock;
	__u64 user_data = 0;

	if (own && own->mode != MODE_GONE) {
		psock = get_psock(&own->own);
		if (psock && is_in_a_map(psock)) {
			if (is_alone(own, psock)) /* a run that was killed has left it */
				bpf_map_delete_elem(&sockets, &own->own.cookie);
			return TASK_ENROLLED;
		}
	}
	if (!is_in_cgroup(tp))
		return TASK_CGROUP_SKIPPED;
	if (!ask_policy_for(names, false))
		return TASK_POLICY_SKIPPED;
	if (!is_ordinary((struct sock *)tp) || needs_tcp((__u64)tp))
		return TASK_SPECIAL;
	/*
	 * The first message goes by TCP, and a reader by edge-triggered epoll may stop with it
	 * unread.
	 */
	if (leaves_out_tcp() && is_read_by_edges(tp))
		return TASK_SPECIAL;
	if (BPF_CORE_READ_INTO(&user_data, (struct sock *)tp, sk_user_data) || user_data)
		return TASK_BUSY;
	if (own && (own->strikes >= STRIKES || is_spill_long(own)))
		return TASK_LEFT;
	return TASK_NOTED;
}

/*
 * Sequence numbers advance, but the beginning of a stream does not: rcv_nxt less the bytes received
 * is the first byte of the incoming stream, and snd_una less the bytes acknowledged that of the
 * outgoing one. An active end counts its SYN among the latter. So a passive end is noted under the
 * name as it computes it, and the active end adds one to look it up.
 */
NOINLINE void get_name(const struct names *names, struct tcp_sock *socket, bool is_active,
		       struct claim *name)
{
	struct tcp_sock___iter *tp = (void *)socket;
	__u32 received = tp->rcv_nxt - (__u32)tp->bytes_received;
	__u32 sent = tp->snd_una - (__u32)tp->bytes_acked;

	name->client_seq = is_active ? sent + 1 : received;
	name->server_seq = is_active ? received : sent;
	name->client_tail = is_active ? names->local.word[3] : names->remote.word[3];
	name->client_port = is_active ? names->local_port : names->remote_port;
}

static __always_inline struct end get_end(struct tcp_sock *tp)
{
	struct socket_state *before = bpf_sk_storage_get(&state, tp, 0, 0);

	return (struct end){ get_next_cookie(bpf_get_socket_cookie(tp), before), (__u64)tp };
}

static __always_inline void note(const struct names *names, struct tcp_sock *tp)
{
	struct end own = get_end(tp), *other;
	struct claim name;

	get_name(names, tp, false, &name);
	if (!bpf_map_update_elem(&noted, &name, &own, BPF_NOEXIST))
		return;
	other = bpf_map_lookup_elem(&noted, &name);
	if (other && other->cookie != own.cookie)
		other->cookie = 0;
}

/*
 * Whether everything that one end has received is what the other has sent. It is not if something
 * on the path changes the bytes.
 */
NOINLINE bool is_between(__u64 sender, __u64 receiver)
{
	struct tcp_sock___iter *from = (void *)sender, *to = (void *)receiver;
	__u32 acked = 0, next = 0, written = 0;

	if (BPF_CORE_READ_INTO(&acked, from, snd_una) || BPF_CORE_READ_INTO(&next, to, rcv_nxt) ||
	    BPF_CORE_READ_INTO(&written, from, write_seq))
		return false;
	return next - acked <= written - acked;
}

NOINLINE bool enrol(const struct names *names, struct tcp_sock *tp, const struct end *own_end,
		    const struct end *peer, __u32 flags)
{
	struct socket_state *own = bpf_sk_storage_get(&state, tp, 0, BPF_SK_STORAGE_GET_F_CREATE);
	int callbacks = ((struct tcp_sock___iter *)tp)->bpf_sock_ops_cb_flags;
	int both = callbacks | OUR_CALLBACKS;
	long error;

	if (!own) {
		add_task(TASK_FULL);
		return false;
	}
	__builtin_memset(own, 0, sizeof(*own));
	own->own = *own_end;
	own->layout = LAYOUT;
	own->peer = *peer;
	own->mode = MODE_SPILL;
	own->flags = flags | FLAG_ADOPTED;
	if (callbacks & BPF_SOCK_OPS_RTT_CB_FLAG)
		own->flags |= FLAG_RTT_THEIRS;
	own->refreshed = bpf_jiffies64();
	own->disconnects = get_disconnects(own);
	/* It tells nothing about how long connections of its service are. */
	own->service = MAX_SERVICES;
	own->ports = make_port_counter(ask_policy_for(names, flags & FLAG_ACTIVE));
	if (bpf_setsockopt(tp, SOL_TCP, CALLBACKS, &both, sizeof(both))) {
		add_task(TASK_NO_CALLBACKS);
		goto forget;
	}
	error = bpf_map_update_elem(&sockets, &own_end->cookie, tp, BPF_NOEXIST);
	if (!error) {
		set_lowat(tp, own);
		return true;
	}
	add_task(error == -E2BIG || error == -ENOMEM ? TASK_FULL : TASK_REFUSED);
	bpf_setsockopt(tp, SOL_TCP, CALLBACKS, &callbacks, sizeof(callbacks));
forget:
	own->mode = MODE_GONE; /* the cookie in it must not be used a second time */
	return false;
}

static __always_inline void adopt_active(const struct names *names, struct tcp_sock *tp)
{
	struct end own = get_end(tp), passive, *found;
	struct claim name;

	get_name(names, tp, true, &name);
	found = bpf_map_lookup_elem(&noted, &name);
	if (!found)
		return;
	passive = *found;
	if (!is_same_socket(&passive) || !is_between(own.sock, passive.sock) ||
	    !is_between(passive.sock, own.sock))
		return;
	if (bpf_map_update_elem(&actives, &passive.cookie, &own, BPF_NOEXIST)) {
		add_task(TASK_FULL);
		return;
	}
	if (!enrol(names, tp, &own, &passive, FLAG_ACTIVE))
		bpf_map_delete_elem(&actives, &passive.cookie);
}

/*
 * Enrols the passive end or takes the active one out again. Only this end could have fed the active
 * end, so nothing is lost when that leaves; its next RTT callback restores its settings.
 */
static __always_inline void adopt_passive(const struct names *names, struct tcp_sock *tp,
					  const struct end *active, bool may)
{
	struct end own = get_end(tp);
	struct socket_state *its;

	if (may && enrol(names, tp, &own, active, 0)) {
		add_task(TASK_ADOPTED);
		count(COUNT_PAIRS);
		its = bpf_sk_storage_get(&state, tp, 0, 0);
		if (its)
			count_enrolled(its);
	} else {
		bpf_map_delete_elem(&sockets, &active->cookie);
	}
}

SEC("iter/tcp")
int adopt_sockets(struct bpf_iter__tcp *ctx)
{
	struct sock_common___iter *sk = ctx->sk_common;
	__u64 pass = get_task(TASK_PASS);
	struct end *found, active = {}, own;
	struct names names;
	struct tcp_sock *tp;
	enum task task;

	if (!sk || sk->skc_state != TCP_ESTABLISHED)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	if (pass == PASS_PASSIVE) {
		own = get_end(tp);
		found = bpf_map_lookup_elem(&actives, &own.cookie);
		if (!found)
			return 0;
		active = *found;
		bpf_map_delete_elem(&actives, &own.cookie);
		if (!is_same_socket(&active) || !get_psock(&active))
			return 0; /* the active end has closed */
	}
	read_names(sk, &names);
	task = examine(&names, tp);
	switch (pass) {
	case PASS_NOTE:
		add_task(TASK_SEEN);
		add_task(task);
		if (task == TASK_NOTED)
			note(&names, tp);
		break;
	case PASS_ACTIVE:
		if (task == TASK_NOTED)
			adopt_active(&names, tp);
		break;
	case PASS_PASSIVE:
		adopt_passive(&names, tp, &active, task == TASK_NOTED);
		break;
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
