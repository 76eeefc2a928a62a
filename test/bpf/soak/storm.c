// SPDX-License-Identifier: Apache-2.0
/*
 * Short connections beside the long ones. They carry nothing, one message or a few, and are closed
 * by either side, reset, or half closed.
 */
#define _GNU_SOURCE
#include "soak.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIZE = 3000 };

static void set_linger(int fd)
{
	struct linger linger = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

void storm_server(int listener)
{
	uint8_t bytes[SIZE];
	uint64_t state = now_ns();

	for (;;) {
		int fd = accept(listener, NULL, NULL);
		ssize_t n;

		if (fd < 0)
			continue;
		while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0 &&
		       send(fd, bytes, (size_t)n, MSG_NOSIGNAL) == n)
			;
		if (!draw(&state, 20))
			set_linger(fd);
		close(fd);
	}
}

/* Each echo must equal its request, and no connection may end before its last echo. */
static void ask(int fd, uint64_t *state)
{
	uint8_t bytes[SIZE], reply[SIZE];

	for (uint64_t rounds = draw(state, 6); rounds; rounds--) {
		size_t size = 1 + draw(state, SIZE), got = 0;

		for (size_t i = 0; i < size; i += 8) {
			uint64_t word = mix(*state + i);

			memcpy(bytes + i, &word, size - i < 8 ? size - i : 8);
		}
		if (send(fd, bytes, size, MSG_NOSIGNAL) != (ssize_t)size)
			fail("storm: send: %s", strerror(errno));
		while (got < size) {
			ssize_t n = recv(fd, reply + got, size - got, 0);

			if (n == 0 || (n < 0 && errno != EAGAIN))
				fail("storm: %zu of %zu bytes of an echo: %s", got, size,
				     n ? strerror(errno) : "end");
			got += n > 0 ? (size_t)n : 0;
		}
		if (memcmp(bytes, reply, size))
			fail("storm: an echo is not the request");
	}
	switch (draw(state, 4)) {
	case 0:
		set_linger(fd);
		break;
	case 1:
		shutdown(fd, SHUT_WR);
		if (recv(fd, reply, 1, 0) > 0)
			fail("storm: bytes after the last echo");
		break;
	case 2: /* close while an echo that nobody reads is on its way */
		send(fd, bytes, 1, MSG_NOSIGNAL);
		break;
	}
}

void storm_client(int port, uint64_t seed)
{
	uint64_t state = seed;

	while (!atomic_load(&shared->is_over)) {
		/*
		 * Draws one of many addresses, because connections that have just ended would use
		 * up the ports of a single one.
		 */
		struct sockaddr_in address = { AF_INET,
					       htons((uint16_t)port),
					       { htonl(0x7f000001 + (uint32_t)draw(&state, 200)) },
					       { 0 } };
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
			ask(fd, &state);
			atomic_fetch_add(&shared->storms, 1);
		} else {
			atomic_fetch_add(&shared->storm_errors, 1);
		}
		close(fd);
		sleep_ns(draw(&state, 4000000));
	}
	_exit(0);
}
