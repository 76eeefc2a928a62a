// SPDX-License-Identifier: Apache-2.0
/* Finds the socket that listens for each connection that was accepted. */
#include "advise.h"

#include <string.h>

static uint64_t hash_port(uint16_t space, uint16_t port)
{
	return hash_bytes(space, &port, sizeof(port));
}

/*
 * How well a listener on the port of this end fits, as the kernel decides it: its own address
 * before any address, then the interface, then the family. 0 if it cannot have accepted the
 * connection.
 */
static unsigned int fit(const struct tcp_end *listener, const struct tcp_end *end)
{
	static const uint8_t any[16], any_of_ipv4[16] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *address = listener->local.address;
	bool is_ipv4 = memcmp(end->local.address, any_of_ipv4, 12) == 0;
	unsigned int by_device = listener->device ? 2 : 0;

	if (listener->device && listener->device != end->device)
		return 0;
	if (is_same_point(&listener->local, &end->local))
		return 8 + by_device;
	if (memcmp(address, any_of_ipv4, 16) == 0)
		return is_ipv4 ? 5 + by_device : 0;
	return memcmp(address, any, 16) || (is_ipv4 && listener->traits & ONLY_IPV6)
		       ? 0
		       : 4 + by_device;
}

/*
 * What listens on the port of this end and fits best, or else anything, as where a program has
 * closed the socket from which it accepted.
 */
static struct tcp_end *find_listener(const struct tcp_ends *ends, const struct index *listeners,
				     const struct tcp_end *end)
{
	uint64_t hash = hash_port(end->space, end->local.port);
	struct tcp_end *found = NULL;
	unsigned int best = 0;
	uint32_t place;

	while (next_place(listeners, &hash, &place)) {
		struct tcp_end *listener = &ends->all[place];
		unsigned int its;

		if (listener->space != end->space || listener->local.port != end->local.port)
			continue;
		its = fit(listener, end);
		if (!found || its > best) {
			found = listener;
			best = its;
		}
	}
	return found;
}

/*
 * Many may hold a socket that listens: systemd and the service that it starts, or a supervisor and
 * its workers. Whoever has a connection of it is the one that accepts.
 */
static void note_accepted(struct tcp_end *listener, const struct tcp_end *end)
{
	if (end->process == NOBODY || listener->traits & HAS_ACCEPTED)
		return;
	if (!fit(listener, end))
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
