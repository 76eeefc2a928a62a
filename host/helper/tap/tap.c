// SPDX-License-Identifier: Apache-2.0
/*
 * tap INSTANCE-FOLDER GENERATION PORT SECONDS SNAPLEN MAX-BYTES MAX-RATE FILE: writes the messages
 * of a port to FILE, which must not exist, or to stdout (-), as pcapng.
 *
 * The programs show messages only until a time that this process moves on. So they stop by
 * themselves soon after it was killed. What they cannot put into the ring, because this process
 * takes no more than MAX-RATE bytes a second out of it, they count.
 */
#include "tap.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

enum {
	LONGEST_SECONDS = 3600,
	LARGEST_SNAPLEN = 1 << 20,
	LEAST_BYTES = 65536,
	/* More than a message of which nothing is kept, with its handshake, takes in the file. */
	RESERVE = 8192,
	PAUSE_MS = 5,
	SECOND = 1000000000,
};

enum { PORT, SECONDS, SNAPLEN, MAX_BYTES, MAX_RATE, NUMBERS };

static const struct {
	const char *name;
	uint64_t least, most;
} bounds[NUMBERS] = {
	[PORT] = { "--port", 1, UINT16_MAX },
	[SECONDS] = { "--seconds", 1, LONGEST_SECONDS },
	[SNAPLEN] = { "--snaplen", 0, LARGEST_SNAPLEN },
	[MAX_BYTES] = { "--max-bytes", LEAST_BYTES, (uint64_t)1 << 40 },
	[MAX_RATE] = { "--max-rate", LEAST_BYTES, (uint64_t)1 << 40 },
};

static bool read_numbers(char **words, uint64_t *numbers)
{
	for (unsigned int i = 0; i < NUMBERS; i++) {
		if (read_number(words[i], bounds[i].most, &numbers[i]) &&
		    numbers[i] >= bounds[i].least)
			continue;
		drop_text();
		put_text("probe: tap: ");
		put_text(bounds[i].name);
		put_text(": expected ");
		put_number(bounds[i].least);
		put_text(" to ");
		put_number(bounds[i].most);
		put_text(", found ");
		put_text(words[i]);
		flush_text(STDERR_FILENO);
		return false;
	}
	return true;
}

static bool open_file(struct capture *capture, const char *path)
{
	if (same_text(path, "-")) {
		capture->fd = STDOUT_FILENO;
		return true;
	}
	capture->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (capture->fd >= 0)
		return true;
	if (errno == EEXIST)
		say("tap: -w ", path, ": expected no such file, found one; choose another name");
	else
		say("tap: -w ", path, ": expected to make this file, found ", name_error(errno));
	return false;
}

enum reason { BY_TIME, BY_SIGNAL, BY_SIZE, BY_OUTPUT, BY_UPGRADE };

struct tap {
	struct tapped tapped;
	struct capture capture;
	struct ring ring;
	uint64_t numbers[NUMBERS];
	uint64_t start, until; /* ns of CLOCK_MONOTONIC */
	uint64_t since_1970; /* what to add for CLOCK_REALTIME */
	uint64_t received; /* messages */
	uint64_t forgone; /* bytes that might have been written in time, and were not */
	bool is_held_back; /* --max-rate has left something in the ring */
};

/* The bytes that may have been written by now. A quarter of a second is kept in reserve. */
static uint64_t get_allowance(struct tap *tap)
{
	uint64_t ms = (now_ns() - tap->start) / 1000000, rate = tap->numbers[MAX_RATE];
	uint64_t all = rate / 4 + rate / 1000 * ms + rate % 1000 * ms / 1000;
	uint64_t most = tap->capture.written + rate / 4;

	if (all > tap->forgone + most)
		tap->forgone = all - most;
	return all - tap->forgone;
}

static enum reason run(struct tap *tap)
{
	uint64_t looked = tap->start, ended = 0;
	struct capture *capture = &tap->capture;

	for (;;) {
		uint64_t now = now_ns(), allowance = get_allowance(tap);
		bool is_over = now >= tap->until || is_tap_ended();
		const struct piece *piece;

		if (is_over && !ended) {
			stop_tap(&tap->tapped);
			ended = now;
		}
		while (capture->written < allowance && !capture->error &&
		       (piece = next_piece(&tap->ring))) {
			if (capture->written + piece->length + RESERVE > tap->numbers[MAX_BYTES])
				return BY_SIZE;
			tap->received += piece->offset == 0;
			put_piece(capture, piece, tap->since_1970, (uint16_t)tap->numbers[PORT]);
			release_piece(&tap->ring);
		}
		tap->is_held_back |= capture->written >= allowance && next_piece(&tap->ring);
		flush_capture(capture);
		if (capture->error)
			return BY_OUTPUT;
		/* What was shown before the end may still lie in the ring. */
		if (is_over && (now - ended > SECOND || !next_piece(&tap->ring)))
			return is_tap_ended() ? BY_SIGNAL : BY_TIME;
		if (now - looked > SECOND) {
			looked = now;
			if (!is_serving(&tap->tapped))
				return BY_UPGRADE;
		}
		sleep_ms(PAUSE_MS);
	}
}

static uint64_t count_rest(struct ring *ring)
{
	const struct piece *piece;
	uint64_t messages = 0;

	for (; (piece = next_piece(ring)); release_piece(ring))
		messages += piece->offset == 0;
	return messages;
}

/* `lost` messages found no room in the ring, and `rest` were still in it at the end. */
static void report(const struct tap *tap, enum reason reason, uint64_t lost, uint64_t rest)
{
	static const char *const reasons[] = {
		[BY_TIME] = "",
		[BY_SIGNAL] = "; stopped by a signal",
		[BY_SIZE] = "; stopped at --max-bytes",
		[BY_OUTPUT] = "; stopped because nothing more could be written",
		[BY_UPGRADE] = "; stopped because another generation serves now",
	};

	drop_text();
	put_number(tap->received);
	put_text(" messages in ");
	put_number(tap->capture.packets);
	put_text(" packets, ");
	put_number(tap->capture.written);
	put_text(" bytes; ");
	put_number(lost);
	put_text(" messages missing or cut ");
	/* Whether it was held back just when they were lost is not known. */
	put_text(tap->is_held_back || !lost ? "because they came faster than --max-rate" : "");
	put_text(tap->is_held_back && lost ? ", or " : "");
	put_text(lost ? "for lack of room or memory" : "");
	if (rest) {
		put_text("; ");
		put_number(rest);
		put_text(" more not written before the end");
	}
	put_text(reasons[reason]);
	if (is_lease_lapsed())
		put_text("; this process was held up, and what was sent meanwhile is missing");
	flush_text(STDERR_FILENO);
}

static bool begin(struct tap *tap)
{
	const struct tapped *tapped = &tap->tapped;

	if (!make_ring(&tap->ring) || !set_wish(tapped, tap->numbers[PORT], tap->numbers[SNAPLEN]))
		return false;
	if (!begin_capture(&tap->capture, strrchr(tapped->instance, '/') + 1,
			   (uint16_t)tap->numbers[PORT], TAP_LARGEST + 64)) {
		say("tap: -w: expected to write, found ", name_error(tap->capture.error));
		return false;
	}
	return put_ring(tapped, tap->ring.fd);
}

static int show(struct tap *tap)
{
	const struct tapped *tapped = &tap->tapped;
	uint64_t lost = count_lost(tapped), rest;
	enum reason reason;

	tap->since_1970 = get_offset_of_clock();
	tap->start = now_ns();
	tap->until = tap->start + tap->numbers[SECONDS] * SECOND;
	begin_lease(tapped, tap->until);
	reason = run(tap);
	end_lease();
	stop_tap(tapped);
	lost = count_lost(tapped) - lost;
	rest = count_rest(&tap->ring);
	end_capture(&tap->capture, tap->start + tap->since_1970, now_ns() + tap->since_1970,
		    tap->received + lost + rest, lost + rest);
	report(tap, reason, lost, rest);
	/* A reader that has enough of it goes. */
	if (!tap->capture.error || tap->capture.error == EPIPE)
		return 0;
	say("tap: -w: expected to write, found ", name_error(tap->capture.error));
	return EXIT_FAILED;
}

int verb_tap(char **words)
{
	enum { INSTANCE, GENERATION, FIRST_NUMBER, FILE_NAME = FIRST_NUMBER + NUMBERS, WORDS };
	struct tap tap = { .capture.fd = -1 };
	unsigned int count = 0;
	int code;

	while (words[count])
		count++;
	if (count != WORDS || !strrchr(words[INSTANCE], '/')) {
		say("tap: expected INSTANCE-FOLDER GENERATION PORT SECONDS SNAPLEN MAX-BYTES "
		    "MAX-RATE FILE");
		return EXIT_USAGE;
	}
	if (!read_numbers(words + FIRST_NUMBER, tap.numbers))
		return EXIT_USAGE;
	if (!open_tapped(&tap.tapped, words[INSTANCE], words[GENERATION]) ||
	    !claim_tap(&tap.tapped) || !open_file(&tap.capture, words[FILE_NAME]))
		return EXIT_FAILED;
	signal(SIGPIPE, SIG_IGN);
	code = begin(&tap) ? show(&tap) : EXIT_FAILED;
	if (tap.capture.fd != STDOUT_FILENO && close(tap.capture.fd)) {
		say("tap: -w ", words[FILE_NAME], ": expected to write, found ", name_error(errno));
		return EXIT_FAILED;
	}
	return code;
}
