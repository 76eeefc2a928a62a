/* SPDX-License-Identifier: GPL-2.0 */
/* Long: what programs, helper and script agree on stands in one place. */
/*
 * What the programs share: constants, maps and what is kept for a socket. docs/architecture.md
 * tells the whole story; the one rule behind it all: a reader takes redirected bytes before TCP
 * bytes, so after a byte was sent by TCP nothing may be redirected in that direction until the
 * reader has taken every TCP byte (look_whether_drained() in drained.h).
 */
#ifndef SOCKET_BYPASS_H
#define SOCKET_BYPASS_H

#include "feeds.h"

/* --- Thresholds. A test build may set each with -D to force thousands of state changes. --- */

#ifndef LOOK_FIRST
#define LOOK_FIRST 3 /* the message at which the reader is looked at for the first time */
#endif
#ifndef LOOK_MESSAGES
#define LOOK_MESSAGES 32 /* and then after so many messages */
#endif
#ifndef LOOK_BYTES
#define LOOK_BYTES (256 << 10) /* or so many bytes */
#endif
#ifndef LOCK_LOOKS
#define LOCK_LOOKS 20000 /* at a held lock, some 20 ns each, before the message goes by TCP */
#endif
#define FURTHER_LOOKS \
	8 /* whether a reader to whom nothing should go by TCP can be redirected to now */
#define FURTHER_LOOKS_NS 400000
#define LOCK_STRIKES 8 /* for each time that it was held longer */
#ifndef ONE_WAY_MESSAGES
#define ONE_WAY_MESSAGES 8 /* or more since the last look tell a stream from an answer in parts */
#endif
#ifndef QUEUE_BYTES
#define QUEUE_BYTES (4 << 20) /* default of KNOB_QUEUE_BYTES */
#endif
#define MESSAGE_BYTES \
	1024 /* what the kernel keeps of a redirected message beside its bytes (struct sk_msg) */
#ifndef EDGE_QUEUES
/* so many times as much may wait for a reader by edge-triggered epoll, see turn_when_safe() */
#define EDGE_QUEUES 16
#endif
#ifndef SPILL_BYTES
#define SPILL_BYTES (64 << 20) /* by TCP in one spill, then the direction leaves */
#endif
#ifndef SPILL_MESSAGES
#define SPILL_MESSAGES \
	4096 /* and a quarter of those redirected before: TCP costs more than they gained */
#endif
#ifndef SMALL_MESSAGE
#define SMALL_MESSAGE \
	(8 << 10) /* TCP puts a stream of such ones into few packets, a redirect wakes for each */
#endif
#ifndef BUSY_NS
#define BUSY_NS 16000 /* a message: who sends faster than this sends without a pause */
#endif
#ifndef STRIKES
#define STRIKES 64 /* each bad look adds two, each good one takes one */
#endif
#ifndef ALONE_MESSAGES
#define ALONE_MESSAGES 64 /* sent without having found the peer, then the socket leaves */
#endif
#ifndef REFRESH_JIFFIES
#define REFRESH_JIFFIES \
	30000 /* 30 to 300 s, by HZ: one message by TCP, or conntrack forgets the connection */
#endif
#ifndef ADOPT_JIFFIES
/*
 * 0.25 to 2.5 s, by HZ, in which a call that is about to begin when its socket is adopted has begun
 */
#define ADOPT_JIFFIES 250
#endif
#ifndef DOUBTS
/* looks at least, within ADOPT_JIFFIES at least, that find a reader alone who may not be */
#define DOUBTS 64
#endif
#ifndef SETTLE_US
/* after the last packet, in which a call that was on its way has arrived somewhere */
#define SETTLE_US 1000000
#endif
#ifndef SHORT_CONNECTIONS
#define SHORT_CONNECTIONS 16 /* of one service must have been seen before it may be judged */
#endif
#ifndef SHORT_MESSAGES
#define SHORT_MESSAGES \
	3 /* mean of a service's client messages below which enrolling costs more than it gains */
#endif
#ifndef SHORT_PROBE
/* one connection in so many of a skipped service is enrolled to see whether it changed */
#define SHORT_PROBE 64
#endif

#define REFRESH_LOOKS 8 /* looks in the time after which a message by TCP is due */
#define LEAST_HZ 100 /* of any kernel, for what HZ is nobody tells: elsewhere a look comes early */
#define DRAIN_GENTLY 2 /* value of KNOB_DRAIN */
#define UNREAD_RIGHT 1 /* value of KNOB_UNREAD: it does */
#define UNREAD_TRUSTED 2 /* the self-test wants to see what is enrolled otherwise */
#define LONGEST_TIMER_MS 1000 /* the least that the kernel takes */
#define NOTSENT_LOWAT 131071 /* bytes; no application chooses this value, so it is known as ours */
#define MAX_RANGES 64
#define MAX_CIDRS 64
#define MAX_NOTES 16384
#define MAX_SERVICES 4096
#define MAX_SOCKETS 65536 /* the host script gives `sockets` and `claims` their real sizes */

/* --- Settings and counters. The host script and docs name them in this order. --- */

enum knob {
	/*
	 * not 0: enrol nothing, everybody leaves at the next message; DRAIN_GENTLY: when its
	 * reader's queue is empty
	 */
	KNOB_DRAIN,
	KNOB_POLICY, /* the slot of `policies` in force: 0 or 1 */
	/*
	 * that one reader may hold, MESSAGE_BYTES for each message with them, before its sender
	 * goes by TCP; 0: QUEUE_BYTES
	 */
	KNOB_QUEUE_BYTES,
	KNOB_RESERVED, /* that of earlier versions meant something else */
	/* seconds after which each direction sends a message by TCP; 0: REFRESH_JIFFIES */
	KNOB_REFRESH,
	/*
	 * whether FIONREAD of an enrolled socket counts what came by TCP, as the host script has
	 * tried: UNREAD_…
	 */
	KNOB_UNREAD,
	KNOBS,
};

enum counter {
	COUNT_PAIRS, /* both ends found each other */
	COUNT_REDIRECTED_MESSAGES,
	COUNT_REDIRECTED_BYTES,
	COUNT_TCP_MESSAGES, /* of enrolled sockets, before a redirect was in order */
	COUNT_REMOTE_SKIPPED, /* the other end is not on this host, or cannot be known to be */
	COUNT_POLICY_SKIPPED,
	COUNT_SPILLS, /* a direction went to TCP for a while */
	COUNT_RETURNS, /* and came back */
	COUNT_LEAVES, /* a direction went to TCP for good */
	COUNT_GONE, /* sockets that left the map before they closed */
	COUNT_UNPAIRED, /* sockets that never found their peer */
	COUNT_REFUSED_BUSY, /* another sockmap has the socket */
	COUNT_REFUSED_FULL, /* `sockets`, `claims`, `peers` or `feeds` is full */
	COUNT_REFUSED_OTHER, /* ULP, MPTCP, TCP_REPAIR, kernel socket, or the kernel said no */
	COUNT_REDIRECT_FAILED,
	COUNT_SHORT_SKIPPED, /* services whose connections are too short to gain */
	COUNT_REARMED, /* our callback flag had been taken away */
	COUNT_DRAINED, /* directions that left because of KNOB_DRAIN */
	COUNT_REFUSED_OPTIONS, /* sockets, and later directions, with an option that needs TCP */
	/* by TCP, for no other reason than that the reader's socket may have a second reader */
	COUNT_DOUBTFUL_MESSAGES,
	/* sockets that began with bytes, where FIONREAD of an enrolled one is wrong */
	COUNT_REFUSED_DEFERRED,
	COUNTERS,
};

/* --- Structures --- */

/*
 * One end of a connection. The address is a number for bpf_probe_read_kernel(), good only while the
 * cookie behind it is right. What is called cookie is the kernel's one, which a socket keeps for
 * life, and above it how often the socket was enrolled before: after connect(AF_UNSPEC) it may have
 * another connection, and who still knows it by the name of the old one finds nothing.
 */
struct end {
	__u64 cookie;
	__u64 sock;
};

/*
 * A connection's name that NAT of the server's address, namespaces and IPv4-mapped addresses leave
 * alone.
 */
struct claim {
	__u32 client_seq;
	__u32 server_seq;
	__u32 client_tail; /* last 32 bits of the client's address, network order */
	__u32 client_port; /* host order */
};

/*
 * The direction from a socket to its peer; the order matters: from LEAVE on nothing is redirected
 * again.
 */
enum mode {
	MODE_WAIT, /* the peer is not known yet: TCP */
	MODE_SPILL, /* TCP until the reader has drained it */
	MODE_BYPASS, /* redirect */
	MODE_LEAVE, /* TCP; track takes both ends out of the map when nothing can be lost */
	MODE_GONE, /* an ordinary TCP socket again */
};

#define FLAG_ACTIVE 1u /* this end connected */
#define FLAG_LOWAT 2u /* TCP_NOTSENT_LOWAT is ours */
#define FLAG_SENDERS \
	4u /* more than one thread has sent within the last two times REFRESH_JIFFIES */
#define FLAG_PEER_OUT 8u /* LEAVE: the peer is out of the map */
#define FLAG_RTT_THEIRS 16u /* another program had asked for RTT_CB before */
/*
 * enrolled long after it was established, and has not redirected yet: a call on the peer may have
 * begun before
 */
#define FLAG_ADOPTED 32u
#define FLAG_WITHDRAWN 64u /* of an active end: nobody may publish himself to it any more */
#define FLAG_OPTIONS 128u /* an end has set an option that needs TCP */
#define FLAG_SENDERS_NOW 256u /* another thread has sent since `aged` */
/*
 * SPILL: at a message since it began, only a second reader that there may be stood against the
 * bypass
 */
#define FLAG_DOUBTFUL 512u
#define FLAG_LOCKED 1024u /* LEAVE: the reader held its lock too long, too often */
/* this end has shut its direction down, and may sleep in a recv(): nothing is redirected to it */
#define FLAG_SHUT 2048u

#define FLAG_SPLICED 4096u /* LEAVE: the reader splices */
#define FLAG_WAITED 8192u /* LEAVE: the reader asks for all bytes (MSG_WAITALL) */

struct socket_state {
	struct end own;
	__u64 layout; /* LAYOUT; 0: the socket has left, or closed */
	struct end peer; /* cookie 0: not known */
	struct claim claim; /* of an active end */
	__u16 mode;
	__u16 turn; /* BYPASS: the mode to enter when the peer's queue is empty; MODE_WAIT: none */
	__u32 flags;
	__u32 sender; /* thread that sends, 0: none has */
	__u32 strikes;
	__u64 messages; /* redirected */
	__u64 bytes; /* redirected */
	__u64 counted_messages; /* of those, in `counters` already */
	__u64 counted_bytes;
	__u64 look_messages; /* `messages` and `bytes` at the last look */
	__u64 look_bytes;
	__u64 queued; /* bytes unread by the peer at the last look */
	/* `bytes` when the peer's queue was last seen empty, for kernels that do not count it */
	__u64 empty_bytes;
	__u64 spilled; /* bytes by TCP in this spill */
	__u64 spilled_messages;
	__u64 returned; /* `messages` at the last return from TCP */
	__u64 refreshed; /* jiffies of the last TCP message */
	__u64 refreshed_ns; /* the same in ns: jiffies are of another length on each kernel */
	__u64 looked; /* jiffies of the last look */
	__u64 patience; /* jiffies after which the next is due */
	__u32 sent; /* messages by any way */
	__u32 service; /* index into `services` */
	__u32 written; /* own write_seq when BYPASS began */
	__u32 heard; /* messages that the peer had sent at the last look */
	__u64 look_time; /* ns */
	/*
	 * bytes that may wait for the peer, without what the kernel keeps beside them, as of the
	 * last look
	 */
	__u32 limit;
	/*
	 * message that may be redirected to a peer whose queue is empty, as of the last look; 0:
	 * not looked yet
	 */
	__u32 largest;
	__u32 disconnects; /* sk_disconnects of this socket when it was enrolled */
	__u32 is_waiting; /* its program waits for the peer's lock, holding its own */
	__u32 timer; /* TCP_RTO_MAX_MS before it was shortened, 0: it is not */
	__u64 aged; /* jiffies */
	__u64 doubted; /* jiffies of the first of `doubts` */
	__u32 doubts; /* looks that found the same reader alone who may not be */
	__u32 lone_reader; /* its thread */
};

struct port_range {
	__u16 first, last; /* host order, both inclusive */
};

struct cidr {
	__u32 address[4], mask[4]; /* network order; IPv4 as ::ffff:a.b.c.d */
};

struct policy {
	__u32 everything;
	__u32 ranges;
	__u32 cidrs;
	/* bits: ports of is_taken_over() that are listed by themselves, not in a range */
	__u32 named;
	struct port_range range[MAX_RANGES];
	struct cidr cidr[MAX_CIDRS];
};

struct service {
	__u32 connections;
	__u32 messages;
	__u32 skipped;
	__u32 unused;
};

/*
 * The cookie of a socket that is about to be enrolled, with what was kept for it when it was
 * enrolled before.
 */
static __always_inline __u64 get_next_cookie(__u64 cookie, const struct socket_state *before)
{
	__u64 times = before && before->own.cookie ? (before->own.cookie >> COOKIE_BITS) + 1 : 0;

	return (cookie & COOKIE_MASK) | times << COOKIE_BITS;
}

/* SPILL: more went by TCP than redirecting again could make good. */
static __always_inline bool is_spill_long(const struct socket_state *own)
{
	return own->spilled > SPILL_BYTES ||
	       own->spilled_messages > SPILL_MESSAGES + (own->messages - own->returned) / 4;
}

/* --- Maps --- */

struct { /* every enrolled socket, by its cookie; what redirect chooses from */
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, MAX_SOCKETS);
	__type(key, __u64);
	__type(value, __u64);
} sockets SEC(".maps");

/* by the active end's cookie: the passive end that claimed it, until the active end has seen it */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_SOCKETS / 2);
	__type(key, __u64);
	__type(value, struct end);
} peers SEC(".maps");

#ifndef ONLY_SOCKETS

struct { /* active ends that wait for their passive end */
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct claim);
	__type(value, struct end);
} claims SEC(".maps");

struct { /* what is kept for an enrolled socket */
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_state);
} state SEC(".maps");

/*
 * by a hash of it: the client that last sent a SYN to a listener of this host. A hint, never a
 * proof.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_NOTES);
	__type(key, __u32);
	__type(value, __u64);
} notes SEC(".maps");

struct { /* by a hash of its address and port: how short a service's connections are */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SERVICES);
	__type(key, __u32);
	__type(value, struct service);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KNOBS);
	__type(key, __u32);
	__type(value, __u64);
} knobs SEC(".maps");

struct { /* two slots, so that a policy is replaced at once (KNOB_POLICY) */
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct policy);
} policies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* --- What every program needs of them --- */

NOINLINE void count_many(__u32 counter, __u64 n)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &counter);

	if (value)
		__sync_fetch_and_add(value, n); /* a softirq may come between load and store */
}

static __always_inline void count(__u32 counter)
{
	count_many(counter, 1);
}

static __always_inline __u64 get_knob(__u32 knob)
{
	__u64 *value = bpf_map_lookup_elem(&knobs, &knob);

	return value ? *value : 0;
}

/*
 * FIONREAD of an enrolled socket leaves out what was redirected until "bpf, sockmap: Fix FIONREAD
 * for sockmap" (7.0; 6.6.128, 6.12.75, 6.18.14), which brought the field, and from then on what
 * came by TCP, until that was mended (7.2; 6.12.114). A program that reads in pieces and believes
 * it takes none for all, and goes on when the next edge of epoll wakes it.
 */
#define COUNTS_REDIRECTED bpf_core_field_exists(((struct sk_psock *)0)->msg_tot_len)

static __always_inline bool is_fionread_right(void)
{
#ifdef TRUST_FIONREAD /* a test build, for programs that do not ask */
	return true;
#endif
	return get_knob(KNOB_UNREAD) >= (COUNTS_REDIRECTED ? UNREAD_RIGHT : UNREAD_TRUSTED);
}

static __always_inline bool leaves_out_tcp(void)
{
	return COUNTS_REDIRECTED && !is_fionread_right();
}

/* For bpf_loop(): a test build holds a program for a while, so that others act in between. */
NOINLINE long pass_time(__u32 unused, void *context)
{
	return !bpf_ktime_get_ns();
}

/* An active end learns who feeds it. False when nobody has published itself to it. */
NOINLINE bool take_published_peer(struct socket_state *own)
{
	__u64 cookie = own->own.cookie;
	struct end *found = bpf_map_lookup_elem(&peers, &cookie);

	if (!found)
		return false;
	own->peer = *found;
	bpf_map_delete_elem(&peers, &cookie);
	return true;
}

/* Moves what a socket counted for itself into `counters`. */
NOINLINE void flush_counts(struct socket_state *own)
{
	count_many(COUNT_REDIRECTED_MESSAGES, own->messages - own->counted_messages);
	count_many(COUNT_REDIRECTED_BYTES, own->bytes - own->counted_bytes);
	own->counted_messages = own->messages;
	own->counted_bytes = own->bytes;
}

#endif
#endif
