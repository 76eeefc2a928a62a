// SPDX-License-Identifier: Apache-2.0
#include "selftest.h"

static uint8_t buffer[LARGEST_MESSAGE];

struct end make_end(int fd, bool is_client, unsigned int connection)
{
	/*
	 * Each connection has a seed of its own, so that bytes of another connection are wrong
	 * bytes.
	 */
	uint64_t seed = (uint64_t)(case_number * 1000 + connection + 1) << 40;
	uint64_t from_client = seed | 1ULL << 32;

	return (struct end){
		.fd = fd,
		.is_client = is_client,
		.connection = connection,
		.out.seed = is_client ? from_client : seed,
		.in.seed = is_client ? seed : from_client,
		.out.sizes = is_client ? from_client : seed,
		.in.sizes = is_client ? seed : from_client,
	};
}

size_t draw_size(struct stream *stream, size_t largest)
{
	uint64_t random = next_random(&stream->sizes);

	return 1 + ((random >> 8) % largest >> (random & 0xff) % 13);
}

ssize_t push(struct end *end, size_t count)
{
	ssize_t n;

	if (count > LARGEST_MESSAGE)
		count = LARGEST_MESSAGE;
#ifdef PROBE_CORRUPT
	if (is_cut(&end->out)) {
		end->out.offset += count;
		note_sent(end);
		return (ssize_t)count;
	}
#endif
	fill_from(&end->out, buffer, count);
	n = send(end->fd, buffer, count, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return BLOCKED;
		fail_out(end, "send failed", errno);
		return FAILED;
	}
	end->out.offset += (uint64_t)n;
	note_sent(end);
	return n;
}

ssize_t pull(struct end *end, size_t count)
{
	ssize_t n;

	if (count > LARGEST_MESSAGE)
		count = LARGEST_MESSAGE;
	n = recv(end->fd, buffer, count, MSG_DONTWAIT);
	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return BLOCKED;
		fail_in(end, "recv failed", errno);
		return FAILED;
	}
	return check_content(end, buffer, (size_t)n) ? n : FAILED;
}

bool send_bytes(struct end *end, size_t count)
{
	uint64_t deadline = in_ms(PATIENCE_MS);

	while (count) {
		ssize_t n = push(end, count);

		if (n == FAILED)
			return false;
		if (n > 0) {
			count -= (size_t)n;
			deadline = in_ms(PATIENCE_MS);
		} else if (!wait_for(end->fd, POLLOUT, deadline)) {
			return fail_out(end, "send blocked for 2 s", 0);
		}
	}
	return true;
}

bool receive_bytes(struct end *end, size_t count)
{
	uint64_t deadline = in_ms(PATIENCE_MS);

	while (count) {
		ssize_t n = pull(end, count);

		if (n == FAILED)
			return false;
		if (n == 0)
			return fail_in(end, "ended too early", 0);
		if (n > 0) {
			count -= (size_t)n;
			deadline = in_ms(PATIENCE_MS);
		} else if (!wait_for(end->fd, POLLIN, deadline)) {
			return fail_silence(end, "nothing arrived for 2 s");
		}
	}
	return true;
}

bool receive_end(struct end *end)
{
	uint64_t deadline = in_ms(PATIENCE_MS);
	ssize_t n;

	while ((n = pull(end, LARGEST_MESSAGE)) == BLOCKED)
		if (!wait_for(end->fd, POLLIN, deadline))
			return fail_in(end, "no end for 2 s", 0);
	if (n > 0)
		return fail_in(end, "more bytes than were sent", 0);
	return n == 0;
}

bool converse(struct end *end, unsigned int rounds, size_t largest)
{
	/* The client sends first: of 2N messages it sends the even ones. */
	for (unsigned int i = 0; i < 2 * rounds; i++)
		if (i % 2 == !end->is_client ? !send_bytes(end, draw_size(&end->out, largest))
					     : !receive_bytes(end, draw_size(&end->in, largest)))
			return false;
	return true;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

bool pump(struct end *end, size_t count)
{
	size_t to_send = count, to_receive = count;
	uint64_t deadline = in_ms(PATIENCE_MS);

	while (to_send || to_receive) {
		size_t size = 1 + next_random(&end->out.sizes) % LARGEST_MESSAGE;
		ssize_t in = BLOCKED, out = BLOCKED;

		if (to_receive)
			in = pull(end, least(size, to_receive));
		if (in == 0)
			return fail_in(end, "ended too early", 0);
		if (to_send && in != FAILED)
			out = push(end, least(size, to_send));
		if (in == FAILED || out == FAILED)
			return false;
		if (in > 0)
			to_receive -= (size_t)in;
		if (out > 0)
			to_send -= (size_t)out;
		if (in > 0 || out > 0)
			deadline = in_ms(PATIENCE_MS);
		else if (!wait_for(end->fd,
				   (short)((to_receive ? POLLIN : 0) | (to_send ? POLLOUT : 0)),
				   deadline))
			return fail_in(end, "neither way moved for 2 s", 0);
	}
	return true;
}
