// SPDX-License-Identifier: GPL-2.0
/*
 * A classifier that sees no traffic. The probe passes it a key of `sockets` as a packet
 * (BPF_PROG_TEST_RUN) and gets back a line in two pieces, or 0 if that socket has gone. An iterator
 * would do, but some kernels refuse iterators over the elements of a map.
 *
 *	KEY VERDICT UNREAD MODE PEER INODE ACTIVE MESSAGES BYTES SENT LAG WHY LOCAL PORT REMOTE PORT
 *	TCP, then what later versions add, which scripts ignore
 *
 * KEY and PEER are keys of the map, byte by byte in hexadecimal. VERDICT is idle if the socket may
 * be taken out of the map (once its generation drains and every program run that began before is
 * over), unread if it holds redirected bytes that would vanish, and busy if a call that may still
 * redirect to it is running. UNREAD is in bytes, or -1 if the kernel does not count them. INODE is
 * 0 for a socket without a file. MESSAGES and BYTES count what was redirected, and SENT counts the
 * messages sent in either way. LAG is how many of the bytes sent by TCP the peer has not read yet.
 * WHY is what keeps the direction from being redirected, or "-". TCP counts the bytes sent by TCP.
 */
#define ONLY_SOCKETS
#include "waiters.h"

#define AF_INET6 10

#define PIECE 192

struct line { /* the same as in host/helper/verbs/list.c */
	char piece[2][PIECE]; /* text, up to the first NUL */
};

#define PRINT(piece, format, ...)                                         \
	({                                                                \
		static const char text[] = format;                        \
		__u64 values[] = { __VA_ARGS__ };                         \
		bpf_snprintf(piece, PIECE, text, values, sizeof(values)); \
	})

enum verdict { IDLE, UNREAD, BUSY };

struct scratch {
	struct socket_state state;
	struct line line;
};

/* Too large for the stack. Nobody else writes to it, because each listing loads the object anew. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct scratch));
} scratch SEC(".maps");

static const char verdicts[][8] = { "idle", "unread", "busy" };

enum reason {
	NONE,
	PEER_UNKNOWN,
	NOTHING_SENT,
	TCP_UNREAD,
	READER_ASLEEP,
	NEXT_MESSAGE,
	SMALL_MESSAGES,
	MUCH_BY_TCP,
	PEER_GONE,
	LEFT,
	OPTIONS,
	READER_SHARED,
	READER_LOCKED,
	READER_SPLICES,
	READER_WAITALL,
};

static const char reasons[][16] = {
	"-",
	"peer-unknown",
	"nothing-sent",
	"tcp-unread",
	"reader-asleep",
	"next-message",
	"small-messages",
	"much-by-tcp",
	"peer-gone",
	"left",
	"options",
	"reader-shared",
	"reader-locked",
	"reader-splices",
	"reader-waitall",
};

/*
 * `psock` is 0 if this end is not in the map. `feeder` is the psock of the peer, which may feed
 * this end; it is 0 if the peer is not in the map or is not known.
 */
static __always_inline enum verdict judge(const struct socket_state *own, struct sk_psock *psock,
					  struct sk_psock *feeder)
{
	/*
	 * The socket is leaving at this moment, or the kernel has taken it over. Deleting the key
	 * has no other effect on the socket.
	 */
	if (!psock)
		return IDLE;
	if (has_redirected_bytes(psock))
		return UNREAD;
	if (!feeder)
		/* the peer was never published, or has closed: nobody feeds this end */
		return IDLE;
	return count_calls(&own->peer, feeder, own->flags & FLAG_ADOPTED) > 0 ? BUSY : IDLE;
}

static __always_inline __u64 get_inode(struct sock *sk)
{
	struct socket *socket = BPF_CORE_READ(sk, sk_socket);
	struct inode *inode = (void *)socket - bpf_core_field_offset(struct socket_alloc, socket) +
			      bpf_core_field_offset(struct socket_alloc, vfs_inode);

	return socket ? BPF_CORE_READ(inode, i_ino) : 0;
}

/* bpf_snprintf() reads each address from the socket itself. */
static __always_inline void print_addresses(char *piece, struct sock *sk)
{
	__u16 local = BPF_CORE_READ(sk, __sk_common.skc_num);
	__u16 remote = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	__u64 by_tcp = BPF_CORE_READ(tp, bytes_sent) - BPF_CORE_READ(tp, bytes_retrans);

	if (bpf_core_field_exists(sk->__sk_common.skc_v6_daddr) &&
	    BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6)
		PRINT(piece, "%pI6 %d %pI6 %d %llu", (__u64)&sk->__sk_common.skc_v6_rcv_saddr,
		      local, (__u64)&sk->__sk_common.skc_v6_daddr, remote, by_tcp);
	else
		PRINT(piece, "%pI4 %d %pI4 %d %llu", (__u64)&sk->__sk_common.skc_rcv_saddr, local,
		      (__u64)&sk->__sk_common.skc_daddr, remote, by_tcp);
}

static __always_inline __u32 get_lag(const struct socket_state *own)
{
	struct tcp_sock *tp = (struct tcp_sock *)own->own.sock,
			*peer = (struct tcp_sock *)own->peer.sock;
	__u32 written = 0, copied = 0;

	if (BPF_CORE_READ_INTO(&written, tp, write_seq) ||
	    BPF_CORE_READ_INTO(&copied, peer, copied_seq))
		return 0;
	return written - copied;
}

static __always_inline enum reason explain(const struct socket_state *own, bool is_peer_in,
					   __u32 lag)
{
	struct waiters waiters;

	if (!own->peer.cookie || own->mode == MODE_WAIT)
		return PEER_UNKNOWN;
	if (own->mode == MODE_LEAVE && own->flags & FLAG_LOCKED)
		return READER_LOCKED;
	if (own->mode == MODE_LEAVE && own->flags & FLAG_SPLICED)
		return READER_SPLICES;
	if (own->mode == MODE_LEAVE && own->flags & FLAG_WAITED)
		return READER_WAITALL;
	if (own->mode == MODE_LEAVE && own->strikes >= STRIKES)
		return SMALL_MESSAGES;
	if (own->mode == MODE_LEAVE && is_spill_long(own))
		return own->flags & FLAG_DOUBTFUL ? READER_SHARED : MUCH_BY_TCP;
	if (own->mode == MODE_LEAVE && own->flags & FLAG_OPTIONS)
		return OPTIONS;
	if (!is_peer_in)
		return PEER_GONE;
	if (own->mode == MODE_BYPASS)
		return NONE;
	if (own->mode == MODE_LEAVE)
		return LEFT;
	if (lag)
		return TCP_UNREAD;
	if (!own->sent)
		return NOTHING_SENT;
	if (own->flags & FLAG_DOUBTFUL)
		return READER_SHARED;
	/*
	 * redirect.bpf.c checks more, but beside a copy of the state there is no stack left for
	 * that.
	 */
	look_at_waiters(&own->peer, &waiters);
	return waiters.sleepers ? READER_ASLEEP : NEXT_MESSAGE;
}

static __always_inline bool describe(const struct end *end, struct scratch *its)
{
	const struct socket_state *own = &its->state;
	struct sock *sk = (struct sock *)end->sock;
	struct sk_psock *psock = get_psock(end), *feeder = 0;
	struct end *published;
	__s64 unread = -1;
	__u32 lag = 0;

	if (!read_state(end, &its->state))
		return false;
	if (!own->peer.cookie) { /* this end has sent nothing yet, but may be fed */
		published = bpf_map_lookup_elem(&peers, &end->cookie);
		if (published)
			its->state.peer = *published;
	}
	if (is_same_socket(&own->peer)) {
		feeder = get_psock(&own->peer);
		lag = get_lag(own);
	}
	if (psock && bpf_core_field_exists(psock->msg_tot_len)) {
		__u32 bytes = 0;

		BPF_CORE_READ_INTO(&bytes, psock, msg_tot_len);
		unread = bytes;
	}
	PRINT(its->line.piece[0], "%016llx %s %lld %d %016llx %llu %d %llu %llu %u %u %s ",
	      bpf_cpu_to_be64(end->cookie), (__u64)verdicts[judge(own, psock, feeder)], unread,
	      own->mode, bpf_cpu_to_be64(own->peer.cookie), get_inode(sk), own->flags & FLAG_ACTIVE,
	      own->messages, own->bytes, own->sent, lag, (__u64)reasons[explain(own, feeder, lag)]);
	print_addresses(its->line.piece[1], sk);
	return true;
}

SEC("classifier")
int list_socket(void *packet)
{
	struct scratch *its;
	struct bpf_sock *sk;
	struct tcp_sock *tp;
	struct end end = {};
	__u32 first = 0;
	bool is_there;

	its = bpf_map_lookup_elem(&scratch, &first);
	if (!its || bpf_skb_load_bytes(packet, 0, &end.cookie, sizeof(end.cookie)))
		return 0;
	sk = bpf_map_lookup_elem(&sockets, &end.cookie);
	if (!sk)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	end.sock = (__u64)tp;
	is_there = tp && describe(&end, its);
	bpf_sk_release(sk);
	return is_there && !bpf_skb_store_bytes(packet, 0, &its->line, sizeof(its->line), 0);
}

char LICENSE[] SEC("license") = "GPL";
