// SPDX-License-Identifier: Apache-2.0
/* Counts how often a message wakes the thread that waits for it; it does not judge. */
#include "selftest.h"

#include <sys/epoll.h>

enum {
	MANY = 1000,
	LARGEST = 2000,
	WAIT_MS = 100,
	/*
	 * After this many missed wake-ups each wait becomes short, so that the test ends in time.
	 */
	PATIENT_MISSES = 10,
};

static int epoll_fd;
static unsigned int misses;

static int wait_ms(void)
{
	return misses < PATIENT_MISSES ? WAIT_MS : 1;
}

static bool wait_poll(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, wait_ms()) > 0;
}

static bool wait_epoll(void)
{
	struct epoll_event event;

	return epoll_wait(epoll_fd, &event, 1, wait_ms()) > 0;
}

/* Reads until the socket is empty, as edge-triggered epoll requires. */
static bool receive_woken(struct end *end)
{
	size_t count = draw_size(&end->in, LARGEST);
	uint64_t deadline = in_ms(PATIENCE_MS);
	bool is_woken = true;

	while (count) {
		bool is_told = end->is_client ? wait_poll(end->fd) : wait_epoll();
		ssize_t n;

		while ((n = pull(end, LARGEST_MESSAGE)) != BLOCKED) {
			if (n == FAILED)
				return false;
			if (n == 0 || (size_t)n > count)
				return fail_in(end, "wrong number of bytes", 0);
			count -= (size_t)n;
			/* Bytes were there, but the wait did not report them. */
			is_woken &= is_told;
		}
		if (count && now_ns() > deadline)
			return fail_silence(end, "nothing arrived for 2 s");
	}
	misses += !is_woken;
	facts->counts[end->is_client ? POLL_WOKEN : EPOLL_EDGE_WOKEN] += is_woken;
	return true;
}

bool poll_rounds(struct end *end)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };

	if (!end->is_client) {
		epoll_fd = epoll_create1(EPOLL_CLOEXEC);
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, end->fd, &event))
			return fail("epoll_ctl failed", errno);
	}
	facts->counts[ROUNDS] = MANY;
	for (int i = 0; i < 2 * MANY; i++)
		if (i % 2 == !end->is_client ? !send_bytes(end, draw_size(&end->out, LARGEST))
					     : !receive_woken(end))
			return false;
	return true;
}

static bool is_given_up(void)
{
	return __atomic_load_n(&facts->is_given_up, __ATOMIC_SEQ_CST);
}

/* False at the end of the conversation, for any reason. */
static bool receive_blocking(struct end *end, size_t count)
{
	uint8_t bytes[LARGEST];

	while (count) {
		ssize_t n = recv(end->fd, bytes, count, 0);

		if (is_given_up())
			return false;
		if (n < 0 && errno == EAGAIN)
			facts->counts[SPURIOUS_EAGAIN]++;
		else if (n < 0)
			return fail_in(end, "recv failed", errno);
		else if (n == 0)
			return fail_in(end, "ended too early", 0);
		else if (!check_content(end, bytes, (size_t)n))
			return false;
		else
			count -= (size_t)n;
	}
	return true;
}

static bool answer_all(struct end *end)
{
	for (int i = 0; i < MANY; i++) {
		if (!receive_blocking(end, draw_size(&end->in, LARGEST)))
			return is_given_up();
		facts->counts[RECV_WOKEN]++;
		if (!send_bytes(end, draw_size(&end->out, LARGEST)))
			return false;
	}
	return true;
}

bool recv_rounds(struct end *end)
{
	if (!end->is_client)
		return answer_all(end);
	for (int i = 0; i < MANY; i++) {
		if (!send_bytes(end, draw_size(&end->out, LARGEST)))
			return false;
		if (!wait_for(end->fd, POLLIN, in_ms(PATIENCE_MS / 2))) {
			/*
			 * That a sleeping reader is not woken is a fact and no failure; closing
			 * wakes it.
			 */
			__atomic_store_n(&facts->is_given_up, 1, __ATOMIC_SEQ_CST);
			return true;
		}
		if (!receive_bytes(end, draw_size(&end->in, LARGEST)))
			return false;
	}
	return true;
}
