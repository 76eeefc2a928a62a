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

/* The first range that has the port, as a key of `port_counters`. */
VERIFIED_ONCE __u32 find_range(const struct policy *policy, __u32 port)
{
	if (!policy)
		return NO_PORTS;
	for (__u32 i = 0; i < MAX_RANGES && i < policy->ranges; i++) {
		struct port_range range = policy->range[i];

		if (port >= range.first && port <= range.last)
			return range.first | (__u32)range.last << 16;
	}
	return NO_PORTS;
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

/* A policy that names nothing allows nothing. The range of the service's port comes first. */
static __always_inline __u32 find_ranges(const struct policy *policy, __u32 service, __u32 client)
{
	__u32 ports;

	if (!policy->ranges)
		return policy->cidrs ? ANY_PORTS : NO_PORTS;
	ports = find_range(policy, service);
	return ports ? ports : find_range(policy, client);
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

/*
 * Every filter that is given must match: a port of either end, and the addresses of both. Gives the
 * key of `port_counters` for a connection of these ports, NO_PORTS if they rule it out.
 */
static __always_inline __u32 ask_ports(const struct policy *policy, __u32 service, __u32 client)
{
	if (is_taken_over(policy, service) || is_taken_over(policy, client))
		return NO_PORTS;
	return policy->everything ? ANY_PORTS : find_ranges(policy, service, client);
}

static __always_inline bool are_addresses_asked(const struct policy *policy)
{
	return !policy->everything && policy->cidrs;
}

static __always_inline bool are_addresses_in(const struct policy *policy,
					     const struct address *local,
					     const struct address *remote)
{
	return is_address_in(policy, local) && is_address_in(policy, remote);
}

/* The key of `port_counters` for this connection, NO_PORTS if the policy leaves it alone. */
static __always_inline __u32 ask_policy(const struct bpf_sock_ops *ctx, bool is_active)
{
	const struct policy *policy = get_policy();
	__u32 local_port = ctx->local_port, remote_port = get_remote_port(ctx), ports;
	struct address local, remote;

	if (!policy)
		return NO_PORTS;
	ports = is_active ? ask_ports(policy, remote_port, local_port)
			  : ask_ports(policy, local_port, remote_port);
	if (!ports || !are_addresses_asked(policy))
		return ports;
	local = get_local(ctx);
	remote = get_remote(ctx);
	return are_addresses_in(policy, &local, &remote) ? ports : NO_PORTS;
}

#endif
