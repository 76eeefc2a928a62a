// SPDX-License-Identifier: Apache-2.0
#include "probe.h"

#include <string.h>
#include <sys/time.h>

/* What the two ends of a listener's connections share. */
struct guests {
	/* A bit for each port, in network byte order, from which a client of ours connects. */
	uint32_t ports[(UINT16_MAX + 1) / 32];
	/* A client of ours is connecting whose port is not known yet. */
	uint32_t is_coming;
};

bool set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

bool reset_on_close(int fd)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0;
}

bool wait_for(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };

	for (;;) {
		uint64_t now = now_ns();
		uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
		int n = poll(&poll_fd, 1, (int)((left + 999999) / 1000000));

		/* This also ends a caller that finds nothing although poll() reports something. */
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
	if (bind(fd, &place->address.any, place->length) || listen(fd, 4096) ||
	    getsockname(fd, &place->address.any, &place->length)) {
		code = errno;
		close(fd);
		return code;
	}
	place->listener = fd;
	place->guests = share_memory(sizeof(struct guests));
	return 0;
}

static void set_guest(const struct place *place, uint16_t port, bool is_guest)
{
	uint32_t *word = &place->guests->ports[port / 32], bit = 1U << port % 32;

	if (is_guest)
		__atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(word, ~bit, __ATOMIC_SEQ_CST);
}

static bool find_port(int fd, uint16_t *port)
{
	union address own;
	socklen_t length = sizeof(own);
	bool is_found = getsockname(fd, &own.any, &length) == 0;

	*port = own.v4.sin_port;
	return is_found;
}

static int close_for(int fd, int code)
{
	close(fd);
	errno = code;
	return -1;
}

int open_client(const struct place *place)
{
	union address own = place->address;
	int fd = socket(own.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint16_t port;

	if (fd < 0 || place->is_crowded)
		return fd;
	if (own.any.sa_family == AF_INET6)
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	own.v4.sin_port = 0;
	if (bind(fd, &own.any, place->length) || !find_port(fd, &port))
		return close_for(fd, errno);
	set_guest(place, port, true);
	return fd;
}

int dial(const struct place *place)
{
	static const struct timeval patience = { CONNECT_MS / 1000, 0 };
	static const struct timeval none;
	int fd = open_client(place);
	uint16_t port;

	if (fd < 0)
		return -1;
	/* This bounds connect() as well. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	__atomic_store_n(&place->guests->is_coming, place->is_crowded, __ATOMIC_SEQ_CST);
	if (connect(fd, &place->address.any, place->length)) {
		int code = errno;

		if (find_port(fd, &port))
			set_guest(place, port, false);
		__atomic_store_n(&place->guests->is_coming, 0, __ATOMIC_SEQ_CST);
		return close_for(fd, code);
	}
	if (place->is_crowded && find_port(fd, &port))
		set_guest(place, port, true);
	__atomic_store_n(&place->guests->is_coming, 0, __ATOMIC_SEQ_CST);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
	return fd;
}

/* A port counts only once: after our client has closed it, whoever has it is a stranger. */
static bool take_guest(const struct place *place, uint16_t port)
{
	uint32_t *word = &place->guests->ports[port / 32], bit = 1U << port % 32;

	return __atomic_fetch_and(word, ~bit, __ATOMIC_SEQ_CST) & bit;
}

static bool is_guest(const struct place *place, int fd, const union address *peer,
		     uint64_t deadline)
{
	uint16_t port = peer->v4.sin_port;
	bool is_there = peer->any.sa_family == AF_INET
				? peer->v4.sin_addr.s_addr == place->address.v4.sin_addr.s_addr
				: memcmp(&peer->v6.sin6_addr, &place->address.v6.sin6_addr,
					 sizeof(peer->v6.sin6_addr)) == 0;

	if (!is_there || take_guest(place, port))
		return is_there;
	/*
	 * The peer may be our client that is just learning its port; it sends nothing before it
	 * knows.
	 */
	while (__atomic_load_n(&place->guests->is_coming, __ATOMIC_SEQ_CST) && now_ns() < deadline)
		wait_for(fd, POLLIN, in_ms(1));
	return take_guest(place, port);
}

int answer(const struct place *place)
{
	uint64_t deadline = in_ms(CONNECT_MS);

	while (wait_for(place->listener, POLLIN, deadline)) {
		union address peer;
		socklen_t length = sizeof(peer);
		int fd = accept4(place->listener, &peer.any, &length, SOCK_CLOEXEC);

		if (fd < 0 || is_guest(place, fd, &peer, deadline))
			return fd;
		/* /proc/net/tcp tells every user where we listen, so strangers may connect. */
		reset_on_close(fd);
		close(fd);
	}
	errno = ETIMEDOUT;
	return -1;
}
