// SPDX-License-Identifier: GPL-2.0
/*
 * The usual design, as a baseline: every established socket goes into the sockhash under its
 * addresses and ports, and every message is redirected to whatever socket has the same addresses
 * and ports in reverse. IPv4 only. Never use it: it reorders bytes, holds unread bytes without a
 * bound, and enrols sockets whose peer is on another host.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_INET 2

struct tuple {
	__u32 local_ip, remote_ip;
	__u32 local_port, remote_port; /* host order */
};

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 65536);
	__type(key, struct tuple);
	__type(value, __u64);
} tuples SEC(".maps");

SEC("sockops")
int track_tuples(struct bpf_sock_ops *ctx)
{
	struct tuple tuple = {};

	if (ctx->family != AF_INET || (ctx->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB &&
				       ctx->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB))
		return 1;
	tuple.local_ip = ctx->local_ip4;
	tuple.remote_ip = ctx->remote_ip4;
	tuple.local_port = ctx->local_port;
	tuple.remote_port = bpf_ntohl(ctx->remote_port);
	bpf_sock_hash_update(ctx, &tuples, &tuple, BPF_NOEXIST);
	return 1;
}

SEC("sk_msg")
int redirect_tuples(struct sk_msg_md *msg)
{
	struct tuple tuple = {};

	tuple.local_ip = msg->remote_ip4;
	tuple.remote_ip = msg->local_ip4;
	tuple.local_port = bpf_ntohl(msg->remote_port);
	tuple.remote_port = msg->local_port;
	bpf_msg_redirect_hash(msg, &tuples, &tuple, BPF_F_INGRESS);
	return SK_PASS;
}

char LICENSE[] SEC("license") = "GPL";
