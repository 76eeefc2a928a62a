// SPDX-License-Identifier: Apache-2.0
// Long: it has a function for each fact, and calls them all.
/* Measures and reports where a redirected socket may differ from TCP; it does not judge. */
#include "selftest.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

enum {
	BYTES = 100,
	HALF = BYTES / 2,
	QUIET_MS = 50,
	BLOCKED_MS = 10,
	HANG_MS = 300,
	LOWAT = 8,
	PAGE = 4096
};

struct pair {
	struct end client;
	struct end server;
};

/* What a blocked child found; it shares this with its parent. */
struct answer {
	int is_ready;
	int is_refused;
	int code;
	ssize_t result;
	uint8_t bytes[BYTES];
};

struct facts *facts;

static struct answer *found;

static bool exchange(struct end *from, struct end *to)
{
	return send_bytes(from, BYTES) && receive_bytes(to, BYTES);
}

/* Sets the option before anything is read, as programs do. False if the kernel lacks the option. */
static bool ask_for_option(int fd, enum fact fact)
{
	switch (fact) {
	case SO_RCVLOWAT_FACT:
		return set_option(fd, SOL_SOCKET, SO_RCVLOWAT, LOWAT);
	case SO_PEEK_OFF_FACT:
		return set_option(fd, SOL_SOCKET, SO_PEEK_OFF, 0);
	case TCP_INQ_FACT:
		return set_option(fd, IPPROTO_TCP, TCP_INQ, 1);
	case TIMESTAMPS:
		return set_option(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	default:
		return true;
	}
}

static bool open_pair(struct pair *pair, enum fact fact)
{
	/* These bytes come before the server's socket exists, so they go by TCP in any case. */
	bool is_early = fact == FIONREAD_TCP;
	struct place place;
	int code = open_listener(&place, IPV4, 0);

	if (code)
		return fail("no listener", code);
	if (is_early)
		set_option(place.listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
	pair->client = make_end(dial(&place), true, fact);
	if (is_early)
		send_bytes(&pair->client, BYTES);
	pair->server = make_end(answer(&place), false, fact);
	close(place.listener);
	if (pair->client.fd < 0 || pair->server.fd < 0)
		return fail("no connection", errno);
	set_option(pair->client.fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (!ask_for_option(pair->server.fd, fact)) {
		facts->words[fact] = name_error(errno);
		return false;
	}
	for (int i = 0; i < WARM_UP && !is_early; i++)
		if (!exchange(&pair->client, &pair->server) ||
		    !exchange(&pair->server, &pair->client))
			return false;
	return true;
}

static bool is_readable(const struct end *end, unsigned int ms)
{
	return wait_for(end->fd, POLLIN, in_ms(ms));
}

static const char *name_amount(size_t count, size_t all, const char *if_all)
{
	return count == all ? if_all : count ? "short" : "zero";
}

static const char *measure_peek(struct end *server)
{
	uint8_t bytes[BYTES];
	ssize_t n = recv(server->fd, bytes, BYTES, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0)
		return name_error(errno);
	return name_amount(count_right(&server->in, bytes, (size_t)n), BYTES, "works");
}

/* The second look must begin where the first one ended. */
static const char *measure_peek_offset(struct end *server)
{
	struct stream second = server->in;
	uint8_t bytes[HALF];

	recv(server->fd, bytes, HALF, MSG_PEEK | MSG_DONTWAIT);
	recv(server->fd, bytes, HALF, MSG_PEEK | MSG_DONTWAIT);
	second.offset += HALF;
	return count_right(&second, bytes, HALF) == HALF ? "works" : "ignored";
}

/* TCP discards the bytes and needs no buffer for that. */
static const char *measure_truncation(struct end *server)
{
	ssize_t n = recv(server->fd, NULL, HALF, MSG_TRUNC | MSG_DONTWAIT);

	if (n < 0)
		return name_error(errno);
	server->in.offset += (size_t)n;
	return "discards";
}

/* Measures what comes beside the bytes: how many more there are, or when they came. */
static const char *measure_control(struct end *server, enum fact fact)
{
	uint8_t bytes[HALF], control[128] __attribute__((aligned(8)));
	struct iovec part = { bytes, HALF };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(server->fd, &message, MSG_DONTWAIT);
	const struct cmsghdr *first = CMSG_FIRSTHDR(&message);
	int left;

	if (n < 0)
		return name_error(errno);
	if (!check_content(server, bytes, (size_t)n))
		return NULL;
	if (!first)
		return "none";
	if (fact == TIMESTAMPS)
		return "arrive";
	memcpy(&left, CMSG_DATA(first), sizeof(left));
	return name_amount((size_t)left, BYTES - HALF, "exact");
}

/* There is less than a page, so TCP maps nothing and tells how much recv() would return. */
static const char *measure_mapping(const struct end *server)
{
	struct tcp_zerocopy_receive mapping = { .length = PAGE };
	socklen_t length = offsetof(struct tcp_zerocopy_receive, recv_skip_hint) +
			   sizeof(mapping.recv_skip_hint);

	if (getsockopt(server->fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &mapping, &length))
		return name_error(errno);
	return name_amount(mapping.recv_skip_hint, BYTES, "exact");
}

static const char *measure_unread(struct end *server, enum fact fact)
{
	int count = 0;

	switch (fact) {
	case MSG_PEEK_FACT:
		return measure_peek(server);
	case SO_PEEK_OFF_FACT:
		return measure_peek_offset(server);
	case MSG_TRUNC_FACT:
		return measure_truncation(server);
	case TCP_INQ_FACT:
	case TIMESTAMPS:
		return measure_control(server, fact);
	case ZEROCOPY_RECEIVE:
		return measure_mapping(server);
	default:
		ioctl(server->fd, FIONREAD, &count);
		return name_amount((size_t)count, BYTES, "exact");
	}
}

/* Null after a failure. */
static const char *measure_unblocked(struct pair *pair, enum fact fact)
{
	struct end *client = &pair->client, *server = &pair->server;
	size_t count = fact == SO_RCVLOWAT_FACT ? LOWAT / 2 : BYTES;
	uint64_t end = server->in.offset + count;
	uint8_t bytes[BYTES];
	const char *word;
	ssize_t n;

	if (fact == SEND_AFTER_SHUTDOWN) {
		shutdown(client->fd, SHUT_WR);
		n = send(client->fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		return n < 0 ? name_error(errno) : "sent";
	}
	if (fact == OOB) {
		send(client->fd, "AB", 2, MSG_OOB | MSG_NOSIGNAL);
		is_readable(server, PATIENCE_MS);
		n = recv(server->fd, bytes, BYTES, MSG_DONTWAIT);
		return n == 1 ? "urgent" : n == 2 ? "inband" : "lost";
	}
	if (fact != FIONREAD_TCP && !send_bytes(client, count))
		return NULL;
	if (fact == SO_RCVLOWAT_FACT) {
		word = is_readable(server, QUIET_MS) ? "ignored" : "waits";
		set_option(server->fd, SOL_SOCKET, SO_RCVLOWAT, 1);
	} else {
		is_readable(server, PATIENCE_MS);
		word = measure_unread(server, fact);
	}
	return word && receive_bytes(server, end - server->in.offset) ? word : NULL;
}

static void ignore(int signal)
{
	(void)signal;
}

static ssize_t call_blocked(int fd, enum fact fact)
{
	struct sigaction action = { .sa_handler = ignore, .sa_flags = SA_RESTART };
	int ends[2], on = fact == SPLICE_NONBLOCK;
	ssize_t n;

	sigaction(SIGUSR1, &action, NULL);
	__atomic_store_n(&found->is_ready, 1, __ATOMIC_SEQ_CST);
	if (fact != SPLICE && fact != SPLICE_NONBLOCK)
		return recv(fd, found->bytes, fact == MSG_WAITALL_FACT ? 8 : BYTES,
			    fact == MSG_WAITALL_FACT ? MSG_WAITALL : 0);
	if (on) {
		/* SPLICE_F_NONBLOCK alone does not keep a socket from blocking. */
		ioctl(fd, FIONBIO, &on);
		wait_for(fd, POLLIN, in_ms(PATIENCE_MS));
	}
	if (pipe2(ends, O_CLOEXEC))
		return -1;
	n = splice(fd, NULL, ends[1], NULL, BYTES, 0);
	/* Programs that splice do the same: they receive what cannot be spliced. */
	found->is_refused = n < 0 && (errno == EINVAL || errno == ENOSYS);
	if (found->is_refused)
		return recv(fd, found->bytes, BYTES, 0);
	return n > 0 ? read(ends[0], found->bytes, (size_t)n) : n;
}

/* Starts a child inside the call, which is asleep there as far as one can tell. */
static pid_t start_blocked(const struct pair *pair, enum fact fact)
{
	uint64_t deadline = in_ms(PATIENCE_MS);
	pid_t child;

	*found = (struct answer){ .result = -1 };
	child = spawn();
	if (child == 0) {
		/* Otherwise closing it in the parent would not end the connection. */
		close(pair->client.fd);
		found->result = call_blocked(pair->server.fd, fact);
		found->code = errno;
		_exit(0);
	}
	while (!__atomic_load_n(&found->is_ready, __ATOMIC_SEQ_CST) && now_ns() < deadline)
		sleep_ms(1);
	sleep_ms(BLOCKED_MS);
	return child;
}

static void wake_without_data(pid_t child, int fd, enum fact fact)
{
	if (fact == RECV_SIGNAL)
		kill(child, SIGUSR1);
	/*
	 * This stands for everything that wakes a thread without running a handler in it: children
	 * of other threads, freezers, tracers.
	 */
	if (fact == RECV_STOPPED) {
		kill(child, SIGSTOP);
		sleep_ms(BLOCKED_MS);
		kill(child, SIGCONT);
	}
	if (fact == RECV_SHUTDOWN)
		shutdown(fd, SHUT_RD);
	if (fact == RECV_SIGNAL || fact == RECV_STOPPED || fact == RECV_SHUTDOWN)
		sleep_ms(BLOCKED_MS);
}

static const char *measure_blocked(struct pair *pair, enum fact fact)
{
	/* The bytes go in two parts with a pause, to see who waits for the second part. */
	size_t rest = fact == MSG_WAITALL_FACT ? 4 : 0;
	size_t first = rest ? rest : BYTES, got;
	bool is_woken = fact == RECV_SIGNAL || fact == RECV_STOPPED;
	pid_t child = start_blocked(pair, fact);

	if (child < 0) {
		fail("no child process", errno);
		return NULL;
	}
	if (fact == RESET_BLOCKED) {
		reset_on_close(pair->client.fd);
		close(pair->client.fd);
		pair->client.fd = -1;
		return reap(child, HANG_MS) < 0 ? "hangs" : name_ending(found->result, found->code);
	}
	wake_without_data(child, pair->server.fd, fact);
	if (fact == RECV_SHUTDOWN)
		return reap(child, HANG_MS) < 0 ? "hangs" : name_ending(found->result, found->code);
	send_bytes(&pair->client, first);
	if (rest) {
		sleep_ms(BLOCKED_MS);
		send_bytes(&pair->client, rest);
	}
	/* The bytes that a killed call had already taken are lost with it. */
	if (reap(child, HANG_MS) < 0)
		return "hangs";
	if (found->result < 0)
		return name_error(found->code);
	got = (size_t)found->result;
	if (!check_content(&pair->server, found->bytes, got) ||
	    !receive_bytes(&pair->server, first + rest - got))
		return NULL;
	if (found->is_refused && got == first)
		return "safe";
	return name_amount(got, first + rest, rest ? "waits" : is_woken ? "restarts" : "works");
}

void measure_facts(void)
{
	/*
	 * The kernel begins to take timestamps some moments after the first socket has asked, so
	 * one asks early.
	 */
	int early = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	set_option(early, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	found = share_memory(sizeof(*found));
	/* The other facts come from the scenes. */
	for (enum fact fact = 0; fact < RESET; fact++) {
		bool is_blocked = fact == MSG_WAITALL_FACT || fact == SPLICE ||
				  fact == SPLICE_NONBLOCK || fact == RECV_SIGNAL ||
				  fact == RESET_BLOCKED || fact == RECV_STOPPED ||
				  fact == RECV_SHUTDOWN;
		struct pair pair = { { .fd = -1 }, { .fd = -1 } };

		if (open_pair(&pair, fact))
			facts->words[fact] = is_blocked ? measure_blocked(&pair, fact)
							: measure_unblocked(&pair, fact);
		close(pair.client.fd);
		close(pair.server.fd);
	}
	close(early);
}
