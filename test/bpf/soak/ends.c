// SPDX-License-Identifier: Apache-2.0
// Long: each way in which an end sends and reads.
/*
 * An end of a connection. Byte n of a stream is a function of the stream's seed and n, so the
 * reader can check every byte, and no loss, repetition, reordering or change goes unseen.
 */
#define _GNU_SOURCE
#include "soak.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LARGEST = 1 << 20, SENDERS = 3 };

struct end {
	struct slot *slot;
	int fd;
	int side;
	bool is_ring;
	struct stream *out, *in;
};

/* Makes the bytes from offset on, and gives their place in the buffer. */
static uint8_t *make_bytes(uint64_t *buffer, uint64_t seed, uint64_t offset, size_t count)
{
	uint64_t first = offset / 8;

	for (size_t i = 0; i <= (count + offset % 8) / 8; i++)
		buffer[i] = mix(seed + first + i);
	return (uint8_t *)buffer + offset % 8;
}

static uint64_t *new_buffer(void)
{
	return malloc(LARGEST + 64);
}

/* Records that this end lost the connection. The parent knows whether it was allowed to. */
static bool is_cut(const struct end *end, int error)
{
	if (error != ECONNRESET && error != EPIPE)
		fail("end %d: %s", end->side, strerror(error));
	atomic_store(&end->slot->is_cut[end->side], error);
	return true;
}

static bool is_over(const struct end *end)
{
	return atomic_load(&shared->is_over) || now_ns() > end->slot->stop_at;
}

static void check(const struct end *end, const uint8_t *found, uint64_t *scratch, size_t count)
{
	uint64_t at = atomic_load(&end->in->received);
	const uint8_t *right = make_bytes(scratch, end->in->seed, at, count);

	if (memcmp(found, right, count)) {
		size_t i = 0;

		while (found[i] == right[i])
			i++;
		/*
		 * The place where the bytes belong shows whether some were lost, repeated or
		 * reordered.
		 */
		for (int64_t belongs = -(int64_t)(at + i); i + 8 <= count && belongs < 64 << 20;
		     belongs++) {
			uint64_t here[3];

			if (!memcmp(make_bytes(here, end->in->seed, at + i + (uint64_t)belongs, 8),
				    found + i, 8))
				fail("end %d: at byte %llu of the stream (%zu of %zu read) those "
				     "%lld later",
				     end->side, (unsigned long long)(at + i), i, count,
				     (long long)belongs);
		}
		fail("end %d: wrong byte %llu (%zu of %zu read), found nowhere near", end->side,
		     (unsigned long long)(at + i), i, count);
	}
	atomic_store(&end->in->received, at + count);
}

static size_t choose_size(uint64_t *state, uint32_t largest)
{
	uint32_t ranges[] = { 200, 8000, largest };

	return 1 + draw(state, ranges[draw(state, 3)]);
}

static void nap(const struct end *end, uint64_t *state)
{
	if (!draw(state, end->slot->nap))
		sleep_ns(draw(state, 20000000));
}

/* Lets the reader drain what came over TCP; otherwise the direction never returns to the bypass. */
static void pause_sending(const struct end *end, uint64_t *state)
{
	if (!draw(state, end->slot->pause))
		sleep_ns(draw(state, 20000000));
}

/* Returns false at the end of the stream. */
static bool read_some(const struct end *end, uint8_t *bytes, uint64_t *scratch, size_t count,
		      int flags)
{
	ssize_t n = end->is_ring ? call_ring(RING_RECV, end->fd, bytes, (uint32_t)count)
				 : recv(end->fd, bytes, count, flags);

	if (end->is_ring && n < 0) {
		errno = (int)-n;
		n = -1;
	}
	if (n > 0) {
		check(end, bytes, scratch, (size_t)n);
		return true;
	}
	if (n == 0) {
		atomic_store(&end->in->is_ended, true);
		return false;
	}
	if (errno == EAGAIN) {
		atomic_fetch_add(&end->slot->spurious, 1);
		return true;
	}
	return !is_cut(end, errno);
}

/* Returns false if the connection is gone. Only one thread at a time may call it. */
static bool send_some(const struct end *end, uint64_t *scratch, size_t count)
{
	uint64_t at = atomic_load(&end->out->sent), until = at + count;

	while (at < until) {
		uint8_t *bytes = make_bytes(scratch, end->out->seed, at, until - at);
		ssize_t n = end->is_ring
				    ? call_ring(RING_SEND, end->fd, bytes, (uint32_t)(until - at))
				    : send(end->fd, bytes, until - at, MSG_NOSIGNAL);

		if (end->is_ring && n < 0) {
			errno = (int)-n;
			n = -1;
		}
		if (n < 0 && errno == EAGAIN) {
			atomic_fetch_add(&end->slot->spurious, 1);
			continue;
		}
		if (n < 0)
			return !is_cut(end, errno);
		at += (uint64_t)n;
		atomic_store(&end->out->sent, at);
	}
	return true;
}

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static bool is_sent;

static void *send_stream(void *arg)
{
	const struct end *end = arg;
	uint64_t state = mix(end->slot->seed ^ (uint64_t)gettid()), *scratch = new_buffer();
	bool is_last = false;

	while (!is_last) {
		size_t size = choose_size(&state, end->slot->largest);

		pthread_mutex_lock(&turn);
		is_last = is_sent || is_over(end) || !send_some(end, scratch, size);
		if (is_last && !is_sent)
			shutdown(end->fd, SHUT_WR);
		is_sent |= is_last;
		pthread_mutex_unlock(&turn);
		pause_sending(end, &state);
	}
	return NULL;
}

static void play_threads(struct end *end, int flags, int senders)
{
	uint64_t state = end->slot->seed, *scratch = new_buffer();
	uint8_t *bytes = (uint8_t *)new_buffer();
	pthread_t threads[SENDERS];

	for (int i = 0; i < senders; i++)
		if (pthread_create(&threads[i], NULL, send_stream, end))
			fail("pthread_create");
	while (read_some(end, bytes, scratch, choose_size(&state, end->slot->read_largest), flags))
		nap(end, &state);
	for (int i = 0; i < senders; i++)
		pthread_join(threads[i], NULL);
}

/* EPOLLIN and the like have the same values as POLLIN and the like. */
static uint32_t wait_ready(int epoll_fd, int fd, int wanted, bool is_idle)
{
	struct pollfd entry = { fd, (short)wanted, 0 };
	struct epoll_event event = { 0 };
	int timeout = is_idle ? 1000 : 0;

	if (epoll_fd < 0)
		return poll(&entry, 1, timeout) > 0 ? (uint32_t)entry.revents : 0;
	return epoll_wait(epoll_fd, &event, 1, timeout) > 0 ? event.events : 0;
}

static void play_loop(struct end *end, bool is_edge)
{
	uint64_t state = end->slot->seed, *scratch = new_buffer();
	uint8_t *bytes = (uint8_t *)new_buffer();
	bool is_sending = true, is_reading = true, can_read = true, can_send = true;
	int epoll_fd = -1;

	fcntl(end->fd, F_SETFL, O_NONBLOCK);
	if (is_edge) {
		struct epoll_event event = { EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, { 0 } };

		epoll_fd = epoll_create1(0);
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, end->fd, &event);
	}
	while (is_sending || is_reading) {
		if (is_reading && can_read) {
			ssize_t n = recv(end->fd, bytes,
					 choose_size(&state, end->slot->read_largest), 0);

			if (n > 0)
				check(end, bytes, scratch, (size_t)n);
			else if (n < 0 && errno == EAGAIN)
				can_read = false;
			else if (n == 0)
				atomic_store(&end->in->is_ended, true);
			if (n == 0 || (n < 0 && errno != EAGAIN && is_cut(end, errno)))
				is_reading = false;
			nap(end, &state);
		}
		for (uint64_t i = draw(&state, 9); i && is_sending && can_send; i--) {
			size_t size = choose_size(&state, end->slot->largest);
			uint64_t at = atomic_load(&end->out->sent);
			ssize_t n = send(end->fd, make_bytes(scratch, end->out->seed, at, size),
					 size, MSG_NOSIGNAL);

			pause_sending(end, &state);
			if (n > 0)
				atomic_store(&end->out->sent, at + (uint64_t)n);
			else if (errno == EAGAIN)
				can_send = false;
			else
				is_sending = !is_cut(end, errno);
		}
		if (is_sending && is_over(end)) {
			shutdown(end->fd, SHUT_WR);
			is_sending = false;
		}
		/* Nothing is tried without a wake-up, so a missing wake-up shows as a hang. */
		uint32_t ready =
			wait_ready(epoll_fd, end->fd,
				   (is_reading && !can_read ? POLLIN : 0) |
					   (is_sending && !can_send ? POLLOUT : 0),
				   (!is_reading || !can_read) && (!is_sending || !can_send));

		can_read |= (ready & (POLLIN | POLLHUP | POLLERR | POLLRDHUP)) != 0;
		can_send |= (ready & (POLLOUT | POLLHUP | POLLERR)) != 0;
	}
}

/* Returns false if the stream has ended, or the connection is gone. */
static bool read_message(struct end *end, uint8_t *bytes, uint64_t *scratch, size_t count,
			 int flags)
{
	uint64_t until = atomic_load(&end->in->received) + count;

	while (atomic_load(&end->in->received) < until)
		if (!read_some(end, bytes, scratch, until - atomic_load(&end->in->received), flags))
			return false;
	return true;
}

static void play_talk(struct end *end)
{
	uint64_t sizes = end->slot->seed, state = mix(end->slot->seed + (uint64_t)end->side);
	uint64_t *scratch = new_buffer();
	uint8_t *bytes = (uint8_t *)new_buffer();
	int flags = draw(&state, 2) ? MSG_WAITALL : 0;

	for (;;) {
		size_t ask = choose_size(&sizes, 30000), reply = choose_size(&sizes, 30000);

		if (end->side == CLIENT) {
			if (is_over(end) || !send_some(end, scratch, ask) ||
			    !read_message(end, bytes, scratch, reply, flags))
				break;
		} else if (!read_message(end, bytes, scratch, ask, flags) ||
			   !send_some(end, scratch, reply)) {
			break;
		}
		nap(end, &state);
	}
	shutdown(end->fd, SHUT_WR);
	if (!atomic_load(&end->in->is_ended) && !atomic_load(&end->slot->is_cut[end->side]))
		while (read_some(end, bytes, scratch, 1000, 0))
			;
}

/* Reads what is there and sends one message. Returns false when both directions are over. */
static bool take_turn(struct end *end, uint64_t *state, uint8_t *bytes, uint64_t *scratch)
{
	struct turns *turns = &end->slot->turns[end->side];
	uint32_t ready = wait_ready(
		-1, end->fd, (turns->is_reading ? POLLIN : 0) | (turns->is_sending ? POLLOUT : 0),
		true);

	if (turns->is_reading && (ready & (POLLIN | POLLHUP | POLLERR)))
		turns->is_reading =
			read_some(end, bytes, scratch, choose_size(state, end->slot->read_largest),
				  MSG_DONTWAIT);
	if (turns->is_sending && is_over(end)) {
		shutdown(end->fd, SHUT_WR);
		turns->is_sending = false;
	} else if (turns->is_sending && (ready & (POLLOUT | POLLHUP | POLLERR))) {
		size_t size = choose_size(state, end->slot->largest);
		uint64_t at = atomic_load(&end->out->sent);
		ssize_t n = send(end->fd, make_bytes(scratch, end->out->seed, at, size), size,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			atomic_store(&end->out->sent, at + (uint64_t)n);
		else if (errno != EAGAIN)
			turns->is_sending = !is_cut(end, errno);
	}
	return turns->is_reading || turns->is_sending;
}

static void *take_turns(void *arg)
{
	struct end *end = arg;
	struct turns *turns = &end->slot->turns[end->side];
	uint64_t state = mix(end->slot->seed ^ (uint64_t)gettid()), *scratch = new_buffer();
	uint8_t *bytes = (uint8_t *)new_buffer();
	bool is_busy = true;

	while (is_busy) {
		pthread_mutex_lock(&turns->turn);
		for (uint64_t i = 1 + draw(&state, 20); i && is_busy; i--)
			is_busy = take_turn(end, &state, bytes, scratch);
		pthread_mutex_unlock(&turns->turn);
		pause_sending(end, &state);
	}
	return NULL;
}

static void play_turns(struct end *end, bool has_process)
{
	struct turns *turns = &end->slot->turns[end->side];
	pthread_mutexattr_t attributes;
	pthread_t thread;
	pid_t pid = 0, own = getpid();
	int status = 0;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&turns->turn, &attributes);
	turns->is_reading = turns->is_sending = true;
	if (has_process) {
		pid = fork();
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() != own)
				_exit(1);
			take_turns(end);
			_exit(0);
		}
	} else if (pthread_create(&thread, NULL, take_turns, end)) {
		fail("pthread_create");
	}
	take_turns(end);
	if (has_process && (pid < 0 || waitpid(pid, &status, 0) != pid || status))
		fail("end %d: its second process failed", end->side);
	if (!has_process)
		pthread_join(thread, NULL);
}

void play(struct slot *slot, int fd, int side)
{
	struct end end = { slot,
			   fd,
			   side,
			   slot->way[side] == WAY_URING,
			   &slot->stream[side],
			   &slot->stream[!side] };

	switch (slot->way[side]) {
	case WAY_POLL:
	case WAY_EDGE:
		play_loop(&end, slot->way[side] == WAY_EDGE);
		break;
	case WAY_TALK:
		play_talk(&end);
		break;
	case WAY_POOL:
	case WAY_SHARED:
		play_turns(&end, slot->way[side] == WAY_SHARED);
		break;
	case WAY_SENDERS:
		play_threads(&end, 0, SENDERS);
		break;
	default:
		play_threads(&end, slot->way[side] == WAY_WAITALL ? MSG_WAITALL : 0, 1);
	}
	_exit(0);
}
