// SPDX-License-Identifier: Apache-2.0
/* Performs the texts of scenes.c. */
#include "selftest.h"

enum { EARLY_MESSAGES = 3, LARGEST_EARLY = 12 * 1024, FAST_OPEN_BYTES = 1000 };

/* Sets the descriptor and checks it at once, because errno tells why there is no socket. */
static bool connected(struct end *end, int fd)
{
	end->fd = fd;
	if (fd < 0)
		return fail(end->is_client ? "connect failed" : "accept failed", errno);
	/* Small messages must leave at once; without this option some wait 40 ms for an ACK. */
	return set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/* The connection is established inside sendto(), before its bytes are queued. */
static bool dial_fast_open(struct end *end, const struct place *place)
{
	uint8_t bytes[FAST_OPEN_BYTES];
	ssize_t n;

	if (!connected(end, open_client(place)))
		return false;
	fill_from(&end->out, bytes, sizeof(bytes));
	n = sendto(end->fd, bytes, sizeof(bytes), MSG_FASTOPEN | MSG_NOSIGNAL, &place->address.any,
		   place->length);
	if (n < 0 && errno == EOPNOTSUPP)
		skip_case("net.ipv4.tcp_fastopen is off");
	if (n < 0)
		return fail_out(end, "connect failed", errno);
	end->out.offset += (uint64_t)n;
	return send_bytes(end, sizeof(bytes) - (size_t)n);
}

/* A reader that sleeps with 4 bytes must get the next 4, by whichever way they come. */
static bool receive_whole(struct end *end, size_t count)
{
	uint8_t bytes[8];

	while (count) {
		ssize_t n = recv(end->fd, bytes, count, MSG_WAITALL);

		if (n < 0 && errno == EAGAIN)
			continue;
		if (n <= 0)
			return fail_in(end, "recv failed", n ? errno : 0);
		count -= (size_t)n;
		if (!check_content(end, bytes, (size_t)n))
			return false;
	}
	return true;
}

const char *name_ending(ssize_t received, int code)
{
	return received > 0 ? "data" : received == 0 ? "EOF" : name_error(code);
}

static bool wait_for_bytes(const struct end *end)
{
	return wait_for(end->fd, POLLIN, in_ms(PATIENCE_MS)) ||
	       fail_in(end, "nothing arrived for 2 s", 0);
}

static bool find_ending(const struct end *end, unsigned int fact)
{
	uint8_t byte;
	ssize_t n;

	if (!wait_for_bytes(end))
		return false;
	n = recv(end->fd, &byte, 1, MSG_DONTWAIT);
	facts->words[fact] = name_ending(n, errno);
	return n == 0 || (n < 0 && errno == ECONNRESET) ||
	       fail_in(end, "neither EOF nor ECONNRESET", n < 0 ? errno : 0);
}

static bool perform(struct end *end, const struct place *place, char step, unsigned int number)
{
	switch (step) {
	case 'a':
		return connected(end, end->is_client ? dial(place) : answer(place));
	case 'F':
		return dial_fast_open(end, place);
	case 's':
		return send_bytes(end, number);
	case 'r':
		return receive_bytes(end, number);
	case 'S':
		for (int i = 0; i < EARLY_MESSAGES; i++)
			if (!send_bytes(end, draw_size(&end->out, LARGEST_EARLY)))
				return false;
		return true;
	case 'R':
		for (int i = 0; i < EARLY_MESSAGES; i++)
			number += (unsigned int)draw_size(&end->in, LARGEST_EARLY);
		return receive_bytes(end, number);
	case 'c':
		return converse(end, number, LARGEST_MESSAGE);
	case 'b':
		return converse(end, number, 2000);
	case 'w':
		return receive_whole(end, number);
	case 'd':
		return pump(end, number);
	case 'x':
		return shutdown(end->fd, SHUT_WR) == 0 || fail_out(end, "shutdown failed", errno);
	case 'e':
		return receive_end(end);
	case 'o':
		number = end->connection % 2 * 2;
		/* fall through */
	case 'z':
		sleep_ms(number);
		return true;
	case 'u':
		return wait_for_bytes(end);
	case 'l':
		return reset_on_close(end->fd);
	case 'f':
		return find_ending(end, number);
	case 'p':
		return poll_rounds(end);
	case 'q':
		return recv_rounds(end);
	default:
		return fail("unknown step", 0);
	}
}

bool play(const struct scene *scene, const struct place *place, bool is_client)
{
	bool is_ok = true;

	for (unsigned int i = 0; is_ok && i <= scene->more_connections; i++) {
		struct end end = make_end(-1, is_client, i);
		const char *at = is_client ? scene->client : scene->server;

		while (is_ok && *at) {
			char step = *at++;
			unsigned int number = 0;

			while (*at && *at <= '9')
				number = number * 10 + (unsigned int)(*at++ - '0');
			is_ok = perform(&end, place, step, number);
		}
		/* After a failure, closing also tells the other process. */
		close(end.fd);
	}
	return is_ok;
}
