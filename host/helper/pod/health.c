// SPDX-License-Identifier: Apache-2.0
#include "pod.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Reads a record, which is a link whose target is its text. False if there is none. */
static bool read_record(const struct place *place, const char *name, char *text, size_t room)
{
	char path[PATH_MAX];
	ssize_t length;

	snprintf(path, sizeof(path), "%s/%s", place->pins, name);
	length = readlink(path, text, room - 1);
	text[length < 0 ? 0 : length] = 0;
	return length >= 0;
}

static bool is_attached(const struct place *place, char *why, size_t room)
{
	struct attached attached;
	char path[PATH_MAX];
	int fd, id;

	snprintf(path, sizeof(path), "%s/%s/track", place->pins, place->generation);
	fd = open_pin(path);
	if (fd < 0) {
		snprintf(why, room, "%s: expected the program, found %s", path, strerror(errno));
		return false;
	}
	id = program_id(fd);
	close(fd);
	if (id < 0 || list_attached(place->cgroup, &attached)) {
		snprintf(why, room, "%s: expected to list its programs, found %s", place->cgroup,
			 strerror(errno));
		return false;
	}
	for (unsigned int i = 0; i < attached.count; i++)
		if (attached.ids[i] == (uint32_t)id)
			return true;
	snprintf(why, room, "%s: expected program %d to be attached, found it is not",
		 place->cgroup, id);
	return false;
}

bool is_served(const struct place *place, char *why, size_t room)
{
	char text[2048];

	if (!read_record(place, "owner", text, sizeof(text))) {
		snprintf(why, room, "%s: expected what this pod installed, found nothing",
			 place->pins);
		return false;
	}
	if (strcmp(text, place->owner)) {
		snprintf(why, room, "ok: %s has taken over", text);
		return true;
	}
	read_record(place, "serving", text, sizeof(text));
	if (strcmp(text, place->generation)) {
		snprintf(why, room, "expected generation %s to serve, found %s", place->generation,
			 *text ? text : "none");
		return false;
	}
	if (!is_attached(place, why, room))
		return false;
	snprintf(why, room, "ok: generation %s is attached to %s", place->generation,
		 place->cgroup);
	return true;
}
