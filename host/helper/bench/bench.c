// SPDX-License-Identifier: Apache-2.0
/*
 * bench: measures the rate and latency of requests and responses (rr), also with a new connection
 * for each (connect), and the rate of traffic in one direction (stream) or both (duplex).
 */
#include "bench.h"

#include <string.h>

uint32_t options[OPTIONS] = {
	[SIZE] = 64,
	[SECONDS] = 3,
	[CONNECTIONS] = 1,
	[CLIENT_CPU] = UNPINNED,
	[SERVER_CPU] = UNPINNED,
};

static const struct {
	const char *name;
	/*
	 * The words stand for 0, 1, 2; without words the value is a number from `least` to
	 * `largest`.
	 */
	const char *expected;
	uint32_t least;
	uint32_t largest;
} choices[] = {
	[MODE] = { "--mode", "rr|stream|duplex|connect", 0, 0 },
	[TRANSPORT] = { "--transport", "tcp|tcp6|unix", 0, 0 },
	[SIZE] = { "--size", "1..1048576", 1, LARGEST_SIZE },
	[SECONDS] = { "--seconds", "1..3600", 1, 3600 },
	[MS] = { "--ms", "100..3600000", 100, 3600000 },
	[PORT] = { "--port", "0..65535", 0, 65535 },
	[CONNECTIONS] = { "--connections", "1..4096", 1, LARGEST_COUNT },
	[CLIENT_FD] = { "--fds", "CLIENT_FD,SERVER_FD", 3, 1023 },
	[CLIENT_CPU] = { "--pin", "CLIENT_CPU,SERVER_CPU", 0, UNPINNED - 1 },
};

/* The index of `word` among words that `|` separates, or -1. */
static int find_word(const char *words, const char *word)
{
	size_t length = strlen(word);

	for (int i = 0; words; i++) {
		if (strncmp(words, word, length) == 0 && (words[length] == '|' || !words[length]))
			return i;
		words = strchr(words, '|');
		if (words)
			words++;
	}
	return -1;
}

static bool read_option(enum option option, char *value)
{
	uint64_t number = 0;
	char *comma = NULL;

	if (!choices[option].largest) {
		int at = find_word(choices[option].expected, value);

		options[option] = (uint32_t)at;
		return at >= 0;
	}
	if (option == CLIENT_CPU || option == CLIENT_FD) {
		comma = strchr(value, ',');
		if (!comma || !read_number(comma + 1, choices[option].largest, &number))
			return false;
		options[option + 1] = (uint32_t)number;
		*comma = 0;
	}
	if (!read_number(value, choices[option].largest, &number))
		return false;
	options[option] = (uint32_t)number;
	return number >= choices[option].least;
}

static bool read_options(char **words)
{
	for (; words[0]; words += 2) {
		const char *value = words[1] ? words[1] : "nothing";
		enum option option = 0;

		while (option < SERVER_CPU &&
		       !(choices[option].name && same_text(words[0], choices[option].name)))
			option++;
		if (option == SERVER_CPU) {
			say("bench: expected --mode, --transport, --size, --seconds, --ms, --port, "
			    "--fds, --pin or --connections, found ",
			    words[0]);
			return false;
		}
		if (!words[1] || !read_option(option, words[1])) {
			say("bench: ", words[0], ": expected ", choices[option].expected,
			    ", found ", value);
			return false;
		}
	}
	if (options[MODE] == CONNECT && options[TRANSPORT] == UNIX) {
		say("bench: --mode connect: expected --transport tcp or tcp6, found unix");
		return false;
	}
	return true;
}

static void put_answer(void)
{
	static const char *const modes[] = { "rr", "stream", "duplex", "connect" };
	static const char *const transports[] = { "tcp", "tcp6", "unix" };
	bool is_rr = options[MODE] == RR || options[MODE] == CONNECT;

	open_object(NULL);
	put_string_member("mode", modes[options[MODE]]);
	put_string_member("transport", transports[options[TRANSPORT]]);
	put_number_member("size", options[SIZE]);
	put_number_member("connections", options[CONNECTIONS]);
	put_number_member("ms", tally->ns / 1000000);
	put_number_member("messages", tally->messages);
	put_number_member("rps", tally->messages * 1000000 / (tally->ns / 1000 + 1));
	/* Converts bytes and nanoseconds to tenths of a megabit per second. */
	put_tenths_member("mbps", tally->bytes * 80 / (tally->ns / 1000 + 1));
	if (is_rr) {
		put_tenths_member("p50us", (find_latency(500) + 50) / 100);
		put_tenths_member("p99us", (find_latency(990) + 50) / 100);
	} else {
		put_string_member("p50us", NULL);
		put_string_member("p99us", NULL);
	}
	put_number_member("spurious_eagain", tally->spurious_eagain[0] + tally->spurious_eagain[1]);
	close_object();
	flush_text(STDOUT_FILENO);
}

int verb_bench(char **words)
{
	if (!read_options(words))
		return EXIT_USAGE;
	tally = share_memory(sizeof(*tally));
	if (!run_traffic())
		return EXIT_FAILED;
	if (!tally->ns) {
		say("bench: nothing was counted: the time is too short");
		return EXIT_FAILED;
	}
	put_answer();
	return 0;
}
