// SPDX-License-Identifier: Apache-2.0
/* lock DIR SECONDS -- COMMAND...: runs COMMAND while it alone holds DIR. */
#include "probe.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/*
 * The number has one digit, so that a shell can close it for a child that outlives the lock: 9>&-.
 */
enum { LOCK_FD = 9, RETRY_MS = 20 };

/*
 * Finds the process in this directory's line of /proc/locks, such as "1: FLOCK  ADVISORY  WRITE
 * 1234 00:2a:5678 0 EOF". Each field is read both as a decimal and as a hexadecimal number. The
 * line of a waiter has one field more.
 */
static uint64_t find_holder(const struct stat *dir)
{
	enum { PID = 4, MAJOR, MINOR, INODE, FIELDS };
	uint64_t decimal[FIELDS + 1] = { 0 }, hex[FIELDS + 1] = { 0 };
	unsigned int field = 0;
	char text[4096], last = ' ';
	int fd = open("/proc/locks", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	while ((n = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			unsigned int c = (unsigned char)text[i];
			bool is_gap = c == ' ' || c == ':' || c == '\n';

			if (!is_gap) {
				decimal[field] = decimal[field] * 10 + c - '0';
				hex[field] = hex[field] * 16 + (c > '9' ? c - 'a' + 10 : c - '0');
			} else if (last != ' ' && field < FIELDS) {
				field++;
				decimal[field] = hex[field] = 0;
			}
			last = is_gap ? ' ' : 'x';
			if (c != '\n')
				continue;
			if (hex[MAJOR] == major(dir->st_dev) && hex[MINOR] == minor(dir->st_dev) &&
			    decimal[INODE] == dir->st_ino) {
				close(fd);
				return decimal[PID];
			}
			field = 0;
			*decimal = *hex = 0;
		}
	close(fd);
	return 0;
}

static void put_command_line(uint64_t pid)
{
	static const char name[] = "/cmdline";
	char path[40], line[512];
	size_t at = sizeof(path) - sizeof(name);
	ssize_t n = -1;
	int fd;

	memcpy(path + at, name, sizeof(name));
	for (; pid; pid /= 10)
		path[--at] = (char)('0' + pid % 10);
	at -= 6;
	memcpy(path + at, "/proc/", 6);
	fd = open(path + at, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, line, sizeof(line));
		close(fd);
	}
	if (n > 0) {
		put_text(": ");
		put_printable(line, (size_t)n - (line[n - 1] == 0));
	} else {
		put_text(", which has ended; a process that it started still holds the lock");
	}
}

static int refuse(const char *dir, const char *seconds, const struct stat *stat)
{
	uint64_t pid = find_holder(stat);

	put_text("probe: lock: ");
	put_text(dir);
	put_text(": not free within ");
	put_text(seconds);
	put_text(" s, held by ");
	if (pid) {
		put_text("process ");
		put_number(pid);
		put_command_line(pid);
	} else {
		put_text("a process that /proc/locks does not show here");
	}
	flush_text(STDERR_FILENO);
	return EXIT_FAILED;
}

/*
 * Creates the folder if needed. The removal of the last installation removes the folder too,
 * perhaps between the caller's mkdir and this call.
 */
static int open_or_make(const char *path)
{
	int fd;

	while ((fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 && errno == ENOENT)
		if (mkdir(path, 0700) && errno != EEXIST)
			return -1;
	return fd;
}

int verb_lock(char **words)
{
	uint64_t seconds, deadline;
	struct stat stat;
	int fd;

	if (!words[0] || !read_number(words[1], 86400, &seconds) || !words[2] ||
	    !same_text(words[2], "--") || !words[3]) {
		say("lock: expected DIR SECONDS -- COMMAND ARGUMENTS...");
		return EXIT_USAGE;
	}
	fd = open_or_make(words[0]);
	if (fd < 0 || fstat(fd, &stat)) {
		say("lock: ", words[0], ": expected a directory, found ", name_error(errno));
		return EXIT_FAILED;
	}
	deadline = in_ms((unsigned int)seconds * 1000);
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			say("lock: ", words[0], ": ", name_error(errno));
			return EXIT_FAILED;
		}
		if (now_ns() >= deadline)
			return refuse(words[0], words[1], &stat);
		sleep_ms(RETRY_MS);
	}
	if (fd == LOCK_FD ? fcntl(fd, F_SETFD, 0) : dup3(fd, LOCK_FD, 0) < 0) {
		say("lock: ", name_error(errno));
		return EXIT_FAILED;
	}
	return run_command(words + 3);
}
