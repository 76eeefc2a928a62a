// SPDX-License-Identifier: Apache-2.0
// Long: each way to move bytes, in one program.
/*
 * A relay that moves bytes from one connection to another by way of a pipe, without reading them.
 *
 * usage: relay FRONT BACK splice|sendfile|ring [WORD…]
 *   poll    its sockets do not block, and it waits for them in poll
 *   late    it receives 50 times first in each direction
 *   mixed   it receives every other time
 *   copes   it receives, from the first refusal on
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PIECE 65536
#define RECEIVED_FIRST 50

struct ring {
	int fd;
	uint8_t *queues;
	struct io_uring_sqe *entries;
	struct io_uring_params params;
};

struct way {
	int from, to;
	/* Of the other direction too: its sockets are closed when both have ended. */
	atomic_int *open;
};

static bool does_poll, is_late, is_mixed, copes;
static ssize_t (*move)(struct ring *ring, int from, int to, size_t size);

static ssize_t by_splice(struct ring *ring, int from, int to, size_t size)
{
	(void)ring;
	return splice(from, NULL, to, NULL, size,
		      SPLICE_F_MOVE | (does_poll ? SPLICE_F_NONBLOCK : 0));
}

static ssize_t by_sendfile(struct ring *ring, int from, int to, size_t size)
{
	(void)ring;
	return sendfile(to, from, NULL, size);
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void open_ring(struct ring *ring)
{
	size_t size;

	ring->fd = (int)syscall(SYS_io_uring_setup, 4, &ring->params);
	if (ring->fd < 0)
		die("io_uring_setup");
	size = ring->params.sq_off.array + ring->params.sq_entries * sizeof(uint32_t);
	if (size < ring->params.cq_off.cqes + ring->params.cq_entries * sizeof(struct io_uring_cqe))
		size = ring->params.cq_off.cqes +
		       ring->params.cq_entries * sizeof(struct io_uring_cqe);
	ring->queues =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	ring->entries = mmap(NULL, ring->params.sq_entries * sizeof(struct io_uring_sqe),
			     PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQES);
	if (ring->queues == MAP_FAILED || ring->entries == MAP_FAILED)
		die("mmap");
}

/* One request to its end. The system call orders the loads and stores of its one thread. */
static ssize_t by_ring(struct ring *ring, int from, int to, size_t size)
{
	volatile uint32_t *sq_tail = (void *)(ring->queues + ring->params.sq_off.tail);
	volatile uint32_t *cq_head = (void *)(ring->queues + ring->params.cq_off.head);
	volatile uint32_t *cq_tail = (void *)(ring->queues + ring->params.cq_off.tail);
	uint32_t *array = (void *)(ring->queues + ring->params.sq_off.array);
	struct io_uring_cqe *done = (void *)(ring->queues + ring->params.cq_off.cqes);
	uint32_t at = *sq_tail & (ring->params.sq_entries - 1), submit = 1;
	int result;

	memset(&ring->entries[at], 0, sizeof(ring->entries[at]));
	ring->entries[at].opcode = IORING_OP_SPLICE;
	ring->entries[at].fd = to;
	ring->entries[at].off = (uint64_t)-1;
	ring->entries[at].splice_off_in = (uint64_t)-1;
	ring->entries[at].splice_fd_in = from;
	ring->entries[at].len = (uint32_t)size;
	ring->entries[at].splice_flags = SPLICE_F_MOVE;
	array[at] = at;
	*sq_tail += 1;
	while (*cq_head == *cq_tail) {
		long entered = syscall(SYS_io_uring_enter, ring->fd, submit, 1,
				       IORING_ENTER_GETEVENTS, NULL, 0);

		if (entered < 0 && errno != EINTR)
			die("io_uring_enter");
		if (entered > 0)
			submit = 0;
	}
	result = done[*cq_head & (ring->params.cq_entries - 1)].res;
	*cq_head += 1;
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

static void wait_for(int fd, short events)
{
	struct pollfd one = { .fd = fd, .events = events };

	poll(&one, 1, -1);
}

static bool send_all(int to, const uint8_t *data, ssize_t size)
{
	while (size > 0) {
		ssize_t sent = send(to, data, (size_t)size, MSG_NOSIGNAL);

		if (sent < 0 && errno == EAGAIN)
			wait_for(to, POLLOUT);
		else if (sent < 0)
			return false;
		else {
			data += sent;
			size -= sent;
		}
	}
	return true;
}

static bool empty_pipe(int pipe, int to, ssize_t size)
{
	while (size > 0) {
		ssize_t sent = splice(pipe, NULL, to, NULL, (size_t)size, SPLICE_F_MOVE);

		if (sent < 0 && errno == EAGAIN)
			wait_for(to, POLLOUT);
		else if (sent <= 0)
			return false;
		else
			size -= sent;
	}
	return true;
}

/* Gives why it ended. */
static const char *carry(struct way *way)
{
	static _Thread_local uint8_t data[PIECE];
	struct ring ring = { .fd = -1 };
	bool is_refused = false;
	int pipes[2];
	const char *why = NULL;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		die("pipe2");
	if (move == by_ring)
		open_ring(&ring);
	for (int turn = 0; why == NULL; turn++) {
		bool receives = is_refused || (is_late && turn < RECEIVED_FIRST) ||
				(is_mixed && turn % 2 == 0);
		ssize_t got = receives ? recv(way->from, data, PIECE, 0)
				       : move(&ring, way->from, pipes[1], PIECE);

		if (got == 0)
			why = "";
		else if (got > 0 && !(receives ? send_all(way->to, data, got)
					       : empty_pipe(pipes[0], way->to, got)))
			why = "send";
		else if (got < 0 && errno == EAGAIN && does_poll)
			wait_for(way->from, POLLIN);
		else if (got < 0 && errno == EAGAIN && receives)
			continue; /* An enrolled socket that was woken for nothing. */
		else if (got < 0 && !receives && copes && (errno == EINVAL || errno == ENOSYS))
			is_refused = true;
		else if (got < 0)
			why = receives ? "recv" : "splice";
	}
	close(pipes[0]);
	close(pipes[1]);
	if (ring.fd >= 0)
		close(ring.fd);
	return why;
}

static void *run_way(void *argument)
{
	struct way *way = argument;
	const char *why = carry(way);

	if (*why) {
		perror(why);
		/* The other direction ends with it. */
		shutdown(way->from, SHUT_RDWR);
		shutdown(way->to, SHUT_RDWR);
	} else {
		shutdown(way->to, SHUT_WR);
	}
	if (atomic_fetch_sub(way->open, 1) == 1) {
		close(way->from);
		close(way->to);
		free(way->open);
	}
	free(way);
	return NULL;
}

static void start_way(int from, int to, atomic_int *open)
{
	struct way *way = malloc(sizeof(*way));
	pthread_t thread;

	if (way == NULL)
		die("malloc");
	*way = (struct way){ from, to, open };
	if (pthread_create(&thread, NULL, run_way, way) != 0)
		die("pthread_create");
	pthread_detach(thread);
}

static struct sockaddr_in address_of(const char *port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(port)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static void make_ready(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (does_poll)
		fcntl(fd, F_SETFL, O_NONBLOCK);
}

int main(int count, char **words)
{
	struct sockaddr_in front, back;
	int listener, one = 1;

	if (count < 4) {
		fprintf(stderr, "usage: relay FRONT BACK splice|sendfile|ring [poll] [late] "
				"[mixed] [copes]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	front = address_of(words[1]);
	back = address_of(words[2]);
	move = strcmp(words[3], "ring") == 0	   ? by_ring
	       : strcmp(words[3], "sendfile") == 0 ? by_sendfile
						   : by_splice;
	for (int word = 4; word < count; word++) {
		does_poll |= strcmp(words[word], "poll") == 0;
		is_late |= strcmp(words[word], "late") == 0;
		is_mixed |= strcmp(words[word], "mixed") == 0;
		copes |= strcmp(words[word], "copes") == 0;
	}
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&front, sizeof(front)) < 0 ||
	    listen(listener, 100) < 0)
		die("bind");
	for (;;) {
		int client = accept(listener, NULL, NULL);
		int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		atomic_int *open = malloc(sizeof(*open));

		if (client < 0 || server < 0 || open == NULL ||
		    connect(server, (struct sockaddr *)&back, sizeof(back)) < 0)
			die("connect");
		make_ready(client);
		make_ready(server);
		atomic_init(open, 2);
		start_way(client, server, open);
		start_way(server, client, open);
	}
}
