// SPDX-License-Identifier: GPL-2.0
/*
 * Works beside the splice guard, where the kernel lets its functions be traced. A recv(MSG_WAITALL)
 * returns with what one redirected message brought, or sleeps for good if part of it came by TCP
 * (tcp_bpf_recvmsg() does not look at the flag, Linux 4.17 to 7.3). A reader that uses the flag
 * before anything was redirected to it stays on TCP, and one that begins later goes back to TCP.
 * The program runs at each recv() from an enrolled socket, and at no other.
 */
#include "splice.h"

#define MSG_PEEK 2
#define MSG_DONTWAIT 0x40
#define MSG_WAITALL 0x100
#define NAME(a, b, c, d, e, f, g, h)                                                 \
	((__u64)(h) << 56 | (__u64)(g) << 48 | (__u64)(f) << 40 | (__u64)(e) << 32 | \
	 (__u64)(d) << 24 | (__u64)(c) << 16 | (__u64)(b) << 8 | (__u64)(a))

/*
 * Whether the caller is the self-test, which wants to see what a kernel does without this program.
 */
static __always_inline bool is_probe(const struct program *program)
{
	__u64 name = *(const __u64 *)program->name;

	return name == NAME('p', 'r', 'o', 'b', 'e', '-', 'x', '8') ||
	       name == NAME('p', 'r', 'o', 'b', 'e', '-', 'a', 'a');
}

/*
 * The helpers are those of Linux 5.17. Until 5.18 whether to block was an argument of its own,
 * before the flags.
 */
static __always_inline __u64 get_flags(__u64 *ctx)
{
	__u64 flags = 0, more = 0;

	bpf_get_func_arg(ctx, 3, &flags);
	if (bpf_get_func_arg_cnt(ctx) > 5)
		bpf_get_func_arg(ctx, 4, &more);
	return flags | more;
}

SEC("fentry/tcp_bpf_recvmsg")
int notice_waitall(__u64 *ctx)
{
	__u64 sk = ctx[0], length = ctx[2], waited = FEED_WAITED, flags = get_flags(ctx), cookie;
	struct program program;
	bool is_new = false;
	__u64 feed;

	/* A call that does not block returns what there is, by TCP too. */
	if (!(flags & MSG_WAITALL) || flags & (MSG_PEEK | MSG_DONTWAIT) || length < 2)
		return 0;
	get_program(&program);
	cookie = LOAD(struct sock, sk, __sk_common.skc_cookie.counter);
	if (!cookie || is_probe(&program))
		return 0;
	feed = get_feed(&feeds, cookie);
	if (!feed)
		feed = keep(sk, cookie, FEED_WAITED, &is_new);
	/*
	 * The sender sees this entry at its next look. An entry that a reset has left says more, so
	 * it stays.
	 */
	if (feed == FEED_REDIRECTED) {
		feed = get_feed(&past, cookie);
		if (!feed || feed >= FEED_REFUSED)
			is_new = !bpf_map_update_elem(&past, &cookie, &waited, BPF_ANY);
	}
	if (is_new)
		count_act(&program, false);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
