// SPDX-License-Identifier: Apache-2.0
#include "probe.h"

#include <string.h>

enum { SEARCH = 1 << 20 };

/* splitmix64: a hash of a counter, so that the stream can be read at any offset. */
static uint64_t mix(uint64_t word)
{
	word += 0x9e3779b97f4a7c15;
	word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
	word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
	return word ^ (word >> 31);
}

uint64_t next_random(uint64_t *state)
{
	return mix((*state)++);
}

uint8_t byte_at(const struct stream *stream, uint64_t offset)
{
	return (uint8_t)(mix(stream->seed + offset / 8) >> (offset % 8 * 8));
}

static void make(const struct stream *stream, uint8_t *bytes, size_t count)
{
	uint64_t offset = stream->offset;

	for (size_t i = 0; i < count;) {
		uint64_t word = mix(stream->seed + offset / 8) >> (offset % 8 * 8);

		do {
			bytes[i++] = (uint8_t)word;
			word >>= 8;
		} while (++offset % 8 && i < count);
	}
}

size_t count_right(const struct stream *stream, const uint8_t *bytes, size_t count)
{
	static uint8_t right[LARGEST_MESSAGE];
	size_t i = 0;

	make(stream, right, count);
	if (memcmp(right, bytes, count) == 0)
		return count;
	while (right[i] == bytes[i])
		i++;
	return i;
}

int64_t find_bytes(const struct stream *stream, const uint8_t *bytes, size_t count)
{
	uint64_t first = stream->offset > SEARCH ? stream->offset - SEARCH : 0;
	uint64_t end = stream->offset + SEARCH;

	/* Fewer than 8 bytes could be found by chance. */
	if (count < 8)
		return -1;
	for (uint64_t at = first; at < end; at++) {
		size_t same = 0;

		while (same < 8 && byte_at(stream, at + same) == bytes[same])
			same++;
		if (same == 8)
			return (int64_t)at;
	}
	return -1;
}

#ifndef PROBE_CORRUPT

void fill_from(const struct stream *stream, uint8_t *bytes, size_t count)
{
	make(stream, bytes, count);
}

#else

enum { CHUNK = 32 };

static const char *planned = "";
static uint64_t planned_side, planned_offset;

bool plan_corruption(const char *kind, const char *side, const char *offset)
{
	planned = kind;
	planned_side = same_text(side, "client");
	return (same_text(kind, "flip") || same_text(kind, "omit") || same_text(kind, "repeat") ||
		same_text(kind, "swap") || same_text(kind, "cut")) &&
	       (planned_side || same_text(side, "server")) &&
	       read_number(offset, 1 << 30, &planned_offset);
}

static bool is_planned(const struct stream *stream, const char *kind)
{
	/* The lowest bit of a seed's upper half names the side that sends. */
	return (stream->seed >> 32 & 1) == planned_side && same_text(planned, kind);
}

bool is_cut(const struct stream *stream)
{
	return is_planned(stream, "cut") && stream->offset >= planned_offset;
}

void fill_from(const struct stream *stream, uint8_t *bytes, size_t count)
{
	uint64_t from = planned_offset;

	make(stream, bytes, count);
	for (size_t i = 0; i < count; i++) {
		uint64_t at = stream->offset + i;

		if (at < from)
			continue;
		if (is_planned(stream, "flip") && at == from)
			bytes[i] ^= 0x10;
		else if (is_planned(stream, "omit"))
			bytes[i] = byte_at(stream, at + CHUNK);
		else if (is_planned(stream, "repeat") && at >= from + CHUNK)
			bytes[i] = byte_at(stream, at - CHUNK);
		else if (is_planned(stream, "swap") && at < from + CHUNK)
			bytes[i] = byte_at(stream, at + CHUNK);
		else if (is_planned(stream, "swap") && at < from + 2 * CHUNK)
			bytes[i] = byte_at(stream, at - CHUNK);
	}
}

#endif
