// SPDX-License-Identifier: Apache-2.0
// Long: each difference that is allowed, with its reason, beside the state that decides it.
/*
 * Runs a sequence in both worlds and compares. A step is over when its call has returned or sleeps
 * in both worlds, and all ends look the same in both. That may take some seconds, so nothing
 * depends on how fast the machine is. If a call took more bytes in one world, the other one takes
 * the rest, so that both are at the same byte of each stream again.
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <errno.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	BOUND_MS = 3000,
	LATE_MS = 5,
	DRAIN_ROUNDS = 40,
	DRAIN_MS = 4000,
	MOST_HELD = 3,
	LOWAT = 131071
};

/* Known differences; docs/reference/behaviour.md describes them. */
enum allowance {
	SPLICE,
	FIONREAD_TCP,
	MSG_WAITALL_SHORT,
	RCVLOWAT,
	INBAND,
	RECV_SIGNAL,
	RESET_BLOCKED,
	RECV_BESIDE,
	CLOSE_UNREAD,
	TRUNC,
	SHORT_READ,
	QUEUE,
	SPILL_ROOM,
	CORK,
	EDGES,
	NOTSENT_LOWAT,
	EMPTY_SEND,
	EMPTY_RECV,
	SEND_ERROR,
	ALLOWANCES,
};

const char *const allowances[] = {
	[SPLICE] = "splice",
	[FIONREAD_TCP] = "fionread_tcp",
	[MSG_WAITALL_SHORT] = "msg_waitall",
	[RCVLOWAT] = "so_rcvlowat",
	[INBAND] = "oob",
	[RECV_SIGNAL] = "recv_signal",
	[RESET_BLOCKED] = "reset_blocked",
	[RECV_BESIDE] = "recv_beside",
	[CLOSE_UNREAD] = "close_unread",
	[TRUNC] = "msg_trunc",
	[SHORT_READ] = "short_read",
	[QUEUE] = "queue",
	[SPILL_ROOM] = "spill_room",
	[CORK] = "cork",
	[EDGES] = "edges",
	[NOTSENT_LOWAT] = "notsent_lowat",
	[EMPTY_SEND] = "empty_send",
	[EMPTY_RECV] = "empty_recv",
	[SEND_ERROR] = "send_error",
};
const int allowance_count = ALLOWANCES;

bool is_strict, is_verbose;
uint64_t allowed[ALLOWANCES], steps_done;

struct direction {
	uint64_t key;
	uint64_t sent[WORLDS], read[WORLDS];
	bool is_corked, has_more; /* TCP_CORK, MSG_MORE */
	bool was_late; /* TCP bytes were late since the reader last had everything */
};

struct connection {
	bool is_used, is_accepted;
	bool is_loose; /* either world may have lost what the other has */
	bool has_urgent;
	bool is_shut;
	bool is_read_shut; /* a reset may answer what comes afterwards */
	struct direction to[2]; /* indexed by the end that sends */
};

struct endpoint {
	int held[PROCESSES]; /* number of descriptors */
	bool is_nonblock, has_small_buffer, is_receive_set, is_send_set;
	int lowat;
	bool has_kept_error; /* send() returned an error that the next call returns again */
	bool is_seen;
	struct view views[WORLDS];
	uint32_t events[PROCESSES]; /* asked for by epoll */
};

/* A call under way. Each actor has at most one. */
enum { ABSENT, RUNNING, ASLEEP, RETURNED };

struct operation {
	bool is_active, is_blocking, was_asleep, is_signaled, is_beside, is_told, is_late, is_again;
	struct step step, asked[WORLDS]; /* `asked` may be for the rest of the step */
	int state[WORLDS];
	struct result results[WORLDS];
	int64_t moved[WORLDS]; /* bytes, including the rest */
	uint32_t events[WORLDS][ENDS]; /* of epoll_wait */
};

static const struct plan *plan;
static struct connection connections[CONNECTIONS];
static struct endpoint ends[ENDS];
static struct operation operations[ACTORS];
static bool has_forked, has_exited, has_switched, is_abandoned;
static char fault[512], record[1 << 16];
static size_t recorded;

static const char *const worlds[] = { "plain", "enrolled" };

const char *get_log(void)
{
	return record;
}

__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
	va_list words;

	va_start(words, format);
	if (recorded < sizeof(record) - 300)
		recorded += (size_t)vsnprintf(record + recorded, 300, format, words);
	va_end(words);
}

static bool allow(enum allowance name)
{
	if (is_strict)
		return false;
	allowed[name]++;
	note("        limit: %s\n", allowances[name]);
	return true;
}

static struct connection *connection_of(int end)
{
	return &connections[end / 2];
}

/* Records the first fault. */
__attribute__((format(printf, 1, 2))) static void blame(const char *format, ...)
{
	va_list words;

	if (fault[0])
		return;
	va_start(words, format);
	vsnprintf(fault, sizeof(fault), format, words);
	va_end(words);
}

static bool is_over(void)
{
	return fault[0] || is_abandoned;
}

static struct direction *out_of(int end)
{
	return &connection_of(end)->to[end % 2];
}

static struct direction *into(int end)
{
	return &connection_of(end)->to[!(end % 2)];
}

static int process_of(int actor)
{
	return actor % PROCESSES;
}

static bool is_alive(int actor)
{
	if (actor >= PROCESSES && !plan->has_threads)
		return false;
	return process_of(actor) == 0 || (has_forked && !has_exited);
}

static bool is_free(int actor)
{
	return is_alive(actor) && !operations[actor].is_active;
}

static bool is_open(int end)
{
	return ends[end].held[0] || ends[end].held[1];
}

static bool is_sending(enum call call)
{
	return call == CALL_SEND || call == CALL_BURST || call == CALL_HUGE;
}

static bool is_reading(enum call call)
{
	return call == CALL_RECV || call == CALL_READ_ALL || call == CALL_SPLICE;
}

static bool is_waiting(enum call call)
{
	return call == CALL_POLL || call == CALL_EPOLL_WAIT;
}

/* If end is -1, looks at all ends. */
static bool has_pending(int end, bool (*is_kind)(enum call))
{
	for (int i = 0; i < ACTORS; i++)
		if (operations[i].is_active && (end < 0 || operations[i].step.end == end) &&
		    (!is_kind || is_kind(operations[i].step.call)))
			return true;
	return false;
}

/*
 * True if TCP bytes may be under way, because the sender keeps them back (Nagle, MSG_MORE,
 * TCP_CORK) or waits for the reader's window.
 */
static bool is_late(int sender, int world)
{
	const struct view *from = &ends[sender].views[world], *to = &ends[sender ^ 1].views[world];
	const struct direction *direction = out_of(sender);

	return direction->is_corked || direction->has_more || from->waiting ||
	       (ends[sender].is_seen && ends[sender ^ 1].is_seen && from->sent > to->received);
}

static bool has_small_windows(int end)
{
	return ends[end].has_small_buffer || ends[end ^ 1].has_small_buffer || plan->buffer[0] ||
	       plan->buffer[1];
}

/* True if so much waits for the reader that limits on it may show. */
static bool is_crowded(int sender)
{
	const struct direction *direction = out_of(sender);
	uint64_t most = has_small_windows(sender) ? 500 : 30000;

	return direction->sent[PLAIN] > direction->read[PLAIN] + most ||
	       direction->sent[ENROLLED] > direction->read[ENROLLED] + most ||
	       has_pending(sender, is_sending);
}

static bool is_either_crowded(int end)
{
	return is_crowded(end) || is_crowded(end ^ 1);
}

/* True if a reader may for now see less than was sent to it over TCP, in either world. */
static bool may_come_later(int end)
{
	return is_late(end ^ 1, PLAIN) || is_late(end ^ 1, ENROLLED) || is_crowded(end ^ 1) ||
	       into(end)->was_late;
}

static void check_bytes(int end, int world, uint64_t at, const uint8_t *bytes, size_t count)
{
	static uint8_t right[BUFFER];
	size_t i = 0;

	fill(right, into(end)->key, at, count);
	if (!memcmp(right, bytes, count))
		return;
	while (right[i] == bytes[i])
		i++;
	blame("bytes: %c%d, %s: byte %llu of the stream, %zu of %zu read, is another one",
	      "cs"[end % 2], end / 2, worlds[world], (unsigned long long)(at + i), i, count);
}

static void start(struct operation *operation, int world, const struct step *step)
{
	const struct direction *direction = is_sending(step->call) || step->call == CALL_SEND_REST
						    ? out_of(step->end)
						    : into(step->end);

	operation->asked[world] = *step;
	operation->state[world] = RUNNING;
	ask(world, step->actor, step, direction->key,
	    is_sending(step->call) || step->call == CALL_SEND_REST ? direction->sent[world]
								   : direction->read[world]);
}

static void ask_rest(struct operation *operation, int world, enum call call, int64_t size)
{
	struct step step = { .call = call,
			     .actor = operation->step.actor,
			     .end = operation->step.end,
			     .size = (uint32_t)size };

	note("        %s: %lld more\n", worlds[world], (long long)size);
	start(operation, world, &step);
}

/*
 * A blocking recv() may return EAGAIN because the kernel wakes its thread without bytes. It is
 * called again, as patient programs do.
 */
static bool is_called_again(struct operation *operation)
{
	const struct step *step = &operation->asked[ENROLLED];
	struct result *result = &operation->results[ENROLLED];
	enum allowance cause;

	if (step->call != CALL_RECV || result->value >= 0 || result->error != EAGAIN ||
	    (effective_flags(step) & MSG_DONTWAIT) || !operation->is_blocking)
		return false;
	if (operation->state[ENROLLED] != RETURNED || operation->state[PLAIN] == RUNNING)
		return false;
	if (operation->is_signaled)
		cause = RECV_SIGNAL;
	else if (operation->state[PLAIN] == RETURNED &&
		 operation->results[PLAIN].error == ECONNRESET)
		cause = RESET_BLOCKED;
	else if (operation->is_beside || has_switched) /* leaving wakes it, too */
		cause = RECV_BESIDE;
	else
		return false;
	if (!allow(cause))
		return false;
	operation->is_again = true;
	if (cause == RECV_SIGNAL && !plan->is_restarting) {
		result->error = EINTR;
		return false;
	}
	start(operation, ENROLLED, &operation->step);
	return true;
}

static void take_bytes(struct operation *operation, int world, const struct desk *desk)
{
	const struct step *step = &operation->asked[world];
	struct direction *direction = into(step->end);
	int flags = step->call == CALL_RECV ? effective_flags(step) : 0;
	int64_t value = operation->results[world].value;

	if (value <= 0)
		return;
	if (!(flags & MSG_TRUNC))
		check_bytes(step->end, world, direction->read[world], desk->bytes, (size_t)value);
	if (fault[0] && step->call == CALL_SPLICE && allow(SPLICE)) {
		fault[0] = 0;
		is_abandoned = true;
	}
	if (flags & MSG_PEEK)
		return;
	direction->read[world] += (uint64_t)value;
	operation->moved[world] += value;
}

/* Takes the answer of a world. */
static void take(struct operation *operation, int world)
{
	const struct step *step = &operation->asked[world];
	struct desk *desk = &shared->worlds[world].actors[step->actor];
	struct result *result = &operation->results[world];

	*result = desk->result;
	operation->state[world] = RETURNED;
	if (step->call == CALL_EPOLL_WAIT)
		for (int end = 0; end < ENDS; end++)
			operation->events[world][end] = desk->views[end].events;
	atomic_store(&desk->turn, IDLE);
	if (is_reading(step->call) || step->call == CALL_READ_EXACT)
		take_bytes(operation, world, desk);
	if ((is_sending(step->call) || step->call == CALL_SEND_REST) && result->value > 0) {
		out_of(step->end)->sent[world] += (uint64_t)result->value;
		operation->moved[world] += result->value;
	}
}

static void tell_results(struct operation *operation)
{
	const struct result *results = operation->results;

	if (operation->is_told)
		return;
	operation->is_told = true;
	note("        %s", operation->was_asleep ? "at last: " : "");
	for (int world = 0; world < WORLDS; world++) {
		note("%s%s %lld", world ? ", " : "", worlds[world],
		     (long long)results[world].value);
		if (results[world].error)
			note(" %s", strerrorname_np(results[world].error));
		if (results[world].detail)
			note(" (%x)", results[world].detail);
		for (int end = 0; operation->step.call == CALL_EPOLL_WAIT && end < ENDS; end++)
			if (operation->events[world][end])
				note(" %c%d:%x", "cs"[end % 2], end / 2,
				     operation->events[world][end]);
	}
	note("\n");
}

static void blame_results(const struct operation *operation, const char *kind)
{
	char text[200];
	const struct result *results = operation->results;

	describe_step(text, sizeof(text), &operation->step);
	blame("%s: %s: plain %lld %s (%x), enrolled %lld %s (%x)", kind, text,
	      (long long)results[PLAIN].value, strerrorname_np(results[PLAIN].error),
	      results[PLAIN].detail, (long long)results[ENROLLED].value,
	      strerrorname_np(results[ENROLLED].error), results[ENROLLED].detail);
}

static bool is_same(const struct operation *operation)
{
	const struct result *results = operation->results;

	return results[PLAIN].value == results[ENROLLED].value &&
	       results[PLAIN].error == results[ENROLLED].error &&
	       results[PLAIN].detail == results[ENROLLED].detail &&
	       results[PLAIN].pipes == results[ENROLLED].pipes;
}

static bool is_temporary(int error)
{
	return error == 0 || error == EAGAIN || error == EINTR;
}

/* The next call repeats an error of the connection that an enrolled send() has returned. */
static bool is_error_kept(const struct operation *operation)
{
	struct endpoint *end = &ends[operation->step.end];
	const struct result *plain = &operation->results[PLAIN];
	const struct result *enrolled = &operation->results[ENROLLED];

	if (is_sending(operation->step.call)) {
		if (end->has_kept_error && plain->error == EPIPE && enrolled->error == ECONNRESET)
			return allow(SEND_ERROR);
		end->has_kept_error |= enrolled->error == ECONNRESET;
		return false;
	}
	if (!end->has_kept_error || is_same(operation) || operation->step.call == CALL_POLL)
		return false;
	end->has_kept_error = false;
	if (operation->step.call == CALL_READ_ALL)
		return enrolled->detail == ECONNRESET && plain->detail == 0 &&
		       plain->value == enrolled->value && allow(SEND_ERROR);
	return (enrolled->error == ECONNRESET || enrolled->value == ECONNRESET) &&
	       plain->value <= 0 && plain->error == 0 && allow(SEND_ERROR);
}

static bool is_gone(int error)
{
	return error == EPIPE || error == ECONNRESET;
}

/* Each judge ends the operation, or makes one world go on. */
static void judge_send(struct operation *operation)
{
	const struct connection *connection = connection_of(operation->step.end);
	int64_t missing = operation->moved[ENROLLED] - operation->moved[PLAIN];
	int behind = missing > 0 ? PLAIN : ENROLLED;

	operation->is_active = false;
	if (connection->is_loose)
		return;
	if (operation->step.size == 0 && operation->results[ENROLLED].value == 0 &&
	    operation->results[PLAIN].value < 0 && allow(EMPTY_SEND))
		return;
	if (missing == 0 && is_error_kept(operation))
		return;
	/* The error is ECONNRESET, or EPIPE if a FIN came before the reset. */
	if (missing == 0 && operation->is_late && is_gone(operation->results[PLAIN].error) &&
	    is_gone(operation->results[ENROLLED].error))
		return;
	if (missing == 0) {
		if (operation->asked[PLAIN].call != CALL_SEND_REST &&
		    operation->asked[ENROLLED].call != CALL_SEND_REST && !is_same(operation))
			blame_results(operation, "send");
		return;
	}
	/* Before the reset comes, one world may take more bytes that nobody will read. */
	if ((connection->is_accepted && !is_open(operation->step.end ^ 1)) ||
	    connection->is_read_shut)
		return;
	if (!is_temporary(operation->results[behind].error) ||
	    (behind == ENROLLED && !is_crowded(operation->step.end)) ||
	    !allow(behind == PLAIN ? QUEUE : SPILL_ROOM)) {
		blame_results(operation, "send");
		return;
	}
	operation->is_active = true;
	ask_rest(operation, behind, CALL_SEND_REST, missing > 0 ? missing : -missing);
}

static void judge_peek(const struct operation *operation)
{
	int end = operation->step.end;
	int64_t more = operation->results[PLAIN].value - operation->results[ENROLLED].value;

	if (operation->results[ENROLLED].error == EFAULT &&
	    (effective_flags(&operation->step) & MSG_TRUNC) && allow(TRUNC))
		return;
	if (operation->is_late) {
		if (operation->results[PLAIN].value <= 0 && operation->results[ENROLLED].value > 0)
			allow(CORK);
		return;
	}
	if (operation->results[PLAIN].value > 0 && operation->results[ENROLLED].value > 0) {
		if (operation->was_asleep)
			return;
		if (more > 0 && allow(SHORT_READ))
			return;
		if (more < 0 && connection_of(end)->has_urgent && allow(INBAND))
			return;
	}
	blame_results(operation, "peek");
}

/* Decides whether one world may have read fewer bytes than the other. */
static bool may_be_fewer(const struct operation *operation, int behind)
{
	const struct step *step = &operation->step;
	const struct result *result = &operation->results[behind];
	int flags = effective_flags(step), end = step->end;
	bool has_some = result->value > 0;

	if (!has_some && result->value < 0 && result->error == EFAULT && (flags & MSG_TRUNC))
		return allow(TRUNC);
	/* After SHUT_RD, a read that finds nothing yet returns the end of the stream. */
	if (!has_some && step->call != CALL_READ_ALL && result->error != EAGAIN &&
	    !(result->value == 0 && operation->is_late))
		return step->call == CALL_SPLICE && result->value == 0 && allow(SPLICE);
	if (step->call == CALL_SPLICE && behind == ENROLLED)
		return allow(SPLICE);
	if (operation->was_asleep && has_some)
		return true;
	if (operation->is_late)
		return has_some || behind == ENROLLED || allow(CORK);
	if (behind == PLAIN)
		return connection_of(end)->has_urgent && allow(INBAND);
	if (flags & MSG_WAITALL)
		return allow(MSG_WAITALL_SHORT);
	return step->call != CALL_READ_ALL && has_some && allow(SHORT_READ);
}

/*
 * Gives how much a world can still read. If the reader has shut its side, judge_send() lets one
 * world take less than the other.
 */
static int64_t get_left(int end, int world)
{
	return connection_of(end)->is_read_shut
		       ? (int64_t)(into(end)->sent[world] - into(end)->read[world])
		       : INT64_MAX;
}

/*
 * A byte that arrives after SHUT_RD resets the connection. Over TCP it may arrive at any time, also
 * before a recv() that returned EAGAIN is tried again.
 */
static bool is_end_or_reset(const struct operation *operation)
{
	for (int world = 0; world < WORLDS; world++) {
		const struct result *result = &operation->results[world];

		if (result->value != 0 && result->error != ECONNRESET &&
		    !(operation->is_again && result->error == EINTR))
			return false;
	}
	return true;
}

static void judge_read(struct operation *operation)
{
	int end = operation->step.end;
	const struct connection *connection = connection_of(end);
	bool was_exact = operation->asked[PLAIN].call == CALL_READ_EXACT ||
			 operation->asked[ENROLLED].call == CALL_READ_EXACT;
	int64_t missing;
	int behind;

	operation->is_active = false;
	if (connection->is_loose)
		return;
	if (operation->step.size == 0 && operation->step.call == CALL_RECV &&
	    operation->results[ENROLLED].value == 0 && operation->results[PLAIN].value < 0 &&
	    allow(EMPTY_RECV))
		return;
	if (operation->step.call == CALL_RECV && (effective_flags(&operation->step) & MSG_PEEK)) {
		if (!is_same(operation))
			judge_peek(operation);
		return;
	}
	missing = operation->moved[ENROLLED] - operation->moved[PLAIN];
	behind = missing > 0 ? PLAIN : ENROLLED;
	if (missing == 0 && operation->is_late && operation->results[ENROLLED].error == EFAULT &&
	    (effective_flags(&operation->step) & MSG_TRUNC) && allow(TRUNC))
		return;
	if (is_error_kept(operation))
		return;
	if (missing == 0 && connection->is_read_shut &&
	    (operation->is_late || operation->is_again) && is_end_or_reset(operation))
		return;
	if (missing == 0) {
		if (!was_exact && !is_same(operation) &&
		    !(operation->step.call == CALL_READ_ALL && operation->is_late))
			blame_results(operation, "recv");
	} else if (was_exact && behind == PLAIN) {
		is_abandoned = true; /* TCP with a tiny window may need longer */
	} else if (was_exact) {
		if (get_left(end, behind) > 0 &&
		    !(connection->is_read_shut && operation->results[behind].error == ECONNRESET))
			blame_results(operation, "stall");
	} else if (!may_be_fewer(operation, behind)) {
		blame_results(operation, "recv");
	} else if (get_left(end, behind) > 0) {
		missing = missing > 0 ? missing : -missing;
		if (missing > get_left(end, behind))
			missing = get_left(end, behind);
		operation->is_active = true;
		ask_rest(operation, behind, CALL_READ_EXACT, missing);
	}
}

/*
 * True if a reader that waits for more may have taken in one world what is still there in the
 * other.
 */
static bool is_reader_filling(int end)
{
	for (int i = 0; i < ACTORS; i++)
		if (operations[i].is_active && operations[i].step.end == end &&
		    operations[i].step.call == CALL_RECV &&
		    ((effective_flags(&operations[i].step) & MSG_WAITALL) || ends[end].lowat > 1))
			return true;
	return false;
}

/* Gives the events that only one world has and that nothing excuses. */
static uint32_t blame_events(int end, uint32_t plain, uint32_t enrolled)
{
	uint32_t missing = plain & ~enrolled, extra = enrolled & ~plain;
	const struct connection *connection = connection_of(end);

	if (connection->is_loose)
		return 0;
	if (connection->has_urgent) {
		missing &= ~(uint32_t)EPOLLPRI;
		if (into(end)->sent[PLAIN] > into(end)->read[PLAIN])
			missing &= ~(uint32_t)EPOLLIN, extra &= ~(uint32_t)EPOLLIN;
	}
	if (is_either_crowded(end))
		missing &= ~(uint32_t)EPOLLOUT, extra &= ~(uint32_t)EPOLLOUT;
	if (ends[end].lowat > 1 || may_come_later(end))
		extra &= ~(uint32_t)EPOLLIN;
	if (may_come_later(end) || may_come_later(end ^ 1)) {
		/* The FIN comes after bytes that wait. */
		uint32_t closing = EPOLLIN | EPOLLRDHUP | EPOLLHUP;

		if (connection->is_read_shut)
			closing |= EPOLLERR;
		extra &= ~closing;
		missing &= ~closing;
	}
	if (is_reader_filling(end))
		missing &= ~(uint32_t)EPOLLIN, extra &= ~(uint32_t)EPOLLIN;
	if (ends[end].has_kept_error)
		extra &= ~(uint32_t)EPOLLERR;
	return missing | extra;
}

static void judge_epoll(struct operation *operation)
{
	int process = process_of(operation->step.actor);

	operation->is_active = false;
	for (int end = 0; end < ENDS; end++) {
		uint32_t plain = operation->events[PLAIN][end];
		uint32_t enrolled = operation->events[ENROLLED][end];
		bool is_edge = ends[end].events[process] & EPOLLET;

		if (plain == enrolled || operation->was_asleep)
			continue;
		if (ends[end].events[process] & (EPOLLET | EPOLLONESHOT) && !(plain & ~enrolled) &&
		    allow(EDGES))
			continue;
		if (blame_events(end, plain, enrolled) &&
		    !(is_edge && may_come_later(end) && allow(EDGES))) {
			blame_results(operation, "epoll");
			return;
		}
	}
}

static void judge_option(struct operation *operation)
{
	const struct socket_option *option = &options[operation->step.option];
	const struct endpoint *end = &ends[operation->step.end];

	operation->is_active = false;
	if (is_same(operation) || !strcmp(option->name, "TCP_QUICKACK") ||
	    (!strcmp(option->name, "SO_RCVBUF") && !end->is_receive_set) ||
	    (!strcmp(option->name, "SO_SNDBUF") && !end->is_send_set))
		return; /* the kernel tunes these by the traffic */
	if (!strcmp(option->name, "TCP_NOTSENT_LOWAT") && operation->results[PLAIN].value == 0 &&
	    operation->results[ENROLLED].value == LOWAT && allow(NOTSENT_LOWAT))
		return;
	blame_results(operation, "getsockopt");
}

static void judge_other(struct operation *operation)
{
	int end = operation->step.end;
	int64_t plain = operation->results[PLAIN].value;
	int64_t enrolled = operation->results[ENROLLED].value;

	operation->is_active = false;
	if (is_same(operation) || connection_of(end)->is_loose || is_error_kept(operation))
		return;
	switch (operation->step.call) {
	case CALL_OUTQ:
		if ((plain < 0) == (enrolled < 0))
			return; /* unacknowledged bytes may differ */
		break;
	case CALL_UNREAD:
		if (plain >= 0 && enrolled >= 0 &&
		    (may_come_later(end) || is_reader_filling(end) ||
		     (enrolled < plain && allow(FIONREAD_TCP))))
			return;
		break;
	case CALL_SHUTDOWN:
	case CALL_NAMES:
		/*
		 * A FIN comes after the bytes that wait, so one of the connections may be over
		 * earlier.
		 */
		if (operation->is_late && allow(QUEUE))
			return;
		break;
	case CALL_POLL:
		if (plain == enrolled && !blame_events(end, operation->results[PLAIN].detail,
						       operation->results[ENROLLED].detail))
			return;
		if (operation->was_asleep)
			return;
		break;
	default:
		break;
	}
	blame_results(operation, "call");
}

static void judge(struct operation *operation)
{
	tell_results(operation);
	switch (operation->step.call) {
	case CALL_SEND:
	case CALL_BURST:
	case CALL_HUGE:
		judge_send(operation);
		break;
	case CALL_RECV:
	case CALL_READ_ALL:
	case CALL_SPLICE:
		judge_read(operation);
		break;
	case CALL_EPOLL_WAIT:
		judge_epoll(operation);
		break;
	case CALL_GET:
		judge_option(operation);
		break;
	default:
		judge_other(operation);
	}
}

/* True if one world may have returned while the other sleeps. */
static bool may_lag(struct operation *operation)
{
	int behind = operation->state[PLAIN] == RETURNED ? ENROLLED : PLAIN;
	const struct result *result = &operation->results[!behind];
	int end = operation->step.end, flags = effective_flags(&operation->step);
	const struct connection *connection = connection_of(end);

	if (is_sending(operation->step.call))
		return connection->is_loose || behind == PLAIN || is_crowded(end);
	if (operation->asked[behind].call == CALL_READ_EXACT)
		return false; /* it has its own time limit */
	switch (operation->step.call) {
	case CALL_RECV:
		if (flags & MSG_WAITALL || (operation->step.size == 0 && behind == PLAIN))
			return true;
		if (behind == ENROLLED)
			return may_come_later(end);
		if (connection->is_loose || connection->has_urgent)
			return true;
		return result->value > 0 && (ends[end].lowat > 1 || may_come_later(end));
	case CALL_POLL:
		return !blame_events(end, behind == PLAIN ? 0 : result->detail,
				     behind == PLAIN ? result->detail : 0);
	case CALL_EPOLL_WAIT:
		for (end = 0; end < ENDS; end++) {
			uint32_t events = operation->events[!behind][end];
			uint32_t mine = ends[end].events[process_of(operation->step.actor)];

			if (!events || (behind == PLAIN && (mine & (EPOLLET | EPOLLONESHOT))))
				continue;
			if (blame_events(end, behind == PLAIN ? 0 : events,
					 behind == PLAIN ? events : 0) &&
			    !((mine & EPOLLET) && may_come_later(end)))
				return false;
		}
		return true;
	default:
		return false;
	}
}

/* Describes a call that is not over yet, or gives NULL. */
static const char *advance(void)
{
	static char text[300];
	const char *problem = NULL;

	for (int i = 0; i < ACTORS && !is_over(); i++) {
		struct operation *operation = &operations[i];
		int returned = 0;

		if (!operation->is_active)
			continue;
		operation->is_late |= may_come_later(operation->step.end);
		for (int world = 0; world < WORLDS; world++) {
			if (operation->state[world] != RETURNED) {
				bool is_new = operation->state[world] == RUNNING;

				if (is_done(world, i, is_new ? 100000 : 0))
					take(operation, world);
				else
					operation->state[world] =
						is_asleep(world, i) ? ASLEEP : RUNNING;
			}
			returned += operation->state[world] == RETURNED;
		}
		if (is_called_again(operation))
			returned--;
		operation->was_asleep |=
			operation->state[PLAIN] == ASLEEP && operation->state[ENROLLED] == ASLEEP;
		if (returned == WORLDS)
			judge(operation);
		if (!operation->is_active)
			continue;
		if (operation->state[PLAIN] == operation->state[ENROLLED] &&
		    operation->state[PLAIN] == ASLEEP)
			continue;
		if (operation->state[PLAIN] != RUNNING && operation->state[ENROLLED] != RUNNING &&
		    may_lag(operation))
			continue;
		describe_step(text, 200, &operation->step);
		for (int world = 0; world < WORLDS; world++) {
			const struct result *result = &operation->results[world];

			if (operation->state[world] != RETURNED)
				snprintf(text + strlen(text), 40, ", %s %s", worlds[world],
					 operation->state[world] == ASLEEP ? "sleeps" : "runs");
			else
				snprintf(text + strlen(text), 40, ", %s %lld %s", worlds[world],
					 (long long)result->value, strerrorname_np(result->error));
		}
		problem = text;
	}
	return problem;
}

/* Asks an idle actor of each process what can be seen of its ends. */
static void look(void)
{
	struct step step = { .call = CALL_LOOK };

	for (int end = 0; end < ENDS; end++)
		ends[end].is_seen = false;
	for (int process = 0; process < PROCESSES; process++) {
		int actor = is_free(process)		   ? process
			    : is_free(process + PROCESSES) ? process + PROCESSES
							   : -1;

		if (actor < 0)
			continue;
		for (int world = 0; world < WORLDS; world++)
			ask(world, actor, &step, 0, 0);
		for (int world = 0; world < WORLDS; world++) {
			struct desk *desk = &shared->worlds[world].actors[actor];

			for (int i = 0; i < 20 && !is_done(world, actor, 1000000000); i++)
				;
			if (!is_done(world, actor, 0)) {
				blame("actor: %d of %s does not look", actor, worlds[world]);
				return;
			}
			atomic_store(&desk->turn, IDLE);
			for (int end = 0; end < ENDS; end++) {
				if (!desk->views[end].is_open)
					continue;
				ends[end].views[world] = desk->views[end];
				ends[end].is_seen = true;
			}
		}
	}
}

static const char *compare_views(bool *is_only_late)
{
	static char text[200];

	*is_only_late = false;
	/* A reset destroys what is under way. */
	for (int end = 0; end < ENDS; end++)
		if (ends[end].is_seen && ends[end].views[PLAIN].state == TCP_CLOSE &&
		    ends[end].views[ENROLLED].state == TCP_CLOSE &&
		    (may_come_later(end) || may_come_later(end ^ 1)))
			connection_of(end)->is_loose = true;
	for (int end = 0; end < ENDS; end++) {
		const struct view *plain = &ends[end].views[PLAIN];
		const struct view *enrolled = &ends[end].views[ENROLLED];
		bool may_differ = connection_of(end)->is_loose || may_come_later(end) ||
				  may_come_later(end ^ 1);
		uint32_t wrong;

		if (!ends[end].is_seen)
			continue;
		wrong = blame_events(end, plain->events, enrolled->events);
		if (wrong || (plain->state != enrolled->state && !may_differ)) {
			snprintf(text, sizeof(text),
				 "%c%d: events %x and %x, state %d and %d (plain, enrolled)",
				 "cs"[end % 2], end / 2, plain->events, enrolled->events,
				 plain->state, enrolled->state);
			return text;
		}
	}
	for (int end = 0; end < ENDS; end++) {
		struct direction *direction = out_of(end);

		if (!ends[end].is_seen || connection_of(end)->is_loose)
			continue;
		if (is_late(end, PLAIN) || is_late(end, ENROLLED))
			direction->was_late = true;
		else if (direction->read[PLAIN] == direction->sent[PLAIN] &&
			 direction->read[ENROLLED] == direction->sent[ENROLLED])
			direction->was_late = false;
		if ((is_late(end, PLAIN) || is_late(end, ENROLLED)) && !direction->is_corked &&
		    !direction->has_more)
			*is_only_late = true;
	}
	return NULL;
}

static void settle(void)
{
	uint64_t begun = now_ns(), bound = (uint64_t)(BOUND_MS * slowness) * 1000000;
	uint64_t late = (uint64_t)(LATE_MS * slowness) * 1000000, pause = 20000;

	while (!is_over()) {
		bool is_only_late = false;
		const char *problem = advance();

		if (is_over())
			return;
		if (!problem) {
			look();
			problem = compare_views(&is_only_late);
			if (problem && now_ns() - begun > bound)
				blame("state: %s", problem);
		} else if (now_ns() - begun > bound * 3) {
			blame("hang: %s", problem);
		}
		if (!problem && (!is_only_late || now_ns() - begun > late))
			return;
		sleep_ns(pause);
		if (pause < 1000000)
			pause *= 2;
	}
}

/* Gives the first actor, from the drawn one on, that can make the call, or -1. */
static int choose_actor(int actor, int end)
{
	for (int i = 0; i < ACTORS; i++) {
		int candidate = (actor + i) % ACTORS;

		if (is_free(candidate) && (end < 0 || ends[end].held[process_of(candidate)]))
			return candidate;
	}
	return -1;
}

static int find_unused(void)
{
	for (int i = 0; i < CONNECTIONS; i++)
		if (!connections[i].is_used)
			return i;
	return -1;
}

static void use_connection(int number)
{
	struct connection *connection = &connections[number];

	connection->is_used = true;
	for (int side = 0; side < 2; side++) {
		connection->to[side].key = mix(plan->seed * 8 + (uint64_t)(number * 2 + side));
		ends[number * 2 + side] = (struct endpoint){ .lowat = 1 };
	}
}

/* Checks whether the step can be made, and chooses who makes it. */
static bool can_make(struct step *step)
{
	int process, number;

	switch (step->call) {
	case CALL_FORK:
		step->actor = 0;
		return !has_forked && is_free(0);
	case CALL_CONNECT:
		number = find_unused();
		step->end = number * 2;
		step->actor = choose_actor(step->actor, -1);
		return number >= 0 && step->actor >= 0;
	case CALL_ACCEPT:
		for (number = 0; number < CONNECTIONS; number++)
			if (connections[number].is_used && !connections[number].is_accepted)
				break;
		step->end = number * 2 + 1;
		step->actor = choose_actor(step->actor, -1);
		return number < CONNECTIONS && step->actor >= 0;
	case CALL_SIGNAL:
		for (int i = 0; i < ACTORS; i++) {
			int candidate = (step->actor + i) % ACTORS;
			const struct operation *operation = &operations[candidate];

			if (!operation->is_active || operation->state[PLAIN] != ASLEEP ||
			    operation->state[ENROLLED] != ASLEEP)
				continue;
			step->actor = candidate;
			step->end = operation->step.end;
			return true;
		}
		return false;
	case CALL_SLEEP:
		return true;
	case CALL_DRAIN:
		return drain_fd >= 0;
	case CALL_EXIT:
		if (!is_alive(1))
			return false;
		for (int i = 1; i < ACTORS; i += PROCESSES)
			if (operations[i].is_active)
				return false;
		return true;
	default:
		break;
	}
	for (int i = 0; i < ENDS && !is_open(step->end); i++)
		step->end = (step->end + 2) % ENDS;
	if (!is_open(step->end))
		return false;
	step->actor = choose_actor(step->actor, step->end);
	if (step->actor < 0)
		return false;
	if (step->call == CALL_HUGE && has_small_windows(step->end))
		step->size /= 16;
	process = process_of(step->actor);
	/* Without SO_OOBINLINE an urgent byte would be missing in the stream. */
	if (step->call == CALL_SEND && !plan->is_inline)
		step->flags &= ~MSG_OOB;
	if (is_sending(step->call))
		return !has_pending(step->end, is_sending);
	/* A call that waits for bytes which another thread reads may or may not see them. */
	if (is_reading(step->call))
		return !has_pending(step->end, is_reading) &&
		       (step->call != CALL_RECV || !has_pending(-1, is_waiting));
	switch (step->call) {
	case CALL_POLL:
	case CALL_EPOLL_WAIT:
		return !has_pending(-1, is_reading);
	case CALL_DISCONNECT:
		number = find_unused();
		step->value = number * 2;
		return number >= 0 && step->end % 2 == 0 && !ends[step->end].held[!process] &&
		       !has_pending(step->end, NULL) && connections[step->end / 2].is_accepted;
	case CALL_PASS:
		return is_alive(0) && is_alive(1) && ends[step->end].held[!process] < MOST_HELD &&
		       (is_free(!process) || is_free(!process + PROCESSES));
	case CALL_DUP:
		return ends[step->end].held[process] < MOST_HELD;
	case CALL_CLOSE:
	case CALL_RESET:
	case CALL_NONBLOCK:
		return !has_pending(step->end, NULL);
	default:
		return true;
	}
}

static bool is_unread(int end)
{
	const struct direction *direction = into(end);

	for (int world = 0; world < WORLDS; world++)
		if (direction->sent[world] > direction->read[world])
			return true;
	return has_pending(end ^ 1, is_sending);
}

/* Runs when a descriptor of an end is closed, and acts if it was the last. */
static void drop(int end, bool is_reset)
{
	struct connection *connection = connection_of(end);

	if (is_open(end) || connection->is_loose)
		return;
	if (is_unread(end)) {
		connection->is_loose = true;
		if (!is_reset && !allow(CLOSE_UNREAD))
			connection->is_loose = false;
	}
	/*
	 * What the reset of a plain connection destroys under way may have come through the bypass.
	 */
	if (is_reset && (is_late(end, PLAIN) || is_crowded(end)))
		connection->is_loose = true;
	if (has_pending(end, NULL))
		connection->is_loose = true;
}

/* Updates the known state by a step that was made. */
static void apply(const struct step *step, bool is_good)
{
	struct connection *connection = connection_of(step->end);
	struct endpoint *end = &ends[step->end];
	int process = process_of(step->actor);

	if (!is_good)
		return;
	switch (step->call) {
	case CALL_CONNECT:
		end->held[process]++;
		break;
	case CALL_ACCEPT:
		connection->is_accepted = true;
		end->held[process]++;
		break;
	case CALL_FORK:
		has_forked = true;
		await_process(1);
		for (int i = 0; i < ENDS; i++)
			ends[i].held[1] = ends[i].held[0];
		break;
	case CALL_CLOSE:
	case CALL_RESET:
		end->held[process]--;
		drop(step->end, step->call == CALL_RESET);
		break;
	case CALL_DUP:
		end->held[process]++;
		break;
	case CALL_PASS:
		end->held[!process]++;
		break;
	case CALL_NONBLOCK:
		end->is_nonblock = step->value;
		break;
	case CALL_SET:
		if (options[step->option].number == SO_RCVLOWAT &&
		    options[step->option].level == SOL_SOCKET)
			end->lowat = step->value;
		if (options[step->option].level == SOL_SOCKET &&
		    (options[step->option].number == SO_RCVBUF ||
		     options[step->option].number == SO_SNDBUF))
			end->has_small_buffer = true;
		if (options[step->option].level == SOL_SOCKET &&
		    options[step->option].number == SO_RCVBUF)
			end->is_receive_set = true;
		if (options[step->option].level == SOL_SOCKET &&
		    options[step->option].number == SO_SNDBUF)
			end->is_send_set = true;
		if (options[step->option].level == IPPROTO_TCP &&
		    options[step->option].number == TCP_CORK)
			out_of(step->end)->is_corked = step->value;
		break;
	case CALL_EPOLL_CTL:
		end->events[process] = step->value == EPOLL_CTL_DEL ? 0 : (uint32_t)step->flags;
		break;
	default:
		break;
	}
}

static void run_simple(const struct step *step)
{
	union bpf_attr attributes = { 0 };
	uint32_t key = 0;
	uint64_t value = (uint64_t)step->value;

	switch (step->call) {
	case CALL_SIGNAL:
		operations[step->actor].is_signaled = true;
		for (int world = 0; world < WORLDS; world++) {
			const struct desk *desk = &shared->worlds[world].actors[step->actor];

			syscall(SYS_tgkill, desk->process, desk->thread, SIGUSR1);
		}
		/* A call that goes on needs time to wake up and sleep again. */
		sleep_ns(1000000);
		break;
	case CALL_SLEEP:
		sleep_ns((uint64_t)step->value * 1000000);
		break;
	case CALL_DRAIN:
		has_switched = true;
		attributes.map_fd = (uint32_t)drain_fd;
		attributes.key = (uint64_t)(uintptr_t)&key;
		attributes.value = (uint64_t)(uintptr_t)&value;
		if (syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attributes, sizeof(attributes)))
			die("drain: %s", strerror(errno));
		break;
	default: /* CALL_EXIT */
		has_exited = true;
		for (int world = 0; world < WORLDS; world++) {
			pid_t process = shared->worlds[world].actors[1].process;

			kill(process, step->value ? SIGKILL : SIGTERM);
			while (!has_ended(process))
				sleep_ns(20000);
		}
		for (int end = 0; end < ENDS; end++) {
			bool was_open = is_open(end);

			ends[end].held[1] = 0;
			if (was_open)
				drop(end, false);
		}
	}
}

static void make(struct step *step)
{
	struct operation *operation = &operations[step->actor];

	if (step->call == CALL_SHUTDOWN) {
		connection_of(step->end)->is_shut = true;
		connection_of(step->end)->is_read_shut |= step->flags != SHUT_WR;
	}
	if (step->call == CALL_SHUTDOWN || step->call == CALL_SET || is_sending(step->call))
		for (int i = 0; i < ACTORS; i++)
			if (operations[i].is_active && operations[i].step.end == step->end)
				operations[i].is_beside = true;
	*operation = (struct operation){ .step = *step };
	operation->is_late = may_come_later(step->end) ||
			     (!is_reading(step->call) && may_come_later(step->end ^ 1));
	operation->is_blocking = !ends[step->end].is_nonblock;
	operation->is_beside = has_pending(step->end, is_sending);
	operation->is_active = true;
	for (int world = 0; world < WORLDS; world++)
		start(operation, world, step);
	settle();
}

/* Disconnects the socket, and connects it again as the end of the next connection. */
static void reconnect(struct step *step)
{
	struct step next = { .call = CALL_CONNECT, .actor = step->actor, .end = step->value };
	struct connection *old = connection_of(step->end);

	use_connection(step->value / 2);
	/*
	 * Its reset may destroy what is under way, but what the other end has read must still be
	 * right.
	 */
	if (is_late(step->end, PLAIN) || is_crowded(step->end))
		old->is_loose = true;
	ends[step->value] = ends[step->end];
	memset(ends[step->end].held, 0, sizeof(ends[step->end].held));
	make(step);
	if (is_over())
		return;
	if (operations[step->actor].results[PLAIN].value) {
		is_abandoned = true;
		return;
	}
	into(step->end)->read[PLAIN] = into(step->end)->sent[PLAIN];
	into(step->end)->read[ENROLLED] = into(step->end)->sent[ENROLLED];
	memset(ends[step->value].views, 0, sizeof(ends[0].views));
	make(&next);
	if (operations[next.actor].results[PLAIN].value)
		is_abandoned = true;
}

static void run_step(const struct step *planned, int number)
{
	struct step step = *planned;
	char text[200];
	const struct operation *operation;
	bool is_good, is_early;

	if (!can_make(&step))
		return;
	describe_step(text, sizeof(text), &step);
	note("%3d %s\n", number, text);
	steps_done++;
	if (step.call == CALL_SIGNAL || step.call == CALL_SLEEP || step.call == CALL_DRAIN ||
	    step.call == CALL_EXIT) {
		run_simple(&step);
		settle();
		return;
	}
	if (step.call == CALL_DISCONNECT) {
		reconnect(&step);
		return;
	}
	if (step.call == CALL_CONNECT)
		use_connection(step.end / 2);
	if (is_sending(step.call)) {
		out_of(step.end)->has_more = effective_flags(&step) & MSG_MORE;
		if (step.call == CALL_SEND && (effective_flags(&step) & MSG_OOB))
			connection_of(step.end)->has_urgent = true;
	}
	is_early = step.call == CALL_CLOSE || step.call == CALL_RESET || step.call == CALL_SET;
	if (is_early)
		apply(&step, true); /* it changes what may be seen from then on */
	/* How much a send that is under way still gets through depends on timing. */
	if (step.call == CALL_SHUTDOWN && step.flags != SHUT_RD &&
	    has_pending(step.end, is_sending))
		connection_of(step.end)->is_loose = true;
	make(&step);
	operation = &operations[step.actor];
	is_good = !operation->is_active && operation->results[PLAIN].value >= 0;
	if (!is_early)
		apply(&step, is_good);
	if (step.call == CALL_PASS && is_good) {
		int other = !process_of(step.actor);

		step.call = CALL_TAKE;
		step.actor = is_free(other) ? other : other + PROCESSES;
		make(&step);
	}
}

static void drain_end(int end)
{
	struct step step = { .call = CALL_READ_ALL, .end = end };

	step.actor = choose_actor(0, end);
	if (is_over() || !is_open(end) || step.actor < 0 || has_pending(end, is_reading))
		return;
	note("    end: read all %c%d\n", "cs"[end % 2], end / 2);
	make(&step);
}

static bool is_anything_pending(bool is_one_behind)
{
	for (int i = 0; i < ACTORS; i++) {
		const struct operation *operation = &operations[i];

		if (operation->is_active && is_sending(operation->step.call) &&
		    (!is_one_behind || operation->state[PLAIN] != operation->state[ENROLLED]))
			return true;
	}
	return false;
}

/*
 * Reads everything that can be read and shuts both directions. Both worlds must have had the same
 * bytes and the end.
 */
static void finish(void)
{
	uint64_t until = now_ns() + (uint64_t)(DRAIN_MS * slowness) * 1000000;

	/*
	 * After SHUT_RD a reader does not wait for what TCP has yet to send, and the sender may
	 * need its retransmission timer for that.
	 */
	for (int round = 0; round < DRAIN_ROUNDS || now_ns() < until; round++) {
		for (int end = 0; end < ENDS; end++)
			drain_end(end);
		if (!is_anything_pending(round >= DRAIN_ROUNDS))
			break;
		if (round >= DRAIN_ROUNDS)
			sleep_ns(10000000);
	}
	for (int end = 0; end < ENDS && !is_over(); end++) {
		struct step step = { .call = CALL_SHUTDOWN, .end = end, .flags = SHUT_WR };

		step.actor = choose_actor(0, end);
		if (!is_open(end) || step.actor < 0 || has_pending(end, is_sending))
			continue;
		out_of(end)->has_more = out_of(end)->is_corked = false;
		note("    end: shutdown %c%d\n", "cs"[end % 2], end / 2);
		make(&step);
	}
	for (int end = 0; end < ENDS; end++)
		drain_end(end);
	for (int i = 0; i < ACTORS && !is_over(); i++) {
		const struct operation *operation = &operations[i];
		char text[200];

		describe_step(text, sizeof(text), &operation->step);
		if (!operation->is_active || operation->state[PLAIN] != RETURNED)
			continue;
		if (operation->step.call == CALL_RECV &&
		    (effective_flags(&operation->step) & MSG_WAITALL) && allow(MSG_WAITALL_SHORT))
			continue;
		if (!connection_of(operation->step.end)->is_loose &&
		    choose_actor(0, operation->step.end ^ 1) >= 0)
			blame("hang: %s: plain has returned, enrolled never does", text);
	}
}

const char *run_sequence(const struct plan *of, const bool *chosen)
{
	struct step serve = { .call = CALL_DRAIN };

	plan = of;
	memset(connections, 0, sizeof(connections));
	memset(ends, 0, sizeof(ends));
	memset(operations, 0, sizeof(operations));
	has_forked = has_exited = has_switched = is_abandoned = false;
	fault[0] = record[0] = 0;
	recorded = 0;
	begin_sequence(plan);
	for (int i = 0; i < plan->count && !is_over(); i++)
		if (chosen[i])
			run_step(&plan->steps[i], i);
	if (!is_over())
		finish();
	end_sequence();
	if (drain_fd >= 0)
		run_simple(&serve);
	return fault[0] ? fault : NULL;
}
