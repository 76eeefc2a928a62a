// SPDX-License-Identifier: Apache-2.0
/* Turns a tap on and off in the maps of a generation, and finds what a killed one has left. */
#include "tap.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/file.h>

/* As in bpf/socket_bypass.h. */
enum { KNOB_TAP = 6, KNOB_TAPPED = 7, TAP_SHIFT = 32, COUNT_TAP_LOST = 21 };

enum { TRIES = 20 };

static bool refuse(const char *what)
{
	say("tap: ", what, ": ", name_error(errno));
	return false;
}

static int open_map(const struct tapped *tapped, const char *name)
{
	char folder[256], maps[512], path[600];

	if (!join_path(folder, sizeof(folder), tapped->instance, tapped->generation) ||
	    !join_path(maps, sizeof(maps), folder, "maps") ||
	    !join_path(path, sizeof(path), maps, name)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open_pin(path);
}

bool open_tapped(struct tapped *tapped, const char *instance, const char *generation)
{
	tapped->instance = instance;
	tapped->generation = generation;
	tapped->folder = open(instance, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (tapped->folder < 0)
		return refuse(instance);
	tapped->knobs = open_map(tapped, "knobs");
	tapped->rings = open_map(tapped, "taps");
	tapped->counters = open_map(tapped, "counters");
	if (tapped->knobs < 0 || tapped->rings < 0 || tapped->counters < 0)
		return refuse(generation);
	return true;
}

/*
 * The lock goes with the process that holds it, however that ends. A report takes it for a moment
 * (verb_tapped()).
 */
bool claim_tap(const struct tapped *tapped)
{
	for (unsigned int i = 0; i < TRIES; i++) {
		if (!flock(tapped->folder, LOCK_EX | LOCK_NB))
			return true;
		if (errno != EWOULDBLOCK)
			return refuse(tapped->instance);
		sleep_ms(50);
	}
	say("tap: expected no other tap of this instance, found one running; wait for its end, or "
	    "end it");
	return false;
}

/* `serving` is a link that names a generation. */
bool is_serving(const struct tapped *tapped)
{
	char serving[64];
	ssize_t length = readlinkat(tapped->folder, "serving", serving, sizeof(serving) - 1);

	if (length < 0)
		return false;
	serving[length] = 0;
	return same_text(serving, tapped->generation);
}

static bool update(int map, uint32_t key, const void *value)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map;
	attr.key = (uint64_t)(uintptr_t)&key;
	attr.value = (uint64_t)(uintptr_t)value;
	return !bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

bool set_lease(const struct tapped *tapped, uint64_t until_ns)
{
	return update(tapped->knobs, KNOB_TAP, &until_ns);
}

bool set_wish(const struct tapped *tapped, uint64_t port, uint64_t snaplen)
{
	uint64_t wish = port | snaplen << TAP_SHIFT;

	return update(tapped->knobs, KNOB_TAPPED, &wish) || refuse(tapped->generation);
}

bool put_ring(const struct tapped *tapped, int ring)
{
	return update(tapped->rings, 0, &ring) || refuse(tapped->generation);
}

/* The delete returns when no program uses the ring any more. */
void stop_tap(const struct tapped *tapped)
{
	uint32_t first = 0;
	union bpf_attr attr;

	set_lease(tapped, 0);
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)tapped->rings;
	attr.key = (uint64_t)(uintptr_t)&first;
	bpf(BPF_MAP_DELETE_ELEM, &attr);
}

uint64_t count_lost(const struct tapped *tapped)
{
	unsigned int processors = count_processors();
	uint32_t key = COUNT_TAP_LOST;
	uint64_t sum = 0, *lost;

	if (!processors)
		return 0;
	lost = share_memory(processors * sizeof(*lost));
	if (!look_up(tapped->counters, &key, lost))
		for (unsigned int i = 0; i < processors; i++)
			sum += lost[i];
	return sum;
}

static uint64_t read_knob(const struct tapped *tapped, uint32_t knob)
{
	uint64_t value = 0;

	look_up(tapped->knobs, &knob, &value);
	return value;
}

/*
 * tapped INSTANCE-FOLDER GENERATION: prints the port that a tap watches and how many bytes of each
 * message it keeps; nothing if there is no tap. What a killed tap has left is removed.
 */
int verb_tapped(char **words)
{
	struct tapped tapped;
	uint32_t first = 0, ring;
	uint64_t wish;

	if (!words[0] || !words[1] || words[2]) {
		say("tapped: expected INSTANCE-FOLDER GENERATION");
		return EXIT_USAGE;
	}
	if (!open_tapped(&tapped, words[0], words[1]))
		return EXIT_FAILED;
	if (!flock(tapped.folder, LOCK_EX | LOCK_NB)) {
		if (read_knob(&tapped, KNOB_TAP) || !look_up(tapped.rings, &first, &ring))
			stop_tap(&tapped);
		return 0;
	}
	if (errno != EWOULDBLOCK) {
		refuse(words[0]);
		return EXIT_FAILED;
	}
	if (!read_knob(&tapped, KNOB_TAP))
		return 0;
	wish = read_knob(&tapped, KNOB_TAPPED);
	put_number(wish & UINT32_MAX);
	put_text(" ");
	put_number(wish >> TAP_SHIFT);
	flush_text(STDOUT_FILENO);
	return 0;
}
