// SPDX-License-Identifier: Apache-2.0
/*
 * reads ROUNDS-MS [enrolled]: measures, in ns, calls for which a splice guard runs, and prints one
 * line `NAME NS` each. Both ends are in this thread, and what was written is read at once, so
 * nothing waits. With `enrolled` it measures only calls on a TCP connection whose bytes go by the
 * bypass.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BYTES 64

static char buffer[BYTES];
static int file, sink, pipes[2], local[2], tcp[2], drain[2];
/* Each end sends in its turn: a direction that hears nothing would leave the bypass. */
static int sender;

static void check(int holds, const char *what)
{
	if (holds)
		return;
	perror(what);
	exit(1);
}

static void open_tcp(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	check(!bind(listener, (void *)&address, length), "bind");
	check(!listen(listener, 1), "listen");
	check(!getsockname(listener, (void *)&address, &length), "getsockname");
	tcp[0] = socket(AF_INET, SOCK_STREAM, 0);
	check(!connect(tcp[0], (void *)&address, length), "connect");
	tcp[1] = accept(listener, NULL, NULL);
	check(tcp[1] >= 0, "accept");
	close(listener);
	for (int i = 0; i < 2; i++)
		setsockopt(tcp[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void fill(int fd)
{
	check(write(fd, buffer, BYTES) == BYTES, "write");
}

static void empty(int fd)
{
	check(read(fd, buffer, BYTES) == BYTES, "read");
}

static void read_file(void)
{
	check(pread(file, buffer, BYTES, 0) == BYTES, "pread");
}

static void write_file(void)
{
	check(pwrite(file, buffer, BYTES, 0) == BYTES, "pwrite");
}

static void write_null(void)
{
	fill(sink);
}

static void use_pipe(void)
{
	fill(pipes[1]);
	empty(pipes[0]);
}

static void use_local(void)
{
	fill(local[0]);
	empty(local[1]);
}

static int next_sender(void)
{
	sender = !sender;
	return tcp[sender];
}

static int receiver(void)
{
	return tcp[!sender];
}

static void use_tcp(void)
{
	fill(next_sender());
	empty(receiver());
}

static void use_tcp_recv(void)
{
	check(send(next_sender(), buffer, BYTES, 0) == BYTES, "send");
	check(recv(receiver(), buffer, BYTES, 0) == BYTES, "recv");
}

static void splice_file(void)
{
	loff_t start = 0;

	check(splice(file, &start, drain[1], NULL, BYTES, 0) == BYTES, "splice");
	empty(drain[0]);
}

static void splice_tcp(void)
{
	fill(next_sender());
	check(splice(receiver(), NULL, drain[1], NULL, BYTES, 0) == BYTES, "splice");
	empty(drain[0]);
}

/*
 * Does what a program does that uses recv() when a splice is refused. Now and then a message goes
 * by TCP, and its splice succeeds.
 */
static void splice_refused(void)
{
	ssize_t moved;

	fill(next_sender());
	moved = splice(receiver(), NULL, drain[1], NULL, BYTES, SPLICE_F_NONBLOCK);
	if (moved == BYTES) {
		empty(drain[0]);
		return;
	}
	check(moved < 0 && (errno == EINVAL || errno == EAGAIN), "splice");
	check(recv(receiver(), buffer, BYTES, 0) == BYTES, "recv");
}

struct cell {
	const char *name;
	void (*run)(void);
};

static const struct cell plain[] = {
	{ "file:pread", read_file },	    { "file:pwrite", write_file },
	{ "null:write", write_null },	    { "pipe:write+read", use_pipe },
	{ "unix:write+read", use_local },   { "tcp:write+read", use_tcp },
	{ "tcp:send+recv", use_tcp_recv },  { "file:splice", splice_file },
	{ "tcp:write+splice", splice_tcp },
};

static const struct cell enrolled[] = {
	{ "enrolled:write+read", use_tcp },
	{ "enrolled:send+recv", use_tcp_recv },
	{ "enrolled:write+splice+recv", splice_refused },
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static void measure(const struct cell *cell, double ns)
{
	double start, spent;
	long calls = 0;

	for (int i = 0; i < 200; i++)
		cell->run();
	start = now();
	do {
		for (int i = 0; i < 100; i++)
			cell->run();
		calls += 100;
		spent = now() - start;
	} while (spent < ns);
	printf("%s %.1f\n", cell->name, spent / calls);
}

int main(int count, char **words)
{
	int is_enrolled = count > 2 && !strcmp(words[2], "enrolled");
	double ns = count > 1 ? atof(words[1]) * 1e6 : 0;

	check(ns > 0, "usage: reads MS [enrolled]");
	file = memfd_create("reads", MFD_CLOEXEC);
	sink = open("/dev/null", O_WRONLY);
	check(file >= 0 && sink >= 0 && !pipe(pipes) && !pipe(drain), "open");
	check(!socketpair(AF_UNIX, SOCK_STREAM, 0, local), "socketpair");
	open_tcp();
	write_file();
	if (is_enrolled) {
		/* A splice that finds nothing would block. */
		check(!fcntl(tcp[0], F_SETFL, O_NONBLOCK) && !fcntl(tcp[1], F_SETFL, O_NONBLOCK),
		      "fcntl");
		for (size_t i = 0; i < sizeof(enrolled) / sizeof(*enrolled); i++)
			measure(&enrolled[i], ns);
	} else {
		for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
			measure(&plain[i], ns);
	}
	return 0;
}
