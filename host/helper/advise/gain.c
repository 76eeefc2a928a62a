// SPDX-License-Identifier: Apache-2.0
/*
 * Expects how much a service gains, from this host's own bench or from the page of benchmarks
 * (docs/explanation/benchmarks), against whose results.json test/host/script/advise-gain.test.ts
 * checks the table.
 */
#include "advise.h"

enum way { REQUESTS, REQUESTS_ACROSS, STREAMS };

/* Ratios to plain TCP in hundredths: the least and the most of one CPU and two, one way or both. */
static struct row {
	enum way way;
	uint32_t size;
	uint32_t from, to;
} rows[] = {
	{ REQUESTS, 64, 106, 150 },    { REQUESTS, 1024, 103, 154 },
	{ REQUESTS, 16384, 105, 145 }, { REQUESTS, 65536, 97, 156 },
	{ REQUESTS, 262144, 56, 141 }, { REQUESTS_ACROSS, 64, 105, 210 },
	{ STREAMS, 64, 93, 104 },      { STREAMS, 1024, 88, 103 },
	{ STREAMS, 16384, 103, 217 },  { STREAMS, 65536, 106, 306 },
	{ STREAMS, 262144, 145, 319 },
};

enum { ROWS = sizeof(rows) / sizeof(*rows), LARGEST_RATIO = 100000, MOST_ACROSS = 1024 };

/* Words by four: rr or stream, size, and the least and the most ratio in hundredths. */
bool read_gains(char **words)
{
	for (; *words; words += 4) {
		enum way way = same_text(*words, "stream") ? STREAMS : REQUESTS;
		uint64_t size, from, to;

		if ((way == REQUESTS && !same_text(*words, "rr")) ||
		    !read_number(words[1], UINT32_MAX, &size) ||
		    !read_number(words[2], LARGEST_RATIO, &from) ||
		    !read_number(words[3], LARGEST_RATIO, &to))
			return false;
		for (unsigned int i = 0; i < ROWS; i++)
			if (rows[i].way == way && rows[i].size == size) {
				rows[i].from = (uint32_t)from;
				rows[i].to = (uint32_t)to;
			}
	}
	return true;
}

/* What lies between two sizes is expected to gain what either does. */
void expect_gain(struct service *service, uint64_t size)
{
	bool is_across = service->sums.across * 2 > service->on_host + service->shorts_on_host;
	enum way way = service->kind == STREAM		  ? STREAMS
		       : is_across && size <= MOST_ACROSS ? REQUESTS_ACROSS
							  : REQUESTS;
	const struct row *below = NULL, *above = NULL;

	for (unsigned int i = 0; i < ROWS; i++) {
		if (rows[i].way != way)
			continue;
		if (!below || rows[i].size <= size)
			below = &rows[i];
		if (!above || above->size < size)
			above = &rows[i];
	}
	service->gain_from = below->from < above->from ? below->from : above->from;
	service->gain_to = below->to > above->to ? below->to : above->to;
}
