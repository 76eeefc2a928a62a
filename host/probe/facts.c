// SPDX-License-Identifier: Apache-2.0
/* Where a redirected socket may differ from TCP: measured and told, not judged. */
#include "probe.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>

enum { BYTES = 100, QUIET_MS = 50, BLOCKED_MS = 10, HANG_MS = 300 };

struct pair {
	struct end client;
	struct end server;
};

/* What a blocked child found; shared with it. */
struct answer {
	int is_ready;
	int code;
	ssize_t result;
	uint8_t bytes[BYTES];
};

static struct answer *found;

static bool exchange(struct end *from, struct end *to)
{
	return send_bytes(from, BYTES) && receive_bytes(to, BYTES);
}

static bool open_pair(struct pair *pair, enum fact fact)
{
	/* These bytes come before the server's socket exists: by TCP in any case. */
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

/* Null after a failure. */
static const char *measure_unblocked(struct pair *pair, enum fact fact)
{
	struct end *client = &pair->client, *server = &pair->server;
	size_t count = fact == SO_RCVLOWAT_FACT ? 4 : BYTES;
	uint8_t bytes[BYTES];
	const char *word;
	int n = 0;

	if (fact == SEND_AFTER_SHUTDOWN) {
		shutdown(client->fd, SHUT_WR);
		n = (int)send(client->fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		return n < 0 ? name_error(errno) : "sent";
	}
	if (fact == OOB) {
		send(client->fd, "AB", 2, MSG_OOB | MSG_NOSIGNAL);
		is_readable(server, PATIENCE_MS);
		n = (int)recv(server->fd, bytes, BYTES, MSG_DONTWAIT);
		return n == 1 ? "urgent" : n == 2 ? "inband" : "lost";
	}
	if (fact == SO_RCVLOWAT_FACT)
		set_option(server->fd, SOL_SOCKET, SO_RCVLOWAT, 8);
	if (fact != FIONREAD_TCP && !send_bytes(client, count))
		return NULL;
	if (fact == SO_RCVLOWAT_FACT) {
		word = is_readable(server, QUIET_MS) ? "ignored" : "waits";
		set_option(server->fd, SOL_SOCKET, SO_RCVLOWAT, 1);
	} else {
		is_readable(server, PATIENCE_MS);
		if (fact == MSG_PEEK_FACT) {
			n = (int)recv(server->fd, bytes, BYTES, MSG_PEEK | MSG_DONTWAIT);
			word = n < 0 ? name_error(errno)
				     : name_amount(count_right(&server->in, bytes, (size_t)n),
						   BYTES, "works");
		} else {
			ioctl(server->fd, FIONREAD, &n);
			word = name_amount((size_t)n, BYTES, "exact");
		}
	}
	return receive_bytes(server, count) ? word : NULL;
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
	return n > 0 ? read(ends[0], found->bytes, (size_t)n) : n;
}

/* A child inside the call, asleep as far as one can tell. */
static pid_t start_blocked(const struct pair *pair, enum fact fact)
{
	uint64_t deadline = in_ms(PATIENCE_MS);
	pid_t child;

	*found = (struct answer){ .result = -1 };
	child = spawn();
	if (child == 0) {
		/* Else closing it in the parent would not end the connection. */
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

static const char *measure_blocked(struct pair *pair, enum fact fact)
{
	/* In two parts with a pause, to see who waits for the second one. */
	size_t rest = fact == MSG_WAITALL_FACT ? 4 : 0;
	size_t first = rest ? rest : BYTES, got;
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
	if (fact == RECV_SIGNAL) {
		kill(child, SIGUSR1);
		sleep_ms(BLOCKED_MS);
	}
	send_bytes(&pair->client, first);
	if (rest) {
		sleep_ms(BLOCKED_MS);
		send_bytes(&pair->client, rest);
	}
	/* What a killed call had already taken is lost with it. */
	if (reap(child, HANG_MS) < 0)
		return "hangs";
	if (found->result < 0)
		return name_error(found->code);
	got = (size_t)found->result;
	if (!check_content(&pair->server, found->bytes, got) ||
	    !receive_bytes(&pair->server, first + rest - got))
		return NULL;
	return name_amount(got, first + rest,
			   rest			 ? "waits"
			   : fact == RECV_SIGNAL ? "restarts"
						 : "works");
}

void measure_facts(void)
{
	found = share_memory(sizeof(*found));
	/* The others come from the scenes. */
	for (enum fact fact = 0; fact < RESET; fact++) {
		bool is_blocked = fact == MSG_WAITALL_FACT || fact == SPLICE ||
				  fact == SPLICE_NONBLOCK || fact == RECV_SIGNAL ||
				  fact == RESET_BLOCKED;
		struct pair pair = { { .fd = -1 }, { .fd = -1 } };

		if (open_pair(&pair, fact))
			facts->words[fact] = is_blocked ? measure_blocked(&pair, fact)
							: measure_unblocked(&pair, fact);
		close(pair.client.fd);
		close(pair.server.fd);
	}
}
