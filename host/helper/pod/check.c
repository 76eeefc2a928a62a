// SPDX-License-Identifier: Apache-2.0
/*
 * check PINS GENERATION OWNER CGROUP: tells in one line whether the node is as this pod made it, or
 * whether another pod has taken over; both count as good. The kubelet asks every few seconds.
 */
#include "probe.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

static const char *pins;

/* Reads a record, which is a link whose target is its text. False if there is none. */
static bool read_record(const char *name, char *text, size_t room)
{
	char path[PATH_MAX];
	ssize_t length = -1;

	if (join_path(path, sizeof(path), pins, name))
		length = readlink(path, text, room - 1);
	text[length < 0 ? 0 : length] = 0;
	return length >= 0;
}

static bool is_attached(const char *generation, const char *cgroup)
{
	struct attached attached;
	char folder[PATH_MAX], path[PATH_MAX];
	int fd = -1, id = -1, group;

	errno = ENAMETOOLONG;
	if (join_path(folder, sizeof(folder), pins, generation) &&
	    join_path(path, sizeof(path), folder, "track"))
		fd = open_pin(path);
	if (fd < 0) {
		put_text(pins);
		put_text("/");
		put_text(generation);
		put_text("/track: expected the program, found ");
		put_text(name_error(errno));
		return false;
	}
	group = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (group >= 0)
		id = program_id(fd);
	if (id < 0 || list_attached(group, &attached)) {
		put_text(cgroup);
		put_text(": expected to list its programs, found ");
		put_text(name_error(errno));
		return false;
	}
	for (uint32_t i = 0; i < attached.count; i++)
		if (attached.ids[i] == (uint32_t)id)
			return true;
	put_text(cgroup);
	put_text(": expected program ");
	put_number((uint64_t)id);
	put_text(" to be attached, found it is not");
	return false;
}

/* Puts the reason into the output. */
static bool is_served(const char *generation, const char *owner, const char *cgroup)
{
	char text[2048];

	if (!read_record("owner", text, sizeof(text))) {
		put_text(pins);
		put_text(": expected what this pod installed, found nothing");
		return false;
	}
	if (!same_text(text, owner)) {
		put_text("ok: ");
		put_text(text);
		put_text(" has taken over");
		return true;
	}
	read_record("serving", text, sizeof(text));
	if (!same_text(text, generation)) {
		put_text("expected generation ");
		put_text(generation);
		put_text(" to serve, found ");
		put_text(*text ? text : "none");
		return false;
	}
	if (!is_attached(generation, cgroup))
		return false;
	put_text("ok: generation ");
	put_text(generation);
	put_text(" is attached to ");
	put_text(cgroup);
	return true;
}

int verb_check(char **words)
{
	bool is_good;

	if (!words[0] || !words[1] || !words[2] || !words[3] || words[4]) {
		say("check: expected PINS GENERATION OWNER CGROUP");
		return EXIT_USAGE;
	}
	pins = words[0];
	is_good = is_served(words[1], words[2], words[3]);
	flush_text(STDOUT_FILENO);
	return is_good ? 0 : EXIT_FAILED;
}
