/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_H
#define BENCH_H

#include "probe.h"

enum mode { RR, STREAM, DUPLEX, CONNECT };
enum transport { TCP, TCP6, UNIX };
enum { LARGEST_SIZE = 1 << 20, LARGEST_COUNT = 4096, UNPINNED = 1024 };

/* The options have the same order as in bench.c. */
enum option {
	MODE,
	TRANSPORT,
	SIZE,
	SECONDS,
	MS,
	PORT,
	CONNECTIONS,
	CLIENT_FD,
	SERVER_FD,
	CLIENT_CPU,
	SERVER_CPU,
	OPTIONS,
};

/* The result of the run, which both processes share; each writes its own members. */
struct tally {
	uint64_t messages;
	uint64_t bytes;
	uint64_t ns;
	uint64_t spurious_eagain[2];
	uint64_t count_from;
	uint64_t stop_at;
	int is_stopped;
};

extern uint32_t options[OPTIONS];
extern struct tally *tally;

/* traffic.c: false after it has printed why. */
bool run_traffic(void);

#endif
