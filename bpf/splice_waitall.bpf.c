// SPDX-License-Identifier: GPL-2.0
/*
 * Beside the splice guard, where the kernel lets its functions be traced: recv(MSG_WAITALL) returns with what one
 * redirected message brought, or sleeps for good when part of it came by TCP (tcp_bpf_recvmsg() does not look at the
 * flag, Linux 4.17 to 7.3). Who asks so before anything was redirected to him stays on TCP, and who begins later goes
 * back to it. It is asked at each recv() from an enrolled socket, and from no other.
 */
#include "splice.h"

#define MSG_PEEK 2
#define MSG_WAITALL 0x100

/* Until Linux 5.18 the fourth argument tells whether to block, which is 0 or MSG_DONTWAIT; the flags came after it. */
SEC("fentry/tcp_bpf_recvmsg")
int notice_waitall(__u64 *ctx)
{
	__u64 sk = ctx[0], length = ctx[2], flags = ctx[3], waited = FEED_WAITED, cookie, feed;
	struct program program;
	bool is_new = false;

	if (!(flags & MSG_WAITALL) || flags & MSG_PEEK || length < 2)
		return 0;
	cookie = LOAD(struct sock, sk, __sk_common.skc_cookie.counter);
	feed = cookie ? get_feed(&feeds, cookie) : FEED_NONE;
	if (feed == FEED_REDIRECTED && get_feed(&past, cookie) != FEED_WAITED) {
		/* Its sender sees that at its next look. */
		is_new = !bpf_map_update_elem(&past, &cookie, &waited, BPF_ANY);
	} else if (!feed) {
		keep(sk, cookie, FEED_WAITED, &is_new);
	}
	if (!is_new)
		return 0;
	get_program(&program);
	count_act(&program, false);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
