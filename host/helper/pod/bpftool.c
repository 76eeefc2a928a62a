// SPDX-License-Identifier: Apache-2.0
/*
 * Stands in for bpftool in two commands for which bpftool needs CAP_SYS_ADMIN although the kernel
 * does not: to print a map or a value, bpftool looks up the types of its values by their id. Every
 * other command goes to the real bpftool.
 */
#include "pod.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int refuse(const char *what)
{
	printf("{\"error\":\"%s: %s\"}\n", what, strerror(errno));
	return 255;
}

static void put_bytes(const char *name, const uint8_t *bytes, size_t count)
{
	printf("\"%s\":[", name);
	for (size_t i = 0; i < count; i++)
		printf("%s\"0x%02x\"", i ? "," : "", bytes[i]);
	putchar(']');
}

/* The number of the highest possible processor plus one; 0 if the kernel does not tell. */
static unsigned int count_processors(void)
{
	unsigned int first, last, count = 0;
	FILE *file = fopen("/sys/devices/system/cpu/possible", "re");
	char gap;

	while (file && fscanf(file, "%u", &first) == 1) {
		last = first;
		if (fscanf(file, "-%u", &last) == EOF || last + 1 > count)
			count = last + 1;
		if (fscanf(file, "%c", &gap) != 1 || gap != ',')
			break;
	}
	if (file)
		fclose(file);
	return count;
}

struct map {
	int fd;
	struct bpf_map_info info;
	/* 0 if there is one value for all processors. */
	unsigned int processors;
	size_t step;
	uint8_t *key;
	uint8_t *value;
};

static bool open_map(const char *pin, struct map *map)
{
	map->fd = open_pin(pin);
	if (map->fd < 0 || map_info(map->fd, &map->info))
		return false;
	map->processors = 0;
	map->step = map->info.value_size;
	switch (map->info.type) {
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
		map->processors = count_processors();
		map->step = (map->step + 7) / 8 * 8;
		/*
		 * The kernel writes a value for each possible processor, however little room there
		 * is.
		 */
		if (!map->processors) {
			errno = ENODATA;
			return false;
		}
	}
	map->key = calloc(2, map->info.key_size);
	map->value = calloc(map->processors ? map->processors : 1, map->step);
	return map->key && map->value;
}

static void put_value(const struct map *map)
{
	if (!map->processors) {
		put_bytes("value", map->value, map->info.value_size);
		return;
	}
	printf("\"values\":[");
	for (unsigned int i = 0; i < map->processors; i++) {
		printf("%s{\"cpu\":%u,", i ? "," : "", i);
		put_bytes("value", map->value + i * map->step, map->info.value_size);
		putchar('}');
	}
	putchar(']');
}

static int map_lookup(const char *pin, int count, char **bytes)
{
	struct map map;

	if (!open_map(pin, &map))
		return refuse(pin);
	if (map.info.key_size != (unsigned int)count) {
		errno = EINVAL;
		return refuse("key");
	}
	for (int i = 0; i < count; i++)
		map.key[i] = (uint8_t)strtoul(bytes[i], NULL, 16);
	if (look_up(map.fd, map.key, map.value))
		return refuse(pin);
	putchar('{');
	put_bytes("key", map.key, map.info.key_size);
	putchar(',');
	put_value(&map);
	puts("}");
	return 0;
}

static int map_dump(const char *pin)
{
	const void *before = NULL;
	uint64_t left;
	struct map map;

	if (!open_map(pin, &map))
		return refuse(pin);
	putchar('[');
	/* If others change the map meanwhile, the walk may begin again, but not for ever. */
	for (left = 2ull * map.info.max_entries; left; left--) {
		uint8_t *next = map.key + (before == map.key ? map.info.key_size : 0);

		if (next_key(map.fd, before, next))
			break;
		printf("%s{", before ? "," : "");
		put_bytes("key", next, map.info.key_size);
		putchar(',');
		/* The entry was deleted between the two calls. */
		if (look_up(map.fd, next, map.value))
			printf("\"value\":{\"error\":\"%s\"}", strerror(errno));
		else
			put_value(&map);
		putchar('}');
		before = next;
	}
	puts("]");
	return 0;
}

static bool is(const char *word, const char *text)
{
	return word && strcmp(word, text) == 0;
}

int stand_in(int count, char **words)
{
	const char *real = getenv("SOCKET_BYPASS_BPFTOOL");

	if (count >= 5 && is(words[0], "-j") && is(words[1], "map") && is(words[3], "pinned")) {
		if (count == 5 && is(words[2], "dump"))
			return map_dump(words[4]);
		if (count > 7 && is(words[2], "lookup") && is(words[5], "key") &&
		    is(words[6], "hex"))
			return map_lookup(words[4], count - 7, words + 7);
	}
	if (!real) {
		fprintf(stderr,
			"pod: expected the real bpftool in SOCKET_BYPASS_BPFTOOL, found nothing\n");
		return EXIT_USAGE;
	}
	/* The word in front of the arguments is the program's name. */
	execv(real, words - 1);
	fprintf(stderr, "pod: %s: %s\n", real, strerror(errno));
	return EXIT_FAILED;
}
