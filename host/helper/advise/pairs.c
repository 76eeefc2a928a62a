// SPDX-License-Identifier: Apache-2.0
/* Finds the other end of each connection, if it is on this host. */
#include "advise.h"

#include <string.h>

/* How many ends without a partner are compared with each other. */
enum { MOST_LONELY = 4096 };

static uint64_t hash_port(uint16_t space, uint16_t port)
{
	return hash_bytes(space, &port, sizeof(port));
}

static uint64_t hash_points(const struct point *one, const struct point *two)
{
	return hash_bytes(hash_bytes(0, one, sizeof(*one)), two, sizeof(*two));
}

/* IPv4's own lies within it. */
static bool is_any_address(const uint8_t *address)
{
	static const uint8_t any[16], any_of_ipv4[16] = { [10] = 0xff, [11] = 0xff };

	return memcmp(address, any, 16) == 0 || memcmp(address, any_of_ipv4, 16) == 0;
}

/*
 * What listens on the port of this end: at its own address, or else at any, or else at another one,
 * as where a program has closed the socket from which it accepted.
 */
static struct tcp_end *find_listener(const struct tcp_ends *ends, const struct index *listeners,
				     const struct tcp_end *end)
{
	uint64_t hash = hash_port(end->space, end->local.port);
	struct tcp_end *found = NULL;
	uint32_t place;

	while (next_place(listeners, &hash, &place)) {
		struct tcp_end *listener = &ends->all[place];

		if (listener->space != end->space || listener->local.port != end->local.port)
			continue;
		if (is_same_point(&listener->local, &end->local))
			return listener;
		if (!found || (is_any_address(listener->local.address) &&
			       !is_any_address(found->local.address)))
			found = listener;
	}
	return found;
}

/*
 * Many may hold a socket that listens: systemd and the service that it starts, or a supervisor and
 * its workers. Whoever has a connection of it is the one that accepts. What listens at another
 * address has not accepted this one.
 */
static void note_accepted(struct tcp_end *listener, const struct tcp_end *end)
{
	if (end->process == NOBODY || listener->traits & HAS_ACCEPTED)
		return;
	if (!is_any_address(listener->local.address) &&
	    !is_same_point(&listener->local, &end->local))
		return;
	listener->process = end->process;
	listener->traits |= HAS_ACCEPTED;
}

void find_servers(struct tcp_ends *ends)
{
	struct index listeners;

	make_index(&listeners, ends->count);
	for (uint32_t i = 0; i < ends->count; i++)
		if (ends->all[i].state == LISTENS)
			put_place(&listeners,
				  hash_port(ends->all[i].space, ends->all[i].local.port), i);
	for (unsigned int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < ends->count; i++) {
			struct tcp_end *end = &ends->all[i], *listener = NULL;

			if (end->state != LISTENS)
				listener = find_listener(ends, &listeners, end);
			if (!listener)
				continue;
			end->traits |= IS_SERVER | (listener->traits & (DEFERS | HAS_MPTCP));
			if (pass == 0)
				note_accepted(listener, end);
			else if (end->process == NOBODY)
				/* Nobody has accepted it yet, or it is not known who did. */
				end->process = listener->process;
		}
	}
	drop_index(&listeners);
}

static bool is_lonely(const struct tcp_end *end)
{
	return end->state != LISTENS && end->peer == NOBODY;
}

/* What one end has sent the other has received, but for what is on its way. */
static uint64_t differ(const struct tcp_end *one, const struct tcp_end *two)
{
	uint64_t there = one->bytes[OUT] - two->bytes[IN], back = two->bytes[OUT] - one->bytes[IN];

	return ((int64_t)there < 0 ? -there : there) + ((int64_t)back < 0 ? -back : back);
}

static void join(struct tcp_ends *ends, uint32_t one, uint32_t two)
{
	ends->all[one].peer = (int)two;
	ends->all[two].peer = (int)one;
}

/* An address of loopback means another host in each namespace. */
static bool may_meet(const struct tcp_end *one, const struct tcp_end *two)
{
	return one->space == two->space ||
	       !(is_loopback(one->local.address) || is_loopback(one->remote.address) ||
		 is_loopback(two->local.address));
}

/* The better of two candidates is of the same namespace, then has counted the same bytes. */
static bool is_better(const struct tcp_end *end, const struct tcp_end *one,
		      const struct tcp_end *two)
{
	if ((one->space == end->space) != (two->space == end->space))
		return one->space == end->space;
	if ((one->traits ^ two->traits) & IS_ENDED)
		return !((one->traits ^ end->traits) & IS_ENDED);
	return differ(end, one) < differ(end, two);
}

static void pair_by(struct tcp_ends *ends, const struct index *index, uint32_t place, uint64_t hash,
		    bool (*is_match)(const struct tcp_end *end, const struct tcp_end *other))
{
	const struct tcp_end *end = &ends->all[place];
	int best = NOBODY;
	uint32_t other;

	while (next_place(index, &hash, &other)) {
		const struct tcp_end *candidate = &ends->all[other];

		if (other != place && is_lonely(candidate) && may_meet(end, candidate) &&
		    is_match(end, candidate) &&
		    (best == NOBODY || is_better(end, candidate, &ends->all[best])))
			best = (int)other;
	}
	if (best != NOBODY)
		join(ends, place, (uint32_t)best);
}

static bool is_mirror(const struct tcp_end *end, const struct tcp_end *other)
{
	return is_same_point(&end->local, &other->remote) &&
	       is_same_point(&end->remote, &other->local);
}

/* Behind a NAT of the server's address, the client's own is the same at both ends. */
static bool is_client_of(const struct tcp_end *end, const struct tcp_end *other)
{
	return other->traits & IS_SERVER && is_same_point(&end->local, &other->remote);
}

/*
 * Behind a NAT of the client's address, the server sees one of this host. Then what both have
 * counted decides. A relay has the same counts at its two sides, so the ends must not be of one
 * program.
 */
static bool is_alike(const struct tcp_end *end, const struct tcp_end *other)
{
	uint64_t all = end->bytes[IN] + end->bytes[OUT];
	uint64_t room = end->local.port == other->remote.port ? all / 8 : all / 64;

	return all >= 256 && differ(end, other) <= room + 64 && may_meet(end, other) &&
	       !same_text(name_process(end->process), name_process(other->process));
}

static void pair_lonely(struct tcp_ends *ends)
{
	static uint32_t servers[MOST_LONELY];
	uint32_t server_count = 0, client_count = 0;

	for (uint32_t i = 0; i < ends->count && server_count < MOST_LONELY; i++) {
		const struct tcp_end *end = &ends->all[i];

		if (is_lonely(end) && end->traits & IS_SERVER &&
		    is_host_address(end->remote.address))
			servers[server_count++] = i;
	}
	for (uint32_t i = 0; i < ends->count && server_count && client_count < MOST_LONELY; i++) {
		const struct tcp_end *end = &ends->all[i];
		int best = NOBODY;

		if (!is_lonely(end) || end->traits & IS_SERVER)
			continue;
		client_count++;
		for (uint32_t j = 0; j < server_count; j++) {
			const struct tcp_end *other = &ends->all[servers[j]];

			if (is_lonely(other) && is_alike(end, other) &&
			    (best == NOBODY || differ(end, other) < differ(end, &ends->all[best])))
				best = (int)servers[j];
		}
		if (best != NOBODY)
			join(ends, i, (uint32_t)best);
	}
}

void find_pairs(struct tcp_ends *ends)
{
	struct index by_points, by_client;

	make_index(&by_points, ends->count);
	make_index(&by_client, ends->count);
	for (uint32_t i = 0; i < ends->count; i++) {
		const struct tcp_end *end = &ends->all[i];

		if (end->state == LISTENS)
			continue;
		put_place(&by_points, hash_points(&end->local, &end->remote), i);
		if (end->traits & IS_SERVER)
			put_place(&by_client, hash_points(&end->remote, &end->remote), i);
	}
	for (uint32_t i = 0; i < ends->count; i++) {
		const struct tcp_end *end = &ends->all[i];

		if (is_lonely(end))
			pair_by(ends, &by_points, i, hash_points(&end->remote, &end->local),
				is_mirror);
	}
	for (uint32_t i = 0; i < ends->count; i++) {
		const struct tcp_end *end = &ends->all[i];

		if (is_lonely(end) && !(end->traits & IS_SERVER))
			pair_by(ends, &by_client, i, hash_points(&end->local, &end->local),
				is_client_of);
	}
	drop_index(&by_points);
	drop_index(&by_client);
	pair_lonely(ends);
}
