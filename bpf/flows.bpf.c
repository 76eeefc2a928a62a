// SPDX-License-Identifier: GPL-2.0
/*
 * iter/sockmap over `sockets`: a line for each enrolled socket:
 *
 *	KEY VERDICT UNREAD MODE PEER INODE ACTIVE LOCAL PORT REMOTE PORT MESSAGES BYTES SENT LAG WHY
 *
 * KEY and PEER are keys of the map as bpftool takes them, byte by byte. VERDICT is idle when the socket may be taken out of the map
 * (once its generation drains and every program run of before is over), unread when it holds redirected bytes that would vanish,
 * busy when a call that may still redirect to it is under way. UNREAD is in bytes, or -1 where the kernel does not count them.
 * INODE is 0 for a socket without a file. MESSAGES and BYTES were redirected, SENT messages went by any way. LAG is how many bytes
 * of those sent by TCP the peer has not read yet. WHY is what keeps the direction from being redirected, or "-".
 */
#define NO_MAPS /* it reads the one that it is pinned for */
#include "ends.h"

#define AF_INET6 10

#define PRINT(seq, format, ...)                                                  \
	({                                                                       \
		static const char text[] = format;                               \
		__u64 values[] = { __VA_ARGS__ };                                \
		bpf_seq_printf(seq, text, sizeof(text), values, sizeof(values)); \
	})

enum verdict { IDLE, UNREAD, BUSY };

struct { /* too large for the stack beside that of another end */
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct socket_state);
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
};

static __always_inline enum verdict judge(const struct end *end, const struct socket_state *own)
{
	const struct end *peer = &own->peer;
	struct sk_psock *psock = get_psock(end), *feeder;

	if (!psock)
		return BUSY; /* it is leaving at this very moment */
	if (has_redirected_bytes(psock))
		return UNREAD;
	if (!is_end(peer))
		return IDLE; /* never known, or closed: nobody feeds it */
	feeder = get_psock(peer);
	return feeder && count_calls(peer, feeder, own->flags & FLAG_ADOPTED) > 0 ? BUSY : IDLE;
}

static __always_inline void print_key(struct seq_file *seq, __u64 key)
{
	const __u8 *byte = (const __u8 *)&key;

	PRINT(seq, "%02x:%02x:%02x:%02x:", byte[0], byte[1], byte[2], byte[3]);
	PRINT(seq, "%02x:%02x:%02x:%02x", byte[4], byte[5], byte[6], byte[7]);
}

static __always_inline __u64 get_inode(struct sock *sk)
{
	struct socket *socket = BPF_CORE_READ(sk, sk_socket);
	struct inode *inode = (void *)socket - bpf_core_field_offset(struct socket_alloc, socket) +
			      bpf_core_field_offset(struct socket_alloc, vfs_inode);

	return socket ? BPF_CORE_READ(inode, i_ino) : 0;
}

/* The kernel takes each address from the socket itself. */
static __always_inline void print_addresses(struct seq_file *seq, struct sock *sk)
{
	__u16 local = BPF_CORE_READ(sk, __sk_common.skc_num);
	__u16 remote = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));

	if (bpf_core_field_exists(sk->__sk_common.skc_v6_daddr) &&
	    BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6)
		PRINT(seq, "%pI6 %d %pI6 %d ", (__u64)&sk->__sk_common.skc_v6_rcv_saddr, local,
		      (__u64)&sk->__sk_common.skc_v6_daddr, remote);
	else
		PRINT(seq, "%pI4 %d %pI4 %d ", (__u64)&sk->__sk_common.skc_rcv_saddr, local,
		      (__u64)&sk->__sk_common.skc_daddr, remote);
}

static __always_inline __u32 get_lag(const struct socket_state *own)
{
	struct tcp_sock *tp = (struct tcp_sock *)own->own.sock,
			*peer = (struct tcp_sock *)own->peer.sock;
	__u32 written = 0, copied = 0;

	if (!is_end(&own->peer) || BPF_CORE_READ_INTO(&written, tp, write_seq) ||
	    BPF_CORE_READ_INTO(&copied, peer, copied_seq))
		return 0;
	return written - copied;
}

static __always_inline enum reason explain(const struct socket_state *own, __u32 lag)
{
	__u32 threads[2];
	bool is_gone;

	if (!own->peer.cookie)
		return PEER_UNKNOWN;
	is_gone = !is_end(&own->peer) || !get_psock(&own->peer);
	if (own->mode == MODE_LEAVE && own->strikes >= STRIKES)
		return SMALL_MESSAGES;
	if (own->mode == MODE_LEAVE && is_spill_long(own))
		return MUCH_BY_TCP;
	if (is_gone)
		return PEER_GONE;
	if (own->mode == MODE_BYPASS)
		return NONE;
	if (own->mode == MODE_LEAVE)
		return LEFT;
	if (lag)
		return TCP_UNREAD;
	if (!own->sent)
		return NOTHING_SENT;
	/* is_drained() knows more, but there is no stack for it beside a copy of the state. */
	return count_sleepers(&own->peer, threads) ? READER_ASLEEP : NEXT_MESSAGE;
}

SEC("iter/sockmap")
int list_sockets(struct bpf_iter__sockmap *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct sock *sk = ctx->sk;
	__u64 *key = ctx->key;
	struct socket_state *own;
	struct sk_psock *psock;
	enum verdict verdict;
	__s64 unread = -1;
	enum reason why;
	struct end end;
	__u32 lag = 0;

	own = bpf_map_lookup_elem(&scratch, &lag);
	if (!sk || !key || !own)
		return 0;
	end.cookie = *key;
	end.sock = (__u64)sk;
	if (!read_state(&end, own))
		return 0;
	psock = get_psock(&end);
	if (psock && bpf_core_field_exists(psock->msg_tot_len)) {
		__u32 bytes = 0;

		BPF_CORE_READ_INTO(&bytes, psock, msg_tot_len);
		unread = bytes;
	}
	verdict = judge(&end, own);
	print_key(seq, end.cookie);
	PRINT(seq, " %s %lld %d ", (__u64)verdicts[verdict], unread, own->mode);
	print_key(seq, own->peer.cookie);
	PRINT(seq, " %llu %d ", get_inode(sk), own->flags & FLAG_ACTIVE);
	print_addresses(seq, sk);
	lag = get_lag(own);
	why = explain(own, lag);
	PRINT(seq, "%llu %llu %u %u %s\n", own->messages, own->bytes, own->sent, lag,
	      (__u64)reasons[why]);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
