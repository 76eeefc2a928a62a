/* SPDX-License-Identifier: GPL-2.0 */
/* Long: it holds what programs, helper and script must agree on. */
/*
 * What the programs share: constants, maps and the state of a socket.
 * docs/explanation/datapath.md tells the whole story. One rule is behind it all: a reader takes
 * redirected bytes before TCP bytes, so after a byte was sent by TCP nothing may be redirected in
 * that direction until the reader has taken every TCP byte (look_whether_drained() in drained.h).
 */
#ifndef SOCKET_BYPASS_H
#define SOCKET_BYPASS_H

#include "feeds.h"

/* --- Thresholds. A test build may set each with -D to force thousands of state changes. --- */

#ifndef LOOK_FIRST
#define LOOK_FIRST 3 /* the first look at the reader comes at this message */
#endif
#ifndef LOOK_MESSAGES
#define LOOK_MESSAGES 32 /* and the next ones after this many messages */
#endif
#ifndef LOOK_BYTES
#define LOOK_BYTES (256 << 10) /* or this many bytes */
#endif
#ifndef LOCK_LOOKS
#define LOCK_LOOKS 20000 /* looks at a held lock, some 20 ns each, before the message goes by TCP */
#endif
/* looks at whether a reader to which nothing should go by TCP can be redirected to by now */
#define FURTHER_LOOKS 8
#define FURTHER_LOOKS_NS 400000
#define LOCK_STRIKES 8 /* strikes for each time that a lock was held longer */
#ifndef ONE_WAY_MESSAGES
#define ONE_WAY_MESSAGES 8 /* this many since the last look tell a stream from an answer in parts */
#endif
#ifndef QUEUE_BYTES
#define QUEUE_BYTES (4 << 20) /* default of KNOB_QUEUE_BYTES */
#endif
/* what the kernel keeps of a redirected message beside its bytes (struct sk_msg) */
#define MESSAGE_BYTES 1024
#ifndef EDGE_QUEUES
/* this many times as much may wait for a reader by edge-triggered epoll, see turn_when_safe() */
#define EDGE_QUEUES 16
#endif
#ifndef SPILL_BYTES
#define SPILL_BYTES (64 << 20) /* bytes by TCP in one spill, after which the direction leaves */
#endif
#ifndef SPILL_MESSAGES
/*
 * or this many messages and a quarter of those redirected before, because TCP then costs more than
 * they have gained
 */
#define SPILL_MESSAGES 4096
#endif
#ifndef SMALL_MESSAGE
/* TCP puts a stream of messages up to this size into few packets; a redirect wakes for each */
#define SMALL_MESSAGE (8 << 10)
#endif
#ifndef BUSY_NS
#define BUSY_NS 16000 /* per message: a sender that is faster sends without a pause */
#endif
#ifndef STRIKES
#define STRIKES 64 /* each bad look adds two, each good one takes one */
#endif
#ifndef ALONE_MESSAGES
/* messages sent without having found the peer, after which the socket leaves */
#define ALONE_MESSAGES 64
#endif
#ifndef REFRESH_JIFFIES
/* 30 to 300 s, by HZ: then one message goes by TCP, or conntrack forgets the connection */
#define REFRESH_JIFFIES 30000
#endif
#ifndef ADOPT_JIFFIES
/*
 * 0.25 to 2.5 s, by HZ: a call that is about to begin when its socket is adopted has begun by then
 */
#define ADOPT_JIFFIES 250
#endif
#ifndef DOUBTS
/* this many looks, over ADOPT_JIFFIES, find a reader alone before it is believed to be alone */
#define DOUBTS 64
#endif
#ifndef SETTLE_US
/* this long after the last packet, a call that was on its way has arrived somewhere */
#define SETTLE_US 1000000
#endif
#ifndef SHORT_CONNECTIONS
#define SHORT_CONNECTIONS 16 /* connections of a service, without which it is not judged */
#endif
#ifndef SHORT_MESSAGES
/* mean of a service's client messages below which enrolling costs more than it gains */
#define SHORT_MESSAGES 3
#endif
#ifndef SHORT_PROBE
/* one connection in so many of a skipped service is enrolled to see whether it changed */
#define SHORT_PROBE 64
#endif

#define REFRESH_LOOKS 8 /* looks in the time after which a message by TCP is due */
/* least HZ of any kernel, because no program can read HZ: elsewhere a look comes early */
#define LEAST_HZ 100
#define DRAIN_GENTLY 2 /* value of KNOB_DRAIN */
#define UNREAD_RIGHT 1 /* value of KNOB_UNREAD: FIONREAD counts what came by TCP */
/* value of KNOB_UNREAD in the self-test, which wants to see what is enrolled otherwise */
#define UNREAD_TRUSTED 2
#define LONGEST_TIMER_MS 1000 /* the least that the kernel accepts */
#define NOTSENT_LOWAT 131071 /* bytes; no application chooses this value, so it is known as ours */
#define TAP_SHIFT 32
#define TAP_LEAST_RING 65536 /* bytes; a page of any machine divides it */
#define MAX_RANGES 64
#define MAX_CIDRS 64
#define MAX_NOTES 16384
#define MAX_SERVICES 4096
#define MAX_PORT_COUNTERS 128 /* room for the ranges of two policies */
#define MAX_SOCKETS 65536 /* the host script gives `sockets` and `claims` their real sizes */

/* --- Settings and counters. The host script and docs name them in this order. --- */

enum knob {
	/*
	 * if not 0, nothing is enrolled and each direction leaves at its next message; if
	 * DRAIN_GENTLY, it leaves when its reader's queue is empty
	 */
	KNOB_DRAIN,
	KNOB_POLICY, /* the slot of `policies` in force: 0 or 1 */
	/*
	 * bytes that may wait for one reader, each message with MESSAGE_BYTES more, before its
	 * sender goes by TCP; 0: QUEUE_BYTES
	 */
	KNOB_QUEUE_BYTES,
	KNOB_RESERVED, /* had another meaning in earlier versions */
	/* seconds after which each direction sends a message by TCP; 0: REFRESH_JIFFIES */
	KNOB_REFRESH,
	/*
	 * whether FIONREAD of an enrolled socket counts what came by TCP, as the host script has
	 * tried (UNREAD_RIGHT, UNREAD_TRUSTED)
	 */
	KNOB_UNREAD,
	/*
	 * until when messages are shown to a tap, in ns of CLOCK_MONOTONIC; 0: there is none. The
	 * tap moves it on, so it passes soon after a tap was killed
	 */
	KNOB_TAP,
	KNOB_TAPPED, /* what the tap wants: a port, and above TAP_SHIFT the bytes of each message */
	KNOBS,
};

enum counter {
	COUNT_PAIRS, /* connections whose ends found each other */
	COUNT_REDIRECTED_MESSAGES,
	COUNT_REDIRECTED_BYTES,
	COUNT_TCP_MESSAGES, /* of enrolled sockets, before a redirect was in order */
	COUNT_REMOTE_SKIPPED, /* the other end is not on this host, or cannot be known to be */
	COUNT_POLICY_SKIPPED,
	COUNT_SPILLS, /* a direction went to TCP for a while */
	COUNT_RETURNS, /* a direction came back from TCP */
	COUNT_LEAVES, /* a direction went to TCP for good */
	COUNT_GONE, /* sockets that left the map before they closed */
	COUNT_UNPAIRED, /* sockets that never found their peer */
	COUNT_REFUSED_BUSY, /* another sockmap has the socket */
	COUNT_REFUSED_FULL, /* `sockets`, `claims`, `peers` or `feeds` is full */
	COUNT_REFUSED_OTHER, /* ULP, MPTCP, TCP_REPAIR, kernel socket, or the kernel refused */
	COUNT_REDIRECT_FAILED,
	COUNT_SHORT_SKIPPED, /* services whose connections are too short to gain */
	COUNT_REARMED, /* our callback flag had been taken away */
	COUNT_DRAINED, /* directions that left because of KNOB_DRAIN */
	COUNT_REFUSED_OPTIONS, /* sockets, and later directions, with an option that needs TCP */
	/* messages that went by TCP only because the reader's socket may have a second reader */
	COUNT_DOUBTFUL_MESSAGES,
	/* connections that began with bytes, where FIONREAD of an enrolled socket is wrong */
	COUNT_REFUSED_DEFERRED,
	COUNT_TAP_LOST, /* messages that a tap missed in whole or in part */
	COUNTERS,
};

/*
 * Why a message of an enrolled socket goes by TCP. Each message of COUNT_TCP_MESSAGES has one of
 * these; the host script names them in this order.
 */
enum why {
	WHY_OTHER, /* TCP_REPAIR, a send from before the enrolment, `feeds` is full */
	WHY_PEER_UNKNOWN, /* this end has not found its peer yet, or there is none */
	WHY_FIRST_MESSAGE, /* of a connection, for the splice guard, or after an adoption */
	WHY_TCP_UNREAD, /* the reader has not taken everything that was sent by TCP */
	WHY_READER_BUSY, /* a call of the reader runs, or sleeps where only TCP wakes it */
	WHY_READER_SHARED, /* the reader's socket may have a second reader */
	WHY_READER_BEHIND, /* the reader has as much unread as may wait for it */
	WHY_MEMORY, /* the reader's cgroup, or the host, is short of memory */
	WHY_REFRESH, /* one message now and then, for conntrack and firewalls */
	WHY_DRAIN,
	WHY_READER_LOCKED, /* a call of the reader held the lock of its socket for long */
	/* With these the direction leaves, and the message is its last one that is counted. */
	WHY_SMALL_MESSAGES,
	WHY_MUCH_BY_TCP,
	WHY_OPTIONS,
	WHY_READER_SPLICES,
	WHY_READER_WAITALL,
	WHY_PEER_GONE,
	WHYS,
};

/* --- Structures --- */

/*
 * One end of a connection. The address is a number for bpf_probe_read_kernel(), valid only while
 * the socket there has this cookie. The low bits of `cookie` are the kernel's cookie, which a
 * socket keeps for life; the bits above COOKIE_BITS count how often the socket was enrolled before.
 * After connect(AF_UNSPEC) the socket may have another connection, and whoever still has the cookie
 * of the old one finds nothing.
 */
struct end {
	__u64 cookie;
	__u64 sock;
};

/*
 * A name of a connection that stays the same across NAT of the server's address, namespaces and
 * IPv4-mapped addresses.
 */
struct claim {
	__u32 client_seq;
	__u32 server_seq;
	__u32 client_tail; /* last 32 bits of the client's address, network order */
	__u32 client_port; /* host order */
};

/*
 * The state of the direction from a socket to its peer. The order matters: from MODE_LEAVE on
 * nothing is redirected again.
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
/* more than one thread has sent within the last two times REFRESH_JIFFIES */
#define FLAG_SENDERS 4u
#define FLAG_PEER_OUT 8u /* LEAVE: the peer is out of the map */
#define FLAG_RTT_THEIRS 16u /* another program had asked for RTT_CB before */
/*
 * enrolled long after it was established, and has not redirected yet: a call on the peer may have
 * begun before
 */
#define FLAG_ADOPTED 32u
#define FLAG_WITHDRAWN 64u /* of an active end: no passive end may publish itself to it any more */
#define FLAG_OPTIONS 128u /* an end has set an option that needs TCP */
#define FLAG_SENDERS_NOW 256u /* another thread has sent since `aged` */
/*
 * SPILL: for at least one message since the spill began, only a possible second reader stood
 * against the bypass
 */
#define FLAG_DOUBTFUL 512u
#define FLAG_LOCKED 1024u /* LEAVE: the reader held its lock too long, too often */
/* this end has shut its direction down and may sleep in a recv(), so nothing is redirected to it */
#define FLAG_SHUT 2048u

#define FLAG_SPLICED 4096u /* LEAVE: the reader splices */
#define FLAG_WAITED 8192u /* LEAVE: the reader asks for all bytes (MSG_WAITALL) */
#define FLAG_COUNTED 16384u /* of a passive end: `port_counters` has its connection as enrolled */

struct socket_state {
	struct end own;
	__u64 layout; /* LAYOUT; 0: the socket has left or closed */
	struct end peer; /* cookie 0: not known */
	struct claim claim; /* of an active end */
	__u16 mode;
	__u16 turn; /* BYPASS: the mode to enter when the peer's queue is empty; MODE_WAIT: none */
	__u32 flags;
	__u32 sender; /* thread that sends, 0: none has */
	__u32 strikes;
	__u64 messages; /* redirected */
	__u64 bytes; /* redirected */
	__u64 counted_messages; /* of those, how many are in `counters` already */
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
	__u64 refreshed_ns; /* the same in ns, because jiffies differ in length between kernels */
	__u64 looked; /* jiffies of the last look */
	__u64 patience; /* jiffies after which the next look is due */
	__u32 sent; /* messages by any way */
	__u32 service; /* index into `services` */
	__u32 written; /* own write_seq when BYPASS began */
	__u32 heard; /* messages that the peer had sent at the last look */
	__u64 look_time; /* time of the last look, in ns */
	/*
	 * bytes that may wait for the peer, without what the kernel keeps beside them, as of the
	 * last look
	 */
	__u32 limit;
	/*
	 * the largest message that may be redirected to a peer whose queue is empty, as of the last
	 * look; 0: not looked yet
	 */
	__u32 largest;
	__u32 disconnects; /* sk_disconnects of this socket when it was enrolled */
	__u32 is_waiting; /* the program waits for the peer's lock while it holds this socket's */
	__u32 timer; /* TCP_RTO_MAX_MS before it was shortened; 0: it is not shortened */
	__u64 aged; /* jiffies when FLAG_SENDERS last aged */
	__u64 doubted; /* jiffies of the first of `doubts` */
	__u32 doubts; /* looks that found the same reader alone, although there may be another */
	__u32 lone_reader; /* the thread of that reader */
	__u32 ports; /* key of `port_counters` */
	__u32 why; /* enum why: of the last decision against the bypass */
	__u64 tcp_messages; /* by TCP, and not in `port_counters` yet */
	__u64 tcp_bytes;
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

/*
 * Keys of `port_counters` that are no range of a policy, because none begins with port 0. Every
 * other key is a range: `first` in the low half and `last` in the high half.
 */
#define NO_PORTS 0u
#define ANY_PORTS 0xffff0000u /* of a policy without ports */
#define OTHER_PORTS 0x10000u /* of ranges that found no room */

struct port_counter { /* what the sockets of one range have sent */
	__u64 messages; /* redirected */
	__u64 bytes; /* redirected */
	__u64 tcp_messages;
	__u64 tcp_bytes;
	__u64 enrolled; /* connections, and how many of them are not enrolled any more */
	__u64 released;
};

struct service {
	__u32 connections;
	__u32 messages;
	__u32 skipped;
	__u32 unused;
};

/*
 * The cookie for a socket that is about to be enrolled; `before` is its state from an earlier
 * enrolment.
 */
static __always_inline __u64 get_next_cookie(__u64 cookie, const struct socket_state *before)
{
	__u64 times = before && before->own.cookie ? (before->own.cookie >> COOKIE_BITS) + 1 : 0;

	return (cookie & COOKIE_MASK) | times << COOKIE_BITS;
}

/* In MODE_SPILL: whether more went by TCP than another time in the bypass could make good. */
static __always_inline bool is_spill_long(const struct socket_state *own)
{
	return own->spilled > SPILL_BYTES ||
	       own->spilled_messages > SPILL_MESSAGES + (own->messages - own->returned) / 4;
}

/* --- Maps --- */

struct { /* every enrolled socket, by its cookie; redirect sends to these */
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, MAX_SOCKETS);
	__type(key, __u64);
	__type(value, __u64);
} sockets SEC(".maps");

/*
 * the passive end that took an active end's claim, by the active end's cookie, until that has seen
 * it
 */
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

struct { /* the state of each enrolled socket */
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_state);
} state SEC(".maps");

/*
 * the client that last sent a SYN to a listener of this host, by a hash of the client; a hint,
 * never a proof
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_NOTES);
	__type(key, __u32);
	__type(value, __u64);
} notes SEC(".maps");

struct { /* how short a service's connections are, by a hash of its address and port */
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

/*
 * By range of the policy under which a socket was enrolled, so that the counters of a range that
 * the policy has lost stay. An entry is never deleted.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, MAX_PORT_COUNTERS);
	__type(key, __u32);
	__type(value, struct port_counter);
} port_counters SEC(".maps");

struct { /* messages of enrolled sockets by TCP, by enum why */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WHYS);
	__type(key, __u32);
	__type(value, __u64);
} tcp_reasons SEC(".maps");

struct { /* the ring of a tap while there is one (tap.h), so that it takes no memory otherwise */
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_RINGBUF);
			__uint(max_entries, TAP_LEAST_RING);
		});
} taps SEC(".maps");

/* --- Functions on these maps that every program needs --- */

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
 * for sockmap" (7.0; 6.6.128, 6.12.75, 6.18.14), which brought the field. From then on it leaves
 * out what came by TCP, until that was mended (7.2; 6.12.114). A program that reads in pieces and
 * believes FIONREAD takes 0 for the end, and goes on only when the next edge of epoll wakes it.
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

/*
 * A callback of bpf_loop(), with which a test build holds a program for a while, so that others act
 * in between.
 */
NOINLINE long pass_time(__u32 unused, void *context)
{
	return !bpf_ktime_get_ns();
}

/* Lets an active end learn who feeds it. False if nobody has published itself to it. */
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

/* Moves what a socket counted for itself into `counters` and `port_counters`. */
NOINLINE void flush_counts(struct socket_state *own)
{
	__u64 messages = own->messages - own->counted_messages;
	__u64 bytes = own->bytes - own->counted_bytes;
	struct port_counter *its = bpf_map_lookup_elem(&port_counters, &own->ports);

	count_many(COUNT_REDIRECTED_MESSAGES, messages);
	count_many(COUNT_REDIRECTED_BYTES, bytes);
	if (its) {
		__sync_fetch_and_add(&its->messages, messages);
		__sync_fetch_and_add(&its->bytes, bytes);
		if (own->tcp_messages) {
			__sync_fetch_and_add(&its->tcp_messages, own->tcp_messages);
			__sync_fetch_and_add(&its->tcp_bytes, own->tcp_bytes);
		}
	}
	own->counted_messages = own->messages;
	own->counted_bytes = own->bytes;
	own->tcp_messages = 0;
	own->tcp_bytes = 0;
}

/*
 * The key under which a socket of these ports counts. OTHER_PORTS is inserted first, so that it has
 * room when nothing else has. An adopted socket has NO_PORTS if the policy has just changed.
 */
NOINLINE __u32 make_port_counter(__u32 ports)
{
	struct port_counter none = {};
	__u32 other = OTHER_PORTS;

	if (bpf_map_lookup_elem(&port_counters, &ports))
		return ports;
	bpf_map_update_elem(&port_counters, &other, &none, BPF_NOEXIST);
	if (ports != NO_PORTS)
		bpf_map_update_elem(&port_counters, &ports, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&port_counters, &ports) ? ports : other;
}

/* Called for the passive end of a connection whose two ends are enrolled. */
NOINLINE void count_enrolled(struct socket_state *own)
{
	struct port_counter *its = bpf_map_lookup_elem(&port_counters, &own->ports);

	if (!its)
		return;
	own->flags |= FLAG_COUNTED;
	__sync_fetch_and_add(&its->enrolled, 1);
}

/* Called for each end that leaves or closes, which both may happen to the same end. */
NOINLINE void count_released(struct socket_state *own)
{
	struct port_counter *its = bpf_map_lookup_elem(&port_counters, &own->ports);

	if (its && (own->flags & FLAG_COUNTED))
		__sync_fetch_and_add(&its->released, 1);
	own->flags &= ~FLAG_COUNTED;
}

#endif
#endif
