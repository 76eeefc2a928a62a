// SPDX-License-Identifier: Apache-2.0
/*
 * map count MAP: prints how many entries a pinned map has. map keys MAP: prints their keys. map
 * numbers MAP [KEY]: prints each entry, or one: its key, and its value as numbers of 64 bits; of
 * values that each CPU has for itself, the sum. map bytes MAP KEY: prints the value of one. KEY is
 * a number; keys and bytes are printed as hex. bpftool prints maps only with CAP_SYS_ADMIN, because
 * it looks up the types of values by their id.
 */
#include "probe.h"

#include <linux/bpf.h>
#include <string.h>

enum {
	/* The kernel's bound (MAX_BPF_STACK). */
	LARGEST_KEY = 512,
	/* As much as the output has room for in one line. */
	LARGEST_VALUE = 2560,
};

struct map {
	const char *pin;
	int fd;
	struct bpf_map_info info;
	/* How many values an entry has, and how far apart they are. */
	unsigned int copies;
	size_t step;
	uint8_t *value;
};

static int refuse(const char *what, const char *why)
{
	say("map: ", what, ": ", why);
	return EXIT_FAILED;
}

static int open_map(struct map *map)
{
	map->fd = open_pin(map->pin);
	if (map->fd < 0 || map_info(map->fd, &map->info))
		return refuse(map->pin, name_error(errno));
	map->copies = 1;
	map->step = (map->info.value_size + 7) / 8 * 8;
	switch (map->info.type) {
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
		/* The kernel writes one for each possible CPU, however little room there is. */
		map->copies = count_processors();
	}
	if (!map->copies)
		return refuse(map->pin, "the number of possible CPUs is unknown");
	if (map->info.key_size > LARGEST_KEY || map->info.value_size > LARGEST_VALUE)
		return refuse(map->pin, "its keys or values are too large");
	map->value = share_memory(map->copies * map->step);
	return 0;
}

static void put_hex(const uint8_t *bytes, size_t count, const char *gap)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < count; i++) {
		if (i)
			put_text(gap);
		put_bytes(&digits[bytes[i] >> 4], 1);
		put_bytes(&digits[bytes[i] & 15], 1);
	}
}

static void put_numbers(const struct map *map)
{
	for (size_t at = 0; at + sizeof(uint64_t) <= map->info.value_size; at += sizeof(uint64_t)) {
		uint64_t sum = 0, number;

		for (unsigned int i = 0; i < map->copies; i++) {
			memcpy(&number, map->value + i * map->step + at, sizeof(number));
			sum += number;
		}
		put_text(" ");
		put_number(sum);
	}
}

/* Keys that are shorter than eight bytes hold the lower bytes of the number. */
static int print_one(const struct map *map, uint64_t key, bool has_numbers)
{
	if (map->info.key_size > sizeof(key))
		return refuse(map->pin, "its keys are no numbers");
	if (look_up(map->fd, &key, map->value))
		return refuse(map->pin, name_error(errno));
	if (has_numbers) {
		put_hex((const uint8_t *)&key, map->info.key_size, "");
		put_numbers(map);
	} else {
		put_hex(map->value, map->info.value_size, " ");
	}
	flush_text(STDOUT_FILENO);
	return 0;
}

static int walk(const struct map *map, bool has_keys, bool has_numbers)
{
	/* If others change the map meanwhile, the walk may begin again, but not for ever. */
	uint64_t most = 2ULL * map->info.max_entries, count = 0;
	uint8_t key[LARGEST_KEY];
	const void *before = NULL;

	for (; count < most && !next_key(map->fd, before, key); count++) {
		before = key;
		if (!has_keys)
			continue;
		if (has_numbers && look_up(map->fd, key, map->value)) {
			if (errno == ENOENT)
				continue; /* it has gone meanwhile */
			return refuse(map->pin, name_error(errno));
		}
		put_hex(key, map->info.key_size, "");
		if (has_numbers)
			put_numbers(map);
		flush_text(STDOUT_FILENO);
	}
	if (count < most && errno != ENOENT)
		return refuse(map->pin, name_error(errno));
	if (!has_keys) {
		put_number(count);
		flush_text(STDOUT_FILENO);
	}
	return 0;
}

int verb_map(char **words)
{
	static const char *const forms[] = { "count", "keys", "numbers", "bytes" };
	enum { COUNT, KEYS, NUMBERS, BYTES, FORMS } form = COUNT;
	struct map map = { .pin = NULL };
	uint64_t key;
	int code;

	while (form < FORMS && (!words[0] || !same_text(words[0], forms[form])))
		form++;
	if (form == FORMS || !words[1] || (form == BYTES && !words[2]) ||
	    (words[2] &&
	     (form < NUMBERS || words[3] || !read_number(words[2], UINT32_MAX, &key)))) {
		say("map: expected count MAP, keys MAP, numbers MAP [KEY] or bytes MAP KEY");
		return EXIT_USAGE;
	}
	map.pin = words[1];
	limit_verb("map");
	code = open_map(&map);
	if (code)
		return code;
	if (words[2])
		return print_one(&map, key, form == NUMBERS);
	return walk(&map, form != COUNT, form == NUMBERS);
}
