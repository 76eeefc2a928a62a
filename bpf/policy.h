/* SPDX-License-Identifier: GPL-2.0 */
/* Decides which connections may be bypassed. Each end is checked once, when it is established. */
#ifndef SOCKET_BYPASS_POLICY_H
#define SOCKET_BYPASS_POLICY_H

#include "socket_bypass.h"

#define AF_INET 2
#define MAPPED_PREFIX bpf_htonl(0xffff)

struct address {
	__u32 word[4]; /* network order; IPv4 as ::ffff:a.b.c.d */
};

/*
 * The verifier requires that each field of the context is read at a constant offset; without the
 * barrier clang selects one of two offsets and reads once.
 */
#define READ(field)                    \
	({                             \
		__u32 value = (field); \
		barrier_var(value);    \
		value;                 \
	})

static __always_inline struct address get_local(const struct bpf_sock_ops *ctx)
{
	if (ctx->family == AF_INET)
		return (struct address){ { 0, 0, MAPPED_PREFIX, READ(ctx->local_ip4) } };
	return (struct address){ { READ(ctx->local_ip6[0]), READ(ctx->local_ip6[1]),
				   READ(ctx->local_ip6[2]), READ(ctx->local_ip6[3]) } };
}

static __always_inline struct address get_remote(const struct bpf_sock_ops *ctx)
{
	if (ctx->family == AF_INET)
		return (struct address){ { 0, 0, MAPPED_PREFIX, READ(ctx->remote_ip4) } };
	return (struct address){ { READ(ctx->remote_ip6[0]), READ(ctx->remote_ip6[1]),
				   READ(ctx->remote_ip6[2]), READ(ctx->remote_ip6[3]) } };
}

/* remote_port is 32 bits in network order on either endianness. */
static __always_inline __u32 get_remote_port(const struct bpf_sock_ops *ctx)
{
	return bpf_ntohl(ctx->remote_port);
}

VERIFIED_ONCE int is_port_in(const struct policy *policy, __u32 port)
{
	if (!policy)
		return false;
	for (__u32 i = 0; i < MAX_RANGES && i < policy->ranges; i++) {
		if (port >= policy->range[i].first && port <= policy->range[i].last)
			return true;
	}
	return false;
}

VERIFIED_ONCE int is_address_in(const struct policy *policy, const struct address *address)
{
	if (!policy || !address)
		return false;
	for (__u32 i = 0; i < MAX_CIDRS && i < policy->cidrs; i++) {
		const struct cidr *cidr = &policy->cidr[i];
		__u32 differs = 0;

		for (__u32 j = 0; j < 4; j++)
			differs |= (address->word[j] ^ cidr->address[j]) & cidr->mask[j];
		if (!differs)
			return true;
	}
	return false;
}

static __always_inline const struct policy *get_policy(void)
{
	__u32 slot = get_knob(KNOB_POLICY) & 1;

	return bpf_map_lookup_elem(&policies, &slot);
}

/* A policy that names nothing allows nothing. */
static __always_inline bool are_ports_in(const struct policy *policy, __u32 local, __u32 remote)
{
	if (!policy->ranges)
		return policy->cidrs;
	return is_port_in(policy, local) || is_port_in(policy, remote);
}

/*
 * Whether a port is one of a service whose sockets the kernel takes over from a process, and with
 * them sk_user_data (iSCSI, NFS, NBD), unless the policy lists the port by itself. Such a socket
 * must not be in a sockmap: the kernel would find no psock when the socket closes, warn, and never
 * free it.
 */
static __always_inline bool is_taken_over(const struct policy *policy, __u32 port)
{
	return (port == 3260 && !(policy->named & 1)) || (port == 860 && !(policy->named & 2)) ||
	       (port == 2049 && !(policy->named & 4)) || (port == 10809 && !(policy->named & 8));
}

enum by_ports { PORTS_REFUSE, PORTS_ALLOW, PORTS_LEAVE_IT_TO_ADDRESSES };

/* Every filter that is given must match: a port of either end, and the addresses of both. */
static __always_inline enum by_ports ask_ports(const struct policy *policy, __u32 local,
					       __u32 remote)
{
	if (is_taken_over(policy, local) || is_taken_over(policy, remote))
		return PORTS_REFUSE;
	if (policy->everything)
		return PORTS_ALLOW;
	if (!are_ports_in(policy, local, remote))
		return PORTS_REFUSE;
	return policy->cidrs ? PORTS_LEAVE_IT_TO_ADDRESSES : PORTS_ALLOW;
}

static __always_inline bool are_addresses_in(const struct policy *policy,
					     const struct address *local,
					     const struct address *remote)
{
	return is_address_in(policy, local) && is_address_in(policy, remote);
}

static __always_inline bool is_allowed(const struct bpf_sock_ops *ctx)
{
	const struct policy *policy = get_policy();
	struct address local, remote;
	enum by_ports answer;

	if (!policy)
		return false;
	answer = ask_ports(policy, ctx->local_port, get_remote_port(ctx));
	if (answer != PORTS_LEAVE_IT_TO_ADDRESSES)
		return answer == PORTS_ALLOW;
	local = get_local(ctx);
	remote = get_remote(ctx);
	return are_addresses_in(policy, &local, &remote);
}

#endif
