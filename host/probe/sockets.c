// SPDX-License-Identifier: Apache-2.0
#include "probe.h"

#include <sys/time.h>

bool set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

bool reset_on_close(int fd)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0;
}

uint64_t in_ms(unsigned int ms)
{
	return now_ns() + (uint64_t)ms * 1000000;
}

bool wait_for(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };

	for (;;) {
		uint64_t now = now_ns();
		uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
		int n = poll(&poll_fd, 1, (int)((left + 999999) / 1000000));

		/* Also ends a caller that finds nothing although poll() says there is. */
		if (n > 0)
			return left > 0;
		if (n == 0 || errno != EINTR)
			return false;
	}
}

int open_listener(struct place *place, enum family family, uint16_t port)
{
	struct sockaddr_in6 *v6 = &place->address.v6;
	struct sockaddr_in *v4 = &place->address.v4;
	int fd, code;

	*place = (struct place){ .listener = -1, .length = sizeof(*v6) };
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	v6->sin6_addr.s6_addr[15] = 1;
	if (family == IPV4_MAPPED) {
		v6->sin6_addr.s6_addr[10] = v6->sin6_addr.s6_addr[11] = 0xff;
		v6->sin6_addr.s6_addr[12] = 127;
	}
	if (family == IPV4) {
		*v4 = (struct sockaddr_in){ .sin_family = AF_INET };
		v4->sin_port = htons(port);
		v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		place->length = sizeof(*v4);
	}
	fd = socket(place->address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (family == IPV4_MAPPED)
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	if (bind(fd, &place->address.any, place->length) || listen(fd, 1024) ||
	    getsockname(fd, &place->address.any, &place->length)) {
		code = errno;
		close(fd);
		return code;
	}
	place->listener = fd;
	return 0;
}

int dial(const struct place *place)
{
	static const struct timeval patience = { PATIENCE_MS / 1000, 0 };
	static const struct timeval none;
	int fd = socket(place->address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int code;

	if (fd < 0)
		return -1;
	/* This bounds connect() as well. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, &place->address.any, place->length)) {
		code = errno;
		close(fd);
		errno = code;
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
	return fd;
}

int answer(const struct place *place)
{
	if (!wait_for(place->listener, POLLIN, in_ms(PATIENCE_MS))) {
		errno = ETIMEDOUT;
		return -1;
	}
	return accept4(place->listener, NULL, NULL, SOCK_CLOEXEC);
}
