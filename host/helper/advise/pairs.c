// SPDX-License-Identifier: Apache-2.0
/* Finds the other end of each connection, if it is on this host. */
#include "advise.h"

#include <sys/mman.h>

enum {
	/* How many ends without a partner are compared with each other. */
	MOST_LONELY = 4096,
	/* With how many of the same addresses an end is compared. */
	MOST_ALIKE = 1024,
	NONE = UINT32_MAX,
};

/*
 * Ends by hash, in the order of the list. A client that connects from one port again and again may
 * have 50,000 of the same addresses, which an index alone would compare with each other.
 */
struct chains {
	struct index heads;
	/* By the place of an end: for the head of a chain its hash and its first end. */
	uint64_t *hashes;
	uint32_t *first;
	/* And for each the next one. */
	uint32_t *next;
	size_t room;
};

static void make_chains(struct chains *chains, uint32_t count)
{
	make_index(&chains->heads, count);
	chains->room = (size_t)count + 1;
	chains->hashes = take_memory(chains->room * sizeof(*chains->hashes));
	chains->first = take_memory(chains->room * sizeof(*chains->first));
	chains->next = take_memory(chains->room * sizeof(*chains->next));
}

static void drop_chains(struct chains *chains)
{
	drop_index(&chains->heads);
	munmap(chains->hashes, chains->room * sizeof(*chains->hashes));
	munmap(chains->first, chains->room * sizeof(*chains->first));
	munmap(chains->next, chains->room * sizeof(*chains->next));
}

/* NULL if there is none. */
static uint32_t *find_chain(const struct chains *chains, uint64_t hash)
{
	uint64_t at = hash;
	uint32_t place;

	while (next_place(&chains->heads, &at, &place))
		if (chains->hashes[place] == hash)
			return &chains->first[place];
	return NULL;
}

/* In front, so the last ones have to come first. */
static void put_in_chain(struct chains *chains, uint64_t hash, uint32_t place)
{
	uint32_t *first = find_chain(chains, hash);

	if (!first) {
		put_place(&chains->heads, hash, place);
		chains->hashes[place] = hash;
		first = &chains->first[place];
		*first = NONE;
	}
	chains->next[place] = *first;
	*first = place;
}

static uint64_t hash_points(const struct point *one, const struct point *two)
{
	return hash_bytes(hash_bytes(0, one, sizeof(*one)), two, sizeof(*two));
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

static void pair_by(struct tcp_ends *ends, struct chains *chains, uint32_t place, uint64_t hash,
		    bool (*is_match)(const struct tcp_end *end, const struct tcp_end *other))
{
	const struct tcp_end *end = &ends->all[place];
	uint32_t *link = find_chain(chains, hash), compared = 0;
	int best = NOBODY;

	while (link && *link != NONE && compared < MOST_ALIKE) {
		uint32_t other = *link;
		const struct tcp_end *candidate = &ends->all[other];

		/* One that has its peer is out of the way for good. */
		if (!is_lonely(candidate)) {
			*link = chains->next[other];
			continue;
		}
		link = &chains->next[other];
		compared++;
		if (other != place && may_meet(end, candidate) && is_match(end, candidate) &&
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
	struct chains by_points, by_client;

	make_chains(&by_points, ends->count);
	make_chains(&by_client, ends->count);
	for (uint32_t i = ends->count; i-- > 0;) {
		const struct tcp_end *end = &ends->all[i];

		if (end->state == LISTENS)
			continue;
		put_in_chain(&by_points, hash_points(&end->local, &end->remote), i);
		if (end->traits & IS_SERVER)
			put_in_chain(&by_client, hash_points(&end->remote, &end->remote), i);
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
	drop_chains(&by_points);
	drop_chains(&by_client);
	pair_lonely(ends);
}
