// SPDX-License-Identifier: Apache-2.0
/* Growing lists, and places in them by hash. */
#include "advise.h"

#include <string.h>
#include <sys/mman.h>

void *take_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		say("advise: expected memory for what is found, found none");
		_exit(EXIT_FAILED);
	}
	return memory;
}

void *grow(void *list, uint32_t count, uint32_t *room, size_t size)
{
	uint32_t before = *room;
	void *memory;

	if (count < before)
		return list;
	*room = before ? before * 2 : 1024;
	memory = take_memory(*room * size);
	if (before) {
		memcpy(memory, list, before * size);
		munmap(list, before * size);
	}
	return memory;
}

struct tcp_end *add_end(struct tcp_ends *ends)
{
	struct tcp_end *end;

	if (ends->count == MOST_ENDS) {
		ends->left_out++;
		return NULL;
	}
	ends->all = grow(ends->all, ends->count, &ends->room, sizeof(*ends->all));
	end = &ends->all[ends->count++];
	memset(end, 0, sizeof(*end));
	end->process = end->peer = NOBODY;
	return end;
}

void make_index(struct index *index, uint32_t count)
{
	uint32_t size = 1024;

	while (size < count * 2)
		size *= 2;
	index->slots = take_memory(size * sizeof(*index->slots));
	index->mask = size - 1;
}

void drop_index(struct index *index)
{
	munmap(index->slots, (index->mask + 1) * sizeof(*index->slots));
	index->slots = NULL;
}

/* A slot holds the place plus one. The index has at least as many slots again as places. */
void put_place(struct index *index, uint64_t hash, uint32_t place)
{
	uint64_t at = hash;

	while (index->slots[at & index->mask])
		at++;
	index->slots[at & index->mask] = place + 1;
}

bool next_place(const struct index *index, uint64_t *at, uint32_t *place)
{
	uint32_t slot = index->slots[(*at)++ & index->mask];

	*place = slot - 1;
	return slot;
}
