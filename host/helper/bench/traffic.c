// SPDX-License-Identifier: Apache-2.0
// Long: it has both ends of one measurement.
/* The traffic of bench, between two processes. The first tenth of the time is not counted. */
#include "bench.h"

#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>

enum {
	/* How much a reader of a stream asks for, however small the messages are. */
	READ_SIZE = 64 * 1024,
	SPARE_SECONDS = 5,
	EVENTS = 64,
};

struct tally *tally;

static int fds[LARGEST_COUNT];
static int pairs[LARGEST_COUNT][2];
static uint8_t *bytes;

static bool complain(const char *step)
{
	say("bench: ", step, ": ", name_error(errno));
	return false;
}

static void give_up(int signal)
{
	(void)signal;
	say("bench: no end in time");
	_exit(EXIT_FAILED);
}

static bool pin(uint32_t cpu)
{
	unsigned long mask[UNPINNED / 64] = { 0 };

	if (cpu == UNPINNED)
		return true;
	mask[cpu / 64] = 1UL << cpu % 64;
	return sched_setaffinity(0, sizeof(mask), (cpu_set_t *)mask) == 0 || complain("--pin");
}

/* False at the end of the connection. */
static bool move_all(int fd, bool is_send)
{
	size_t done = 0;

	while (done < options[SIZE]) {
		size_t left = options[SIZE] - done;
		ssize_t n = is_send ? send(fd, bytes + done, left, MSG_NOSIGNAL)
				    : recv(fd, bytes + done, left, 0);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return false;
		else
			tally->spurious_eagain[is_send]++;
	}
	return true;
}

/*
 * The sockets take turns, and each message is due when its socket's turn comes, so no poll() is
 * needed.
 */
static int next_socket(void)
{
	static uint32_t next;

	return fds[next++ % options[CONNECTIONS]];
}

/* Gives a new connection for each request, or the next of the existing ones. */
static int take_socket(const struct place *place, bool is_client)
{
	if (options[MODE] != CONNECT)
		return next_socket();
	return is_client ? dial(place) : answer(place);
}

static void give_back(int fd)
{
	if (options[MODE] == CONNECT)
		close(fd);
}

static bool serve_requests(const struct place *place)
{
	for (;;) {
		int fd = take_socket(place, false);

		if (!move_all(fd, false) || !move_all(fd, true))
			return true;
		give_back(fd);
	}
}

static bool send_requests(const struct place *place)
{
	uint64_t begin = now_ns(), first = 0, end;

	do {
		int fd = take_socket(place, true);

		if (!move_all(fd, true) || !move_all(fd, false))
			return complain("the connection ended");
		give_back(fd);
		end = now_ns();
		if (begin >= tally->count_from) {
			if (!first)
				first = begin;
			count_latency(end - begin);
			tally->messages++;
		}
		begin = end;
	} while (end < tally->stop_at);
	tally->bytes = tally->messages * options[SIZE];
	tally->ns = first ? end - first : 0;
	/* A connection without a request tells the server that it was the last. */
	if (options[MODE] == CONNECT)
		close(dial(place));
	return true;
}

/*
 * The reader checks the clock, because it handles fewer messages than the sender. If both sides
 * read, each adds the bytes that it received.
 */
static bool send_stream(void)
{
	while (!__atomic_load_n(&tally->is_stopped, __ATOMIC_RELAXED))
		if (!move_all(next_socket(), true))
			return complain("the connection ended");
	return true;
}

static void count_stream(size_t count)
{
	uint64_t now = now_ns();

	if (now >= tally->stop_at)
		__atomic_store_n(&tally->is_stopped, 1, __ATOMIC_RELAXED);
	else if (now >= tally->count_from)
		__atomic_fetch_add(&tally->bytes, count, __ATOMIC_RELAXED);
}

static bool receive_stream(void)
{
	size_t most = options[SIZE] > READ_SIZE ? options[SIZE] : READ_SIZE;
	struct epoll_event events[EVENTS];
	uint32_t open = options[CONNECTIONS];
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

	for (uint32_t i = 0; i < options[CONNECTIONS]; i++) {
		events->events = EPOLLIN;
		events->data.fd = fds[i];
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fds[i], events))
			return complain("epoll_ctl");
	}
	while (open) {
		/* A single connection is read without epoll. */
		int ready =
			options[CONNECTIONS] == 1 ? 1 : epoll_wait(epoll_fd, events, EVENTS, -1);

		for (int i = 0; i < ready; i++) {
			int fd = events[i].data.fd;
			ssize_t n = recv(fd, bytes, most, 0);

			if (n > 0) {
				count_stream((size_t)n);
			} else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
				tally->spurious_eagain[0]++;
			} else {
				epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, events);
				open--;
			}
		}
	}
	return true;
}

static uint32_t duration_ms(void)
{
	return options[MS] ? options[MS] : options[SECONDS] * 1000;
}

static void watch_clock(void)
{
	limit_time(duration_ms() / 1000 + SPARE_SECONDS, give_up);
}

/* Uses a process for each direction, like programs that have a thread for each. */
static bool send_and_receive(void)
{
	pid_t sender = spawn();

	if (sender == 0) {
		bool is_ok;

		watch_clock(); /* an alarm is not inherited */
		is_ok = send_stream();
		for (uint32_t i = 0; i < options[CONNECTIONS]; i++)
			shutdown(fds[i], SHUT_WR);
		_exit(is_ok ? 0 : EXIT_FAILED);
	}
	if (sender < 0)
		return complain("fork");
	return receive_stream() && reap(sender, PATIENCE_MS) == 0;
}

static bool make_connections(const struct place *place, bool is_client)
{
	for (uint32_t i = 0; i < options[CONNECTIONS]; i++) {
		int fd;

		if (options[CLIENT_FD]) {
			close((int)options[is_client ? SERVER_FD : CLIENT_FD]);
			fd = (int)options[is_client ? CLIENT_FD : SERVER_FD];
		} else if (options[TRANSPORT] == UNIX) {
			close(pairs[i][is_client]);
			fd = pairs[i][!is_client];
		} else {
			fd = is_client ? dial(place) : answer(place);
		}
		if (fd < 0)
			return complain(is_client ? "connect" : "accept");
		/* A stream keeps Nagle's algorithm, as in most programs. */
		if (options[MODE] == RR)
			set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		fds[i] = fd;
	}
	return true;
}

static bool play_side(const struct place *place, bool is_client)
{
	if (options[MODE] != CONNECT && !make_connections(place, is_client))
		return false;
	if (!pin(options[is_client ? CLIENT_CPU : SERVER_CPU]))
		return false;
	if (is_client) {
		tally->count_from = in_ms(duration_ms() / 10);
		tally->stop_at = in_ms(duration_ms());
	}
	if (options[MODE] == DUPLEX)
		return send_and_receive();
	if (options[MODE] == STREAM)
		return is_client ? send_stream() : receive_stream();
	return is_client ? send_requests(place) : serve_requests(place);
}

static bool open_place(struct place *place)
{
	/* Enough descriptors for both ends of all connections in one process. */
	struct rlimit files = { 2 * LARGEST_COUNT + 64, 2 * LARGEST_COUNT + 64 };

	if (options[CONNECTIONS] > 400)
		setrlimit(RLIMIT_NOFILE, &files);
	if (options[CLIENT_FD])
		return true;
	if (options[TRANSPORT] != UNIX) {
		errno = open_listener(place, options[TRANSPORT] == TCP6 ? IPV6 : IPV4,
				      (uint16_t)options[PORT]);
		return !errno || complain("listen");
	}
	for (uint32_t i = 0; i < options[CONNECTIONS]; i++)
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]))
			return complain("socketpair");
	return true;
}

bool run_traffic(void)
{
	struct place place = { .listener = -1 };
	pid_t child;
	bool is_ok;

	bytes = share_memory(LARGEST_SIZE);
	/* The client, which connects first, sets the real times later. */
	tally->count_from = tally->stop_at = UINT64_MAX;
	if (!open_place(&place))
		return false;
	place.is_crowded = options[MODE] == CONNECT;
	watch_clock();
	child = spawn();
	if (child == 0) {
		watch_clock(); /* an alarm is not inherited */
		_exit(play_side(&place, false) ? 0 : EXIT_FAILED);
	}
	if (child < 0)
		return complain("fork");
	close(place.listener);
	is_ok = play_side(&place, true);
	for (uint32_t i = 0; i < options[CONNECTIONS]; i++)
		close(fds[i]);
	is_ok = reap(child, PATIENCE_MS) == 0 && is_ok;
	if (options[MODE] == STREAM || options[MODE] == DUPLEX) {
		tally->messages = tally->bytes / options[SIZE];
		tally->ns = tally->stop_at - tally->count_from;
	}
	return is_ok;
}
