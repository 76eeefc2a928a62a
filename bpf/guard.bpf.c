// SPDX-License-Identifier: GPL-2.0
/*
 * fentry: the splice guard. splice(2) sees nothing of what was redirected, so these tell redirect how a socket is read: who has received
 * and never spliced may be redirected to. Optional: only where the kernel has fentry and bpftool attaches it (7.2 or newer).
 */
#include "socket_bypass.h"

/* By any call but splice: the kernel enters here for every enrolled socket, also when the bytes came by TCP. */
SEC("fentry/tcp_bpf_recvmsg")
int note_receive(__u64 *ctx)
{
	struct socket_state *own = bpf_sk_storage_get(&state, (struct sock *)ctx[0], 0, 0);

	if (own)
		own->reader |= READER_RECEIVED;
	return 0;
}

SEC("fentry/tcp_splice_read")
int note_splice(__u64 *ctx)
{
	struct sock *sk = ((struct socket *)ctx[0])->sk;
	__u32 knob = KNOB_GUARD;
	struct socket_state *own;
	__u64 *splices;

	own = sk ? bpf_sk_storage_get(&state, sk, 0, 0) : 0;
	if (!own || (own->reader & READER_SPLICED))
		return 0;
	own->reader |= READER_SPLICED;
	splices = bpf_map_lookup_elem(&knobs, &knob);
	if (splices)
		__sync_fetch_and_add(splices, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
