// SPDX-License-Identifier: Apache-2.0
/* A log-linear histogram: each power of two has 64 steps, so a step's middle is within 0.8 %. */
#include "probe.h"

enum { STEPS = 64, STEP_BITS = 6, POWERS = 36 };

static uint32_t counts[STEPS * POWERS];
static uint64_t total;

void count_latency(uint64_t ns)
{
	unsigned int power = 0;
	size_t at;

	if (ns >= STEPS)
		power = 63 - STEP_BITS - (unsigned int)__builtin_clzll(ns) + 1;
	/* Above the first power the top bit of the value is implied by the power. */
	at = power ? power * STEPS + (size_t)(ns >> (power - 1)) - STEPS : ns;
	if (at >= sizeof(counts) / sizeof(*counts))
		at = sizeof(counts) / sizeof(*counts) - 1;
	counts[at]++;
	total++;
}

uint64_t find_latency(unsigned int per_mille)
{
	uint64_t wanted = total * per_mille / 1000, seen = 0;

	for (size_t at = 0; at < sizeof(counts) / sizeof(*counts); at++) {
		unsigned int power = (unsigned int)(at / STEPS);
		uint64_t step = at % STEPS;

		seen += counts[at];
		if (seen <= wanted)
			continue;
		if (!power)
			return step;
		return ((step + STEPS) << (power - 1)) + ((1ULL << (power - 1)) >> 1);
	}
	return 0;
}
