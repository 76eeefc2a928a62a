// SPDX-License-Identifier: Apache-2.0
/*
 * write DIR NAME: writes stdin to DIR/NAME, readable for all, completely or not at all. DIR may
 * belong to another user, who may change the names in it at any moment. So this writes to
 * descriptors and changes only those, and a rename follows no link.
 */
#include "probe.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { TRIES = 100, TAIL = 16, LONGEST_NAME = 256 };

static int refuse(const char *path, const char *expected)
{
	say("write: ", path, ": expected ", expected, ", found ", name_error(errno));
	return EXIT_FAILED;
}

/*
 * A link on the way would lead wherever its owner likes, so root writes only through a path without
 * links. openat2() could look for them, but systemd keeps services with RestrictSUIDSGID from it.
 */
static int open_without_links(const char *path)
{
	int dir = open(*path == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (path = skip(path, "/"); *path && dir >= 0; path = skip(path, "/")) {
		size_t length = (size_t)(skip_to(path, "/") - path);
		int above = dir;
		char name[LONGEST_NAME];

		if (length >= sizeof(name)) {
			close(dir);
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(name, path, length);
		name[length] = 0;
		path += length;
		dir = openat(above, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(above);
	}
	return dir;
}

/* Makes a name of the form NAME.NUMBER, in which NUMBER comes from the pid and the attempt. */
static void put_name_beside(char *to, const char *name, unsigned int attempt)
{
	size_t length = strlen(name);
	uint64_t number = (uint64_t)getpid() * TRIES + attempt;

	memcpy(to, name, length);
	to[length++] = '.';
	for (; number; number /= 10)
		to[length++] = (char)('0' + number % 10);
	to[length] = 0;
}

static int create(int dir, const char *name, char *beside)
{
	enum { FLAGS = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC };
	int fd = -1;

	for (unsigned int i = 0; i < TRIES && fd < 0; i++) {
		put_name_beside(beside, name, i);
		fd = openat(dir, beside, FLAGS, 0600);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	return fd;
}

static bool copy(int from, int to)
{
	char bytes[4096];
	ssize_t count;

	while ((count = read(from, bytes, sizeof(bytes))) > 0)
		for (ssize_t done = 0, n; done < count; done += n) {
			n = write(to, bytes + done, (size_t)(count - done));
			if (n < 0)
				return false;
		}
	return count == 0;
}

int verb_write(char **words)
{
	char beside[64 + TAIL];
	int dir, fd;
	bool is_whole;

	if (!words[0] || !words[1] || words[2] || strlen(words[1]) > 64 - 2 ||
	    strchr(words[1], '/')) {
		say("write: expected DIR NAME");
		return EXIT_USAGE;
	}
	dir = open_without_links(words[0]);
	if (dir < 0)
		return refuse(words[0], "a folder, and no link on the way to it");
	fd = create(dir, words[1], beside);
	if (fd < 0)
		return refuse(words[0], "to make a file there");
	is_whole = copy(STDIN_FILENO, fd) && !fchmod(fd, 0644) && !close(fd) &&
		   !renameat(dir, beside, dir, words[1]);
	if (is_whole)
		return 0;
	refuse(words[0], "to write a file there");
	unlinkat(dir, beside, 0);
	return EXIT_FAILED;
}
