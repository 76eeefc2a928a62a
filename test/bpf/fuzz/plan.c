// SPDX-License-Identifier: Apache-2.0
// Long: how each call is drawn.
/*
 * Draws a sequence from a number. A step that cannot be made when its turn comes is skipped, so any
 * subset of a sequence is a sequence too.
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

const struct socket_option options[] = {
	{ "SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 1 << 18 },
	{ "SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, 1 << 18 },
	{ "SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 3000 },
	{ "SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1 },
	{ "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1 },
	{ "TCP_CORK", IPPROTO_TCP, TCP_CORK, 1 },
	{ "TCP_NOTSENT_LOWAT", IPPROTO_TCP, TCP_NOTSENT_LOWAT, 1 << 16 },
	{ "TCP_QUICKACK", IPPROTO_TCP, TCP_QUICKACK, 1 },
};
const int option_count = sizeof(options) / sizeof(options[0]);

static const struct weight {
	enum call call;
	uint32_t weight;
} weights[] = {
	{ CALL_SEND, 260 },	{ CALL_RECV, 200 },	 { CALL_READ_ALL, 100 },
	{ CALL_BURST, 30 },	{ CALL_HUGE, 15 },	 { CALL_POLL, 40 },
	{ CALL_EPOLL_CTL, 35 }, { CALL_EPOLL_WAIT, 60 }, { CALL_SHUTDOWN, 18 },
	{ CALL_CLOSE, 12 },	{ CALL_RESET, 5 },	 { CALL_DISCONNECT, 8 },
	{ CALL_SET, 45 },	{ CALL_GET, 25 },	 { CALL_ERROR, 20 },
	{ CALL_UNREAD, 30 },	{ CALL_OUTQ, 10 },	 { CALL_NAMES, 5 },
	{ CALL_DUP, 20 },	{ CALL_PASS, 20 },	 { CALL_FORK, 8 },
	{ CALL_CONNECT, 10 },	{ CALL_ACCEPT, 25 },	 { CALL_NONBLOCK, 20 },
	{ CALL_SPLICE, 4 },	{ CALL_SIGNAL, 12 },	 { CALL_SLEEP, 15 },
	{ CALL_DRAIN, 4 },	{ CALL_EXIT, 4 },
};

static enum call draw_call(uint64_t *state)
{
	uint32_t all = 0;
	uint64_t at;

	for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]); i++)
		all += weights[i].weight;
	at = draw(state, all);
	for (size_t i = 0;; i++) {
		if (at < weights[i].weight)
			return weights[i].call;
		at -= weights[i].weight;
	}
}

static uint32_t draw_size(uint64_t *state)
{
	uint32_t most[] = { 1, 20, 1500, 1500, 20000, 70000, 300000 };

	return draw(state, 40) ? 1 + (uint32_t)draw(state, most[draw(state, 7)]) : 0;
}

/* Mostly draws an end of the first connection. */
static int draw_end(uint64_t *state)
{
	return (int)(draw(state, 4) ? draw(state, 2) : draw(state, ENDS));
}

static int draw_flags(uint64_t *state, const int *flags, const int *odds, int count)
{
	int drawn = 0;

	for (int i = 0; i < count; i++)
		if (!draw(state, (uint64_t)odds[i]))
			drawn |= flags[i];
	return drawn;
}

static void draw_send(uint64_t *state, struct step *step)
{
	static const int flags[] = { MSG_DONTWAIT, MSG_NOSIGNAL, MSG_MORE, MSG_OOB };
	static const int odds[] = { 2, 2, 12, 60 };

	step->size = draw_size(state);
	step->way = (int)(draw(state, 3) ? 0 : draw(state, SEND_WAYS));
	step->flags = draw_flags(state, flags, odds, 4);
}

static void draw_recv(uint64_t *state, struct step *step)
{
	static const int flags[] = { MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, MSG_WAITALL };
	static const int odds[] = { 2, 6, 25, 25 };

	step->size = draw_size(state);
	step->way = (int)(draw(state, 3) ? 0 : draw(state, RECEIVE_WAYS));
	step->flags = draw_flags(state, flags, odds, 4);
	step->value = (int)draw(state, 2);
}

static int draw_events(uint64_t *state, bool is_epoll)
{
	static const int flags[] = { EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLPRI };
	static const int odds[] = { 1, 3, 2, 8 };
	int events = draw_flags(state, flags, odds, 4);

	if (is_epoll && draw(state, 2))
		events |= (int)EPOLLET;
	if (is_epoll && !draw(state, 8))
		events |= EPOLLONESHOT;
	return events;
}

static void draw_step(uint64_t *state, struct step *step)
{
	static const int ways_to_shut[] = { SHUT_RD, SHUT_WR, SHUT_WR, SHUT_RDWR };
	static const int controls[] = { EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD,
					EPOLL_CTL_DEL };

	memset(step, 0, sizeof(*step));
	step->call = draw_call(state);
	step->actor = (int)draw(state, ACTORS);
	step->end = draw_end(state);
	switch (step->call) {
	case CALL_SEND:
		draw_send(state, step);
		break;
	case CALL_BURST:
		step->size = 100 + (uint32_t)draw(state, 3000);
		break;
	case CALL_HUGE:
		step->size = (1 << 17) + (uint32_t)draw(state, draw(state, 3) ? 1 << 20 : 6 << 20);
		break;
	case CALL_RECV:
		draw_recv(state, step);
		break;
	case CALL_POLL:
		step->flags = draw_events(state, false);
		break;
	case CALL_EPOLL_CTL:
		step->flags = draw_events(state, true);
		step->value = controls[draw(state, 4)];
		break;
	case CALL_EPOLL_WAIT:
		step->value = draw(state, 4) ? 0 : -1;
		break;
	case CALL_SHUTDOWN:
		step->flags = ways_to_shut[draw(state, 4)];
		break;
	case CALL_SET:
	case CALL_GET:
		step->option = (int)draw(state, (uint64_t)option_count);
		step->value = options[step->option].largest;
		step->value = step->value == 1 ? (int)draw(state, 2)
					       : (int)draw(state, (uint64_t)step->value);
		break;
	case CALL_NONBLOCK:
	case CALL_EXIT:
		step->value = (int)draw(state, 2);
		break;
	case CALL_SPLICE:
		step->size = 1 + (uint32_t)draw(state, 4000);
		break;
	case CALL_SLEEP:
		step->value = 1 + (int)draw(state, draw(state, 4) ? 5 : 40);
		break;
	case CALL_DRAIN:
		step->value = (int)draw(state, 3);
		break;
	default:
		break;
	}
}

static struct step *add(struct plan *plan, enum call call, int actor, int end)
{
	struct step *step = &plan->steps[plan->count++];

	*step = (struct step){ .call = call, .actor = actor, .end = end };
	return step;
}

/* Adds requests and replies, which bring both directions from TCP to the bypass. */
static void add_exchange(struct plan *plan, uint64_t *state, int server)
{
	for (uint64_t rounds = 1 + draw(state, 4); rounds; rounds--)
		for (int end = 0; end < 2; end++) {
			int actors[] = { 0, server };

			add(plan, CALL_SEND, actors[end], end)->size =
				1 + (uint32_t)draw(state, 2000);
			add(plan, CALL_READ_ALL, actors[!end], !end);
		}
}

void make_plan(struct plan *plan, uint64_t seed)
{
	uint64_t state = mix(seed), place;
	int server = 0, steps;

	memset(plan, 0, sizeof(*plan));
	plan->seed = seed;
	plan->family = (int)draw(&state, 3);
	for (int i = 0; i < 2; i++)
		if (!draw(&state, 5))
			plan->buffer[i] = 2048 << draw(&state, 7);
	plan->is_nodelay = draw(&state, 5) != 0;
	plan->is_inline = draw(&state, 2);
	plan->is_restarting = draw(&state, 2);
	plan->has_threads = draw(&state, 2);

	add(plan, CALL_CONNECT, 0, 0);
	if (!draw(&state, 5))
		for (int i = 0; i < 3; i++)
			add(plan, CALL_SEND, 0, 0)->size = draw_size(&state);
	place = draw(&state, 10);
	if (draw(&state, 8))
		add(plan, CALL_ACCEPT, 0, 1);
	/* Mostly each end is in its own process; otherwise both are in one process, or in both. */
	if (place < 8)
		add(plan, CALL_FORK, 0, 0);
	if (place < 7) {
		server = 1;
		add(plan, CALL_CLOSE, 0, 1);
		add(plan, CALL_CLOSE, 1, 0);
	}
	if (draw(&state, 4))
		add_exchange(plan, &state, server);
	steps = 5 + (int)draw(&state, 70);
	while (steps-- > 0)
		draw_step(&state, &plan->steps[plan->count++]);
}

int effective_flags(const struct step *step)
{
	bool has_flags = step->way == WAY_CALL || step->way == WAY_MESSAGE;

	return (step->call == CALL_SEND || step->call == CALL_RECV) && !has_flags ? 0 : step->flags;
}

static const char *const names[] = {
	[CALL_CONNECT] = "connect",
	[CALL_ACCEPT] = "accept",
	[CALL_FORK] = "fork",
	[CALL_SEND] = "send",
	[CALL_BURST] = "send many tiny",
	[CALL_HUGE] = "send huge",
	[CALL_RECV] = "recv",
	[CALL_READ_ALL] = "read all",
	[CALL_POLL] = "poll",
	[CALL_EPOLL_CTL] = "epoll_ctl",
	[CALL_EPOLL_WAIT] = "epoll_wait",
	[CALL_SHUTDOWN] = "shutdown",
	[CALL_CLOSE] = "close",
	[CALL_RESET] = "close with linger 0",
	[CALL_DISCONNECT] = "connect AF_UNSPEC and again",
	[CALL_SET] = "setsockopt",
	[CALL_GET] = "getsockopt",
	[CALL_ERROR] = "SO_ERROR",
	[CALL_UNREAD] = "FIONREAD",
	[CALL_OUTQ] = "SIOCOUTQ",
	[CALL_NAMES] = "getsockname, getpeername",
	[CALL_DUP] = "dup",
	[CALL_PASS] = "pass",
	[CALL_NONBLOCK] = "O_NONBLOCK",
	[CALL_SPLICE] = "splice",
	[CALL_SIGNAL] = "signal",
	[CALL_SLEEP] = "sleep",
	[CALL_DRAIN] = "drain switch",
	[CALL_EXIT] = "exit",
	[CALL_SEND_REST] = "send the rest",
	[CALL_READ_EXACT] = "read what the other world had",
	[CALL_TAKE] = "take",
	[CALL_LOOK] = "look",
};

static const struct flag {
	int flag;
	const char *name;
} message_flags[] = { { MSG_DONTWAIT, "DONTWAIT" }, { MSG_NOSIGNAL, "NOSIGNAL" },
		      { MSG_MORE, "MORE" },	    { MSG_OOB, "OOB" },
		      { MSG_PEEK, "PEEK" },	    { MSG_TRUNC, "TRUNC" },
		      { MSG_WAITALL, "WAITALL" },   { 0, NULL } },
  event_flags[] = { { EPOLLIN, "IN" },	 { EPOLLOUT, "OUT" },	 { EPOLLRDHUP, "RDHUP" },
		    { EPOLLPRI, "PRI" }, { (int)EPOLLET, "ET" }, { EPOLLONESHOT, "ONESHOT" },
		    { 0, NULL } };

static int describe_flags(char *text, size_t size, const struct flag *flags, int found)
{
	int length = 0;

	for (; flags->name; flags++)
		if (found & flags->flag)
			length += snprintf(text + length, size - (size_t)length, "%s%s",
					   length ? "|" : " ", flags->name);
	return length;
}

int describe_step(char *text, size_t size, const struct step *step)
{
	static const char *const actors[] = { "P", "Q", "P2", "Q2" };
	static const char *const ways[] = { "", " by write/read", " by writev/readv",
					    " by sendmsg/recvmsg", " by sendfile" };
	static const char *const hows[] = { "RD", "WR", "RDWR" };
	static const char *const controls[] = { "", "ADD", "DEL", "MOD" };
	bool is_events = step->call == CALL_POLL || step->call == CALL_EPOLL_CTL;
	int n = snprintf(text, size, "%-2s %s", actors[step->actor], names[step->call]);

	if (step->call != CALL_SLEEP && step->call != CALL_DRAIN && step->call != CALL_FORK &&
	    step->call != CALL_EXIT)
		n += snprintf(text + n, size - (size_t)n, " %c%d", "cs"[step->end % 2],
			      step -> end / 2);
	if (step->call == CALL_SEND || step->call == CALL_RECV)
		n += snprintf(text + n, size - (size_t)n, "%s", ways[step->way]);
	if (step->call == CALL_SHUTDOWN)
		n += snprintf(text + n, size - (size_t)n, " %s", hows[step->flags]);
	else if (is_events || effective_flags(step))
		n += describe_flags(text + n, size - (size_t)n,
				    is_events ? event_flags : message_flags, effective_flags(step));
	if (step->call == CALL_SET || step->call == CALL_GET)
		n += snprintf(text + n, size - (size_t)n, " %s", options[step->option].name);
	if (step->call == CALL_EPOLL_CTL)
		n += snprintf(text + n, size - (size_t)n, " %s", controls[step->value]);
	else if (step->value && step->call != CALL_RECV)
		n += snprintf(text + n, size - (size_t)n, " %d", step->value);
	if (step->call == CALL_RECV && step->value && (effective_flags(step) & MSG_TRUNC))
		n += snprintf(text + n, size - (size_t)n, " without a buffer");
	if (step->size)
		n += snprintf(text + n, size - (size_t)n, " %u bytes", step->size);
	return n;
}
