// SPDX-License-Identifier: Apache-2.0
/*
 * Makes one list of both looks and of what ended between them.
 *
 * A socket is in one network namespace for good, and the kernel lists it in no other one.
 * Its cookie is unique on the host since Linux 5.4 (cd48bdda4fb8), and in its namespace before.
 * A socket that is connected again keeps its cookie, so addresses tell those connections apart.
 */
#include "advise.h"

static uint64_t hash_end(const struct tcp_end *end)
{
	uint64_t hash = hash_bytes(end->space, &end->local, sizeof(end->local));

	hash = hash_bytes(hash, &end->remote, sizeof(end->remote));
	return hash_bytes(hash, &end->cookie, sizeof(end->cookie));
}

static bool is_same_end(const struct tcp_end *a, const struct tcp_end *b)
{
	return a->space == b->space && a->cookie == b->cookie &&
	       is_same_point(&a->local, &b->local) && is_same_point(&a->remote, &b->remote);
}

static void make_index_of(struct index *index, const struct tcp_ends *ends)
{
	make_index(index, ends->count);
	for (uint32_t i = 0; i < ends->count; i++)
		put_place(index, hash_end(&ends->all[i]), i);
}

static struct tcp_end *find_end(const struct index *index, const struct tcp_ends *ends,
				const struct tcp_end *end)
{
	uint64_t at = hash_end(end);
	uint32_t place;

	while (next_place(index, &at, &place))
		if (is_same_end(&ends->all[place], end))
			return &ends->all[place];
	return NULL;
}

/*
 * The kernel lists sockets in parts, and adds new ones at the front of their bucket. So a socket
 * that stands behind one that was added between two parts may be listed again.
 */
static void drop_repeated(struct tcp_ends *ends)
{
	uint32_t count = ends->count;
	struct index index;

	make_index(&index, count);
	ends->count = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct tcp_end *end = &ends->all[i];

		if (find_end(&index, ends, end))
			continue;
		put_place(&index, hash_end(end), ends->count);
		ends->all[ends->count++] = *end;
	}
	drop_index(&index);
}

/*
 * A socket that was connected again, with the addresses that it had, counts from 0. Segments are
 * counted by 32 bits, and each has a byte.
 */
static bool is_connected_again(const struct tcp_end *end, const struct tcp_end *before)
{
	for (unsigned int i = IN; i <= OUT; i++) {
		uint32_t segments = end->segments[i] - before->segments[i];

		if (end->bytes[i] < before->bytes[i] ||
		    (segments > INT32_MAX && segments > end->bytes[i] - before->bytes[i]))
			return true;
	}
	return false;
}

static void subtract(struct tcp_end *end, const struct tcp_end *before)
{
	uint32_t resent;

	if (before && end->process == NOBODY)
		end->process = before->process;
	if (before && is_connected_again(end, before))
		before = NULL;
	for (unsigned int i = IN; i <= OUT; i++) {
		end->moved[i] = end->bytes[i] - (before ? before->bytes[i] : 0);
		end->moved_segments[i] = end->segments[i] - (before ? before->segments[i] : 0);
	}
	/* SYN and FIN count as sent again, but have no data. */
	resent = end->resent - (before ? before->resent : 0);
	if (end->moved_segments[OUT] > resent)
		end->moved_segments[OUT] -= resent;
	else if (end->moved_segments[OUT])
		end->moved_segments[OUT] = 1;
	end->traits |= before ? 0 : IS_NEW;
}

/* Takes over what the other list has and this one lacks. */
static void add_missing(struct tcp_ends *ends, const struct tcp_ends *others)
{
	struct index index;

	make_index_of(&index, ends);
	for (uint32_t i = 0; i < others->count; i++) {
		struct tcp_end *added;

		if (find_end(&index, ends, &others->all[i]) || !(added = add_end(ends)))
			continue;
		*added = others->all[i];
		added->traits |= IS_ENDED;
	}
	drop_index(&index);
}

void merge(struct tcp_ends *first, struct tcp_ends *ended, struct tcp_ends *last)
{
	struct index index;

	drop_repeated(first);
	drop_repeated(last);
	/* One that ended behind the last look is in it. */
	add_missing(last, ended);
	/* Of these it is not known what they moved. */
	add_missing(last, first);
	make_index_of(&index, first);
	for (uint32_t i = 0; i < last->count; i++)
		subtract(&last->all[i], find_end(&index, first, &last->all[i]));
	drop_index(&index);
	last->left_out += first->left_out + ended->left_out;
}
