// SPDX-License-Identifier: Apache-2.0
/*
 * advise-lists CASE [COUNT]: hands lists of sockets, as two looks would give them, to what `advise`
 * makes of them, and prints what comes of it. Lists that a kernel gives only now and then, or only
 * after a hundred thousand connections, cannot be had at will.
 */
#include "advise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long steps;

/* The compiler calls it wherever the program branches. */
void __sanitizer_cov_trace_pc(void);
__attribute__((no_sanitize("coverage"))) void __sanitizer_cov_trace_pc(void)
{
	steps++;
}

static struct point loopback(uint16_t port)
{
	return (struct point){ .address = { [10] = 0xff, 0xff, 127, 0, 0, 1 }, .port = port };
}

static struct tcp_end *add(struct tcp_ends *ends, uint16_t local, uint16_t remote, uint64_t cookie)
{
	struct tcp_end *end = add_end(ends);

	end->local = loopback(local);
	end->remote = loopback(remote);
	end->cookie = cookie;
	end->mss = 65483;
	end->state = remote ? 1 : LISTENS;
	return end;
}

/* Both ends of a connection to port 80, by which 3 requests of 10 bytes have gone. */
static void add_both(struct tcp_ends *ends, uint16_t port, uint64_t cookie, uint16_t traits)
{
	struct tcp_end *client = add(ends, port, 80, cookie);
	struct tcp_end *server;

	client->bytes[OUT] = 30;
	client->segments[OUT] = 3;
	client->traits = traits;
	server = add(ends, 80, port, cookie + 1);
	server->bytes[IN] = 30;
	server->segments[IN] = 3;
	server->traits = traits & IS_ENDED;
}

static void sum_up(struct tcp_ends *first, struct tcp_ends *ended, struct tcp_ends *last)
{
	space_count = 1;
	merge(first, ended, last);
	find_servers(last);
	find_pairs(last);
	find_relays(last);
	find_services(last);
}

/* The kernel has listed a connection, and the listener, twice in each look. */
static void repeat(struct tcp_ends *first, struct tcp_ends *last)
{
	struct tcp_ends none = { 0 };

	for (unsigned int i = 0; i < 2; i++) {
		add(first, 80, 0, 1);
		add_both(first, 4000, 2, 0);
		add(last, 80, 0, 1);
		add_both(last, 4000, 2, 0);
	}
	/* Connected again: the addresses or the counts are others. */
	add_both(last, 4001, 2, 0);
	sum_up(first, &none, last);
	printf("%u sockets, %u connections, %u on this host\n", last->count, services->connections,
	       services->on_host);
}

/* Of 10 s, short connections of one were heard; each stays on TCP. One other stays there too. */
static void sample(struct tcp_ends *first, struct tcp_ends *last)
{
	struct tcp_ends ended = { 0 };
	const struct service *service = services;

	add(first, 80, 0, 1);
	add(last, 80, 0, 1);
	add_both(first, 3999, 2, 0);
	add_both(last, 3999, 2, HAS_LOWAT);
	for (unsigned int i = 0; i < 100; i++)
		add_both(&ended, (uint16_t)(4000 + i), 4 + 2 * i, IS_ENDED | HAS_LOWAT);
	sum_up(first, &ended, last);
	unseen.is_sampled = true;
	estimate_shorts(10000, 1000);
	printf("%u and %lu short, %lu messages of %lu bytes, %lu stay on TCP\n",
	       service->connections, (unsigned long)service->shorts_on_host,
	       (unsigned long)service->sums.messages[IN], (unsigned long)service->sums.bytes[IN],
	       (unsigned long)service->sums.staying);
}

/* How many steps it takes: of connections that last, or of short ones between the same ports. */
static void work(struct tcp_ends *first, struct tcp_ends *last, bool are_short, unsigned int count)
{
	struct tcp_ends ended = { 0 };

	add(first, 80, 0, 1);
	add(last, 80, 0, 1);
	for (unsigned int i = 0; i < count; i++) {
		uint16_t port = (uint16_t)(are_short ? 4000 : 4000 + i);

		if (are_short)
			add_both(&ended, port, 2 + 2 * i, IS_ENDED);
		else
			add_both(last, port, 2 + 2 * i, 0);
	}
	steps = 0;
	sum_up(first, &ended, last);
	printf("%lu steps, %lu on this host\n", steps,
	       (unsigned long)(services->on_host + services->shorts_on_host));
}

int main(int count, char **words)
{
	struct tcp_ends first = { 0 }, last = { 0 };

	if (count == 2 && strcmp(words[1], "repeated") == 0)
		repeat(&first, &last);
	else if (count == 2 && strcmp(words[1], "sampled") == 0)
		sample(&first, &last);
	else if (count == 3)
		work(&first, &last, strcmp(words[1], "short") == 0,
		     (unsigned int)strtoul(words[2], NULL, 10));
	else
		return 1;
	return 0;
}
