// SPDX-License-Identifier: Apache-2.0
/*
 * The ring of BPF_MAP_TYPE_RINGBUF (Linux 5.8): a page with the place up to which it is read, a
 * page with the place up to which it is written, and the bytes, which the kernel maps twice, so
 * that nothing in them is torn. Each entry begins with a word of its length and state.
 */
#include "tap.h"

#include <linux/bpf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { RING_BYTES = 8 << 20, ENTRY_HEAD = 8 };

static bool refuse(const char *what)
{
	say("tap: ", what, ": ", name_error(errno));
	return false;
}

static int create_map(void)
{
	/* Before Linux 5.11, maps count as locked memory of their user. */
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	union bpf_attr attr;

	setrlimit(RLIMIT_MEMLOCK, &all);
	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_RINGBUF;
	attr.max_entries = RING_BYTES;
	memcpy(attr.map_name, "tap", sizeof("tap"));
	return bpf(BPF_MAP_CREATE, &attr);
}

bool make_ring(struct ring *ring)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *ours, *theirs;

	ring->fd = create_map();
	if (ring->fd < 0)
		return refuse("making a ring of 8 MiB");
	ours = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
	if (ours == MAP_FAILED)
		return refuse("mapping the ring");
	theirs = mmap(NULL, page + 2 * (size_t)RING_BYTES, PROT_READ, MAP_SHARED, ring->fd,
		      (off_t)page);
	if (theirs == MAP_FAILED)
		return refuse("mapping the ring");
	ring->mask = RING_BYTES - 1;
	ring->taken = 0;
	ring->consumer = (volatile uint64_t *)ours;
	ring->producer = (const volatile uint64_t *)theirs;
	ring->bytes = theirs + page;
	return true;
}

static uint32_t read_head(const struct ring *ring)
{
	const uint32_t *head = (const uint32_t *)(ring->bytes + (ring->taken & ring->mask));

	return __atomic_load_n(head, __ATOMIC_ACQUIRE);
}

const struct piece *next_piece(struct ring *ring)
{
	while (ring->taken != __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE)) {
		uint32_t head = read_head(ring);

		if (head & BPF_RINGBUF_BUSY_BIT)
			return NULL; /* it is being written */
		if (!(head & BPF_RINGBUF_DISCARD_BIT))
			return (const struct piece *)(ring->bytes + (ring->taken & ring->mask) +
						      ENTRY_HEAD);
		release_piece(ring);
	}
	return NULL;
}

void release_piece(struct ring *ring)
{
	uint32_t length = read_head(ring) & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

	ring->taken += (length + ENTRY_HEAD + 7) / 8 * 8;
	__atomic_store_n(ring->consumer, ring->taken, __ATOMIC_RELEASE);
}
