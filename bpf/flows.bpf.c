// SPDX-License-Identifier: GPL-2.0
/*
 * iter/sockmap over `sockets`: a line for each enrolled socket:
 *
 *	KEY VERDICT UNREAD MODE PEER
 *
 * KEY and PEER are keys of the map as bpftool takes them, byte by byte. VERDICT is idle when the socket may be taken out of the map
 * (once its generation drains and every program run of before is over), unread when it holds redirected bytes that would vanish,
 * busy when a call that may still redirect to it is under way. UNREAD is in bytes, or -1 where the kernel does not count them.
 */
#include "ends.h"

#define PRINT(seq, format, ...)                                                  \
	({                                                                       \
		static const char text[] = format;                               \
		__u64 values[] = { __VA_ARGS__ };                                \
		bpf_seq_printf(seq, text, sizeof(text), values, sizeof(values)); \
	})

enum verdict { IDLE, UNREAD, BUSY };

static __always_inline enum verdict judge(const struct end *end, const struct end *peer)
{
	struct sk_psock *psock = get_psock(end), *feeder;

	if (!psock)
		return BUSY; /* it is leaving at this very moment */
	if (has_redirected_bytes(psock))
		return UNREAD;
	if (!is_end(peer))
		return IDLE; /* never known, or closed: nobody feeds it */
	feeder = get_psock(peer);
	return feeder && count_calls(peer, feeder) > 0 ? BUSY : IDLE;
}

static __always_inline void print_key(struct seq_file *seq, __u64 key)
{
	const __u8 *byte = (const __u8 *)&key;

	PRINT(seq, "%02x:%02x:%02x:%02x:", byte[0], byte[1], byte[2], byte[3]);
	PRINT(seq, "%02x:%02x:%02x:%02x", byte[4], byte[5], byte[6], byte[7]);
}

SEC("iter/sockmap")
int list_sockets(struct bpf_iter__sockmap *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct sock *sk = ctx->sk;
	__u64 *key = ctx->key;
	struct socket_state own;
	struct sk_psock *psock;
	struct end end;
	__s64 unread = -1;

	if (!sk || !key)
		return 0;
	end.cookie = *key;
	end.sock = (__u64)sk;
	if (!read_state(&end, &own))
		return 0;
	psock = get_psock(&end);
	if (psock && bpf_core_field_exists(psock->msg_tot_len)) {
		__u32 bytes = 0;

		BPF_CORE_READ_INTO(&bytes, psock, msg_tot_len);
		unread = bytes;
	}
	print_key(seq, end.cookie);
	switch (judge(&end, &own.peer)) {
	case IDLE:
		PRINT(seq, " idle %lld %d ", unread, own.mode);
		break;
	case UNREAD:
		PRINT(seq, " unread %lld %d ", unread, own.mode);
		break;
	case BUSY:
		PRINT(seq, " busy %lld %d ", unread, own.mode);
		break;
	}
	print_key(seq, own.peer.cookie);
	bpf_seq_write(seq, "\n", 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
