// SPDX-License-Identifier: Apache-2.0
/* As much of io_uring as an end needs: one request at a time, with one ring for each thread. */
#define _GNU_SOURCE
#include "soak.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static __thread struct {
	int fd; /* 0: not open yet */
	uint8_t *rings;
	struct io_uring_sqe *entries;
	struct io_uring_params params;
} ring;

static void open_ring(void)
{
	struct io_uring_params *params = &ring.params;
	size_t size, completions;

	ring.fd = (int)syscall(SYS_io_uring_setup, 2, params);
	if (ring.fd < 0)
		fail("io_uring_setup: %s", strerror(errno));
	size = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
	completions = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
	ring.rings = mmap(NULL, size > completions ? size : completions, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQ_RING);
	ring.entries =
		mmap(NULL, params->sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQES);
	if (ring.rings == MAP_FAILED || ring.entries == MAP_FAILED)
		fail("io_uring: %s", strerror(errno));
}

static _Atomic uint32_t *at(uint32_t offset)
{
	return (_Atomic uint32_t *)(ring.rings + offset);
}

int call_ring(enum ring_call call, int fd, void *bytes, uint32_t size)
{
	const struct io_uring_params *params = &ring.params;
	const struct io_uring_cqe *completions;
	uint32_t tail, head, index;
	int result;

	if (!ring.fd)
		open_ring();
	tail = atomic_load(at(params->sq_off.tail));
	index = tail & atomic_load(at(params->sq_off.ring_mask));
	memset(&ring.entries[index], 0, sizeof(ring.entries[index]));
	ring.entries[index].opcode = (uint8_t)call;
	ring.entries[index].fd = fd;
	ring.entries[index].addr = (uint64_t)(uintptr_t)bytes;
	ring.entries[index].len = size;
	ring.entries[index].msg_flags = MSG_NOSIGNAL;
	atomic_store(at(params->sq_off.array + index * 4), index);
	atomic_store(at(params->sq_off.tail), tail + 1);
	head = atomic_load(at(params->cq_off.head));
	if (syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0 &&
	    errno != EINTR)
		fail("io_uring_enter: %s", strerror(errno));
	while (head == atomic_load(at(params->cq_off.tail)))
		syscall(SYS_io_uring_enter, ring.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	completions = (const struct io_uring_cqe *)(ring.rings + params->cq_off.cqes);
	result = completions[head & atomic_load(at(params->cq_off.ring_mask))].res;
	atomic_store(at(params->cq_off.head), head + 1);
	return result;
}
