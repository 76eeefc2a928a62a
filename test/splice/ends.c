// SPDX-License-Identifier: Apache-2.0
// Long: both ends of one relay, and each way that they end.
/*
 * A client and a server with a relay between them: first rounds of a request and its answer, then a
 * stream each way at once. Every byte is compared.
 *
 * usage: ends CGROUP|- FRONT BACK BYTES ROUNDS SECONDS half|whole
 *   the client connects to FRONT, the relay to the server at BACK, all on 127.0.0.1; SECONDS
 *   without a byte are a hang
 *   half: each end shuts its direction down after its stream and reads to the end; whole: each
 *   reads as many bytes as it expects, and closes
 * The one line on stdout: {"result", "at", "bytes", "rounds_us", "stream_us"}. Exit 0 whatever the
 * result.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../bpf/common/common.h"

/* No multiple of any buffer, so that what is moved or doubled differs. */
#define PERIOD 1000003
#define PIECE 65536

static uint8_t noise[2][PERIOD + PIECE];
static size_t stream_bytes;
static bool is_half;
static _Atomic uint64_t moved;
static pthread_mutex_t saying = PTHREAD_MUTEX_INITIALIZER;
static uint64_t rounds_ns, began;

struct direction {
	const char *name;
	int from, to;
	const uint8_t *noise;
};

static void __attribute__((noreturn)) say(const char *result, const char *of, uint64_t at)
{
	uint64_t stream = began ? now_ns() - began : 0;

	/* The first result counts, and ends all threads. */
	pthread_mutex_lock(&saying);
	printf("{\"result\":\"%s%s%s\",\"at\":%lu,\"bytes\":%lu,\"rounds_us\":%lu,\"stream_us\":%"
	       "lu}\n",
	       result, *of ? " " : "", of, at, moved, rounds_ns / 1000, stream / 1000);
	fflush(stdout);
	_exit(0);
}

static void __attribute__((noreturn)) fail(const char *what)
{
	fprintf(stderr, "ends: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void wait_for(int fd, short events)
{
	struct pollfd one = { .fd = fd, .events = events };

	/* A hang is the watch's to tell. */
	poll(&one, 1, -1);
}

static void send_all(struct direction *way, const uint8_t *data, size_t size, uint64_t at)
{
	while (size > 0) {
		ssize_t sent = send(way->from, data, size, MSG_NOSIGNAL);

		if (sent < 0 && errno == EAGAIN) {
			wait_for(way->from, POLLOUT);
			continue;
		}
		if (sent < 0)
			say(strerror(errno), way->name, at);
		data += sent;
		size -= (size_t)sent;
	}
}

/* So many bytes, or to the end; `at` is where they begin. Gives how many came. */
static uint64_t read_and_compare(struct direction *way, uint64_t at, uint64_t size, bool is_to_end)
{
	static _Thread_local uint8_t data[PIECE];
	uint64_t begin = at, end = at + size;

	for (;;) {
		uint64_t room = end - at < PIECE ? end - at : PIECE;
		/* One byte more than there may be, to see those that are too many. */
		ssize_t got = recv(way->to, data, is_to_end && room < PIECE ? room + 1 : room, 0);

		if (got < 0 && errno == EAGAIN) {
			wait_for(way->to, POLLIN);
			continue;
		}
		if (got < 0)
			say(strerror(errno), way->name, at);
		if (got == 0 && at < end)
			say("ended early:", way->name, at);
		if (got == 0)
			return at - begin;
		if ((uint64_t)got > room)
			say("too many bytes:", way->name, at);
		if (memcmp(data, way->noise + at % PERIOD, (size_t)got) != 0)
			say("wrong bytes:", way->name, at);
		at += (uint64_t)got;
		moved += (uint64_t)got;
		if (at == end && !is_to_end)
			return at - begin;
	}
}

static void *write_stream(void *argument)
{
	struct direction *way = argument;
	uint64_t state = stream_bytes, at = 0;

	while (at < stream_bytes) {
		size_t size = draw(&state, 2) ? PIECE : 1 + draw(&state, PIECE);

		if (size > stream_bytes - at)
			size = stream_bytes - at;
		send_all(way, way->noise + at % PERIOD, size, at);
		at += size;
	}
	if (is_half && shutdown(way->from, SHUT_WR) < 0)
		say(strerror(errno), way->name, at);
	return NULL;
}

static void *read_stream(void *argument)
{
	read_and_compare(argument, 0, stream_bytes, is_half);
	return NULL;
}

static void *watch(void *argument)
{
	uint64_t seconds = *(uint64_t *)argument, last = moved, since = now_ns();

	for (;; sleep_ns(50000000)) {
		if (moved != last) {
			last = moved;
			since = now_ns();
		}
		if (now_ns() - since > seconds * 1000000000)
			say("hangs", began ? "" : "in the rounds", moved);
	}
	return NULL;
}

static struct sockaddr_in address_of(const char *port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(port)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static int listen_on(const char *port)
{
	struct sockaddr_in address = address_of(port);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 100) < 0)
		fail("bind");
	return fd;
}

/* The relay may still be starting. */
static int connect_to(const char *port)
{
	struct sockaddr_in address = address_of(port);

	for (int tries = 0; tries < 600; tries++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
			return fd;
		close(fd);
		sleep_ns(100000000);
	}
	fail("connect");
}

static void make_ready(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	fcntl(fd, F_SETFL, O_NONBLOCK);
}

static void run(pthread_t *thread, void *(*function)(void *), void *argument)
{
	if (pthread_create(thread, NULL, function, argument) != 0)
		fail("pthread_create");
}

int main(int count, char **words)
{
	struct direction asks = { .name = "to the server" }, answers = { .name = "to the client" };
	struct direction *ways[2] = { &asks, &answers };
	pthread_t threads[4], watcher;
	uint64_t state = 1, seconds, start;
	int listener, rounds;

	if (count != 8) {
		fprintf(stderr,
			"usage: ends CGROUP|- FRONT BACK BYTES ROUNDS SECONDS half|whole\n");
		return 2;
	}
	if (strcmp(words[1], "-") != 0 && !enter_cgroup(words[1]))
		fail(words[1]);
	stream_bytes = strtoul(words[4], NULL, 10);
	rounds = atoi(words[5]);
	seconds = strtoul(words[6], NULL, 10);
	is_half = strcmp(words[7], "half") == 0;
	for (size_t at = 0; at < PERIOD; at++)
		for (int way = 0; way < 2; way++)
			noise[way][at] = (uint8_t)draw(&state, 256);
	for (int way = 0; way < 2; way++) {
		memcpy(noise[way] + PERIOD, noise[way], PIECE);
		ways[way]->noise = noise[way];
	}
	listener = listen_on(words[3]);
	asks.from = answers.to = connect_to(words[2]);
	run(&watcher, watch, &seconds);
	asks.to = answers.from = accept(listener, NULL, NULL);
	if (asks.to < 0)
		fail("accept");
	make_ready(asks.from);
	make_ready(asks.to);

	start = now_ns();
	for (int round = 0; round < rounds; round++) {
		for (int way = 0; way < 2; way++) {
			size_t size = 1 + draw(&state, 3000);
			uint64_t at = draw(&state, PERIOD);

			send_all(ways[way], ways[way]->noise + at, size, at);
			read_and_compare(ways[way], at, size, false);
		}
	}
	rounds_ns = now_ns() - start;

	began = now_ns();
	for (int way = 0; way < 2; way++) {
		run(&threads[way], write_stream, ways[way]);
		run(&threads[2 + way], read_stream, ways[way]);
	}
	for (int thread = 0; thread < 4; thread++)
		pthread_join(threads[thread], NULL);
	say("whole", "", moved);
}
