// SPDX-License-Identifier: Apache-2.0
/*
 * A client of one connection, for services that bring none that measures:
 *
 *   load ADDRESS PORT MS REQUEST BYTES [SPACE]
 *
 * Sends REQUEST (\r and \n as in C), waits for an answer of so many bytes, and does that again for
 * so many milliseconds. Prints how often it got one in a second, or what went wrong. With SPACE, a
 * name of `ip netns`, the socket is one of that network namespace, in which this process does not
 * stay.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* An answer that takes longer does not come. */
enum { PATIENCE_SECONDS = 3, LONGEST = 65536 };

static _Noreturn void fail(const char *what)
{
	printf("%s\n", what);
	exit(1);
}

static void enter(int space)
{
	if (space < 0 || setns(space, CLONE_NEWNET))
		fail("expected a network namespace, found none");
}

static int make_socket(const char *space)
{
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), fd;
	char path[256];

	if (!space)
		return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(path, sizeof(path), "/run/netns/%s", space);
	enter(open(path, O_RDONLY | O_CLOEXEC));
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	enter(own);
	return fd;
}

static int dial(const char *address, const char *port, const char *space)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	const struct timeval patience = { .tv_sec = PATIENCE_SECONDS };
	int fd = make_socket(space), on = 1;

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		fail("expected an IPv4 address");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
		fail("expected a service, found nobody who listens");
	return fd;
}

static size_t unescape(const char *text, char *bytes)
{
	size_t count = 0;

	for (; *text && count < LONGEST; text++) {
		if (text[0] == '\\' && (text[1] == 'r' || text[1] == 'n'))
			bytes[count++] = *++text == 'r' ? '\r' : '\n';
		else
			bytes[count++] = *text;
	}
	return count;
}

static void ask(int fd, const char *request, size_t length, size_t expected)
{
	static char answer[LONGEST];
	size_t got = 0;

	if (send(fd, request, length, MSG_NOSIGNAL) != (ssize_t)length)
		fail("broken");
	while (got < expected) {
		ssize_t n = recv(fd, answer, sizeof(answer), 0);

		if (n < 0 && errno == EAGAIN)
			fail("hangs");
		if (n <= 0)
			fail("broken");
		got += (size_t)n;
	}
	if (got > expected)
		fail("more than one answer");
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static char request[LONGEST];
	unsigned long count = 0;
	size_t length, expected;
	double begin, end;
	int fd;

	if (argc < 6)
		fail("expected ADDRESS PORT MS REQUEST BYTES [SPACE]");
	length = unescape(argv[4], request);
	expected = strtoul(argv[5], NULL, 10);
	fd = dial(argv[1], argv[2], argv[6]);
	begin = now();
	for (end = begin + atof(argv[3]) / 1000; now() < end; count++)
		ask(fd, request, length, expected);
	printf("%.1f\n", (double)count / (now() - begin));
	return 0;
}
