// SPDX-License-Identifier: Apache-2.0
/*
 * Finds processes that pass on what they get, byte for byte: at their two sides they have counted
 * the same. A proxy that adds a header has not.
 */
#include "advise.h"

#include <sys/mman.h>

/* How many connections of a process are compared at each side. */
enum { MOST_COMPARED = 256, MOST_ON_THEIR_WAY = 2 };

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/*
 * One direction has the same count at a look; in the other one, some bytes may be on their way.
 */
static bool is_same(const struct tcp_end *server, const struct tcp_end *client, bool is_first)
{
	uint64_t in = server->bytes[IN] - (is_first ? server->moved[IN] : 0);
	uint64_t out = server->bytes[OUT] - (is_first ? server->moved[OUT] : 0);
	uint64_t there = distance(in, client->bytes[OUT] - (is_first ? client->moved[OUT] : 0));
	uint64_t back = distance(out, client->bytes[IN] - (is_first ? client->moved[IN] : 0));

	return in + out >= 64 && (!there || !back) && there + back <= (in + out) / 32;
}

/* The kernel lists one socket some milliseconds before another, in which a busy relay goes on. */
static bool is_alike(const struct tcp_end *server, const struct tcp_end *client,
		     enum direction direction)
{
	uint64_t moved = server->moved[direction], segments = server->moved_segments[direction];

	return segments >= MOST_ON_THEIR_WAY * 16 &&
	       distance(moved, client->moved[!direction]) <=
		       moved / 256 + MOST_ON_THEIR_WAY * moved / segments;
}

static bool is_passed_on(const struct tcp_end *server, const struct tcp_end *client)
{
	return is_same(server, client, false) || is_same(server, client, true) ||
	       (is_alike(server, client, IN) && is_alike(server, client, OUT));
}

static void compare(struct tcp_ends *ends, uint32_t first, const uint32_t *next)
{
	uint32_t clients[MOST_COMPARED], client_count = 0, server_count = 0;
	bool is_server = false;

	for (uint32_t i = first; i != UINT32_MAX; i = next[i]) {
		if (ends->all[i].traits & IS_SERVER)
			is_server = true;
		else if (client_count < MOST_COMPARED)
			clients[client_count++] = i;
	}
	for (uint32_t i = first; i != UINT32_MAX && is_server && client_count; i = next[i]) {
		struct tcp_end *end = &ends->all[i];

		end->traits |= HAS_BOTH;
		if (!(end->traits & IS_SERVER) || server_count++ >= MOST_COMPARED)
			continue;
		for (uint32_t j = 0; j < client_count; j++) {
			if (!is_passed_on(end, &ends->all[clients[j]]))
				continue;
			end->traits |= RELAYS;
			ends->all[clients[j]].traits |= RELAYS;
		}
	}
}

/* The ends of each process are a chain: the first one, and behind each the next. */
void find_relays(struct tcp_ends *ends)
{
	uint32_t *first = take_memory((process_count + 1) * sizeof(*first));
	uint32_t *next = take_memory((ends->count + 1) * sizeof(*next));

	for (uint32_t i = 0; i < process_count; i++)
		first[i] = UINT32_MAX;
	for (uint32_t i = 0; i < ends->count; i++) {
		const struct tcp_end *end = &ends->all[i];

		/* The two ends of a connection have the same counts anyway. */
		if (end->process == NOBODY || end->state == LISTENS ||
		    (end->peer != NOBODY && ends->all[end->peer].process == end->process))
			continue;
		next[i] = first[end->process];
		first[end->process] = i;
	}
	for (uint32_t i = 0; i < process_count; i++)
		compare(ends, first[i], next);
	munmap(first, (process_count + 1) * sizeof(*first));
	munmap(next, (ends->count + 1) * sizeof(*next));
}
