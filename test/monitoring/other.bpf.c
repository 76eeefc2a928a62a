// SPDX-License-Identifier: GPL-2.0
/*
 * Another product that uses a sockmap: it takes each new connection of its cgroup before
 * socket-bypass sees it.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 64);
	__type(key, __u64);
	__type(value, __u64);
} theirs SEC(".maps");

SEC("sockops")
int take(struct bpf_sock_ops *ctx)
{
	__u64 key = bpf_get_socket_cookie(ctx);

	if (ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB ||
	    ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		bpf_sock_hash_update(ctx, &theirs, &key, BPF_NOEXIST);
	return 1;
}

SEC("sk_msg")
int pass(struct sk_msg_md *msg)
{
	return SK_PASS;
}
