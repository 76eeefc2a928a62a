// SPDX-License-Identifier: Apache-2.0
/*
 * netlink CASE...: hands the answer that each case names to list_sockets(), as the kernel would
 * write it, and prints for each how many sockets were taken, and "whole" or the error.
 */
#include "netlink.h"

#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum { ROOM = 300 * 1024 };

static unsigned int taken;
static bool is_wanted = true;

static bool take(const uint8_t *message, size_t length, void *into)
{
	(void)message;
	(void)into;
	taken += length == 16;
	return is_wanted;
}

static uint8_t datagram[ROOM] __attribute__((aligned(8)));
static size_t used;

static void add(uint16_t type, uint16_t flags, uint32_t length, const void *body, size_t size)
{
	struct nlmsghdr head = { .nlmsg_len = length, .nlmsg_type = type, .nlmsg_flags = flags };

	memcpy(datagram + used, &head, sizeof(head));
	if (size)
		memcpy(datagram + used + sizeof(head), body, size);
	used += NLMSG_ALIGN(sizeof(head) + size);
}

static void add_socket(uint16_t flags)
{
	uint8_t body[16] = { 0 };

	add(SOCK_DIAG_BY_FAMILY, NLM_F_MULTI | flags, 32, body, sizeof(body));
}

static void add_code(uint16_t type, int code)
{
	add(type, NLM_F_MULTI, 20, &code, sizeof(code));
}

static int ends[2];

static void give(void)
{
	if (write(ends[1], datagram, used) != (ssize_t)used)
		abort();
	used = 0;
}

static void give_late(int signal)
{
	(void)signal;
	add_socket(0);
	add_code(NLMSG_DONE, 0);
	give();
}

/* A signal comes while the answer is waited for. */
static void interrupt(void)
{
	struct sigaction action = { .sa_handler = give_late };
	struct itimerval soon = { .it_value = { .tv_usec = 50000 } };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
}

static uint8_t prepare(const char *name)
{
	if (same_text(name, "interrupted")) {
		interrupt();
		return AF_INET;
	}
	if (same_text(name, "no-ipv6") || same_text(name, "no-ipv4")) {
		add_code(NLMSG_ERROR, -ENOENT);
	} else if (same_text(name, "refused")) {
		add_code(NLMSG_ERROR, -EPERM);
	} else if (same_text(name, "empty")) {
		if (shutdown(ends[1], SHUT_WR))
			abort();
		return AF_INET;
	} else if (same_text(name, "too-large")) {
		add_socket(0);
		used = ROOM;
	} else {
		add_socket(0);
		add_socket(same_text(name, "changed") ? NLM_F_DUMP_INTR : 0);
		if (same_text(name, "two-datagrams"))
			give();
		if (same_text(name, "cut"))
			add(SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, 64, NULL, 0);
		else if (same_text(name, "tiny"))
			add(SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, 3, NULL, 0);
		else
			add_code(NLMSG_DONE, same_text(name, "failed") ? -ENOMEM : 0);
	}
	is_wanted = !same_text(name, "unwanted");
	give();
	return same_text(name, "no-ipv6") ? AF_INET6 : AF_INET;
}

int main(int count, char **words)
{
	for (int i = 1; i < count; i++) {
		int bytes = 2 * ROOM;
		uint8_t family;
		bool is_whole;

		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) ||
		    setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)))
			abort();
		taken = 0;
		is_wanted = true;
		family = prepare(words[i]);
		/* What an earlier call has left says nothing about this one. */
		errno = i % 2 ? EINTR : ENOENT;
		is_whole = list_sockets(ends[0], family, 0, 1, take, NULL);
		printf("%s: %u %s\n", words[i], taken, is_whole ? "whole" : name_error(errno));
		close(ends[0]);
		close(ends[1]);
	}
	return 0;
}
