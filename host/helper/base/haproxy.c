// SPDX-License-Identifier: Apache-2.0
/* Reads the configuration of a running HAProxy, which splices only if that says so. */
#include "probe.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum {
	MOST_FILES = 64,
	MOST_CONFIGURATION = 1 << 20,
};

struct configuration {
	unsigned int files;
	bool is_unread;
	bool splices;
	bool is_off;
};

static void read_configuration(int fd, struct configuration *found)
{
	struct reader reader = { .fd = fd, .left = MOST_CONFIGURATION };
	char line[256];

	while (next_line(&reader, line, sizeof(line))) {
		const char *word = skip(line, " \t"), *end = skip_to(word, " \t\r#");

		if (starts_with(word, "nosplice") && end - word == 8)
			found->is_off = true;
		if (starts_with(word, "option") && end - word == 6)
			found->splices |= starts_with(skip(end, " \t"), "splice-");
	}
	found->is_unread |= !reader.left;
}

/*
 * Opens a path in the process's own file system: a link inside a container must not lead to a file
 * of the host.
 */
static int open_inside(int root, const char *path, int flags)
{
	struct open_how how;

	memset(&how, 0, sizeof(how));
	how.flags = (uint64_t)(flags | O_CLOEXEC);
	how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

static int open_regular(int root, const char *path, struct stat *stat)
{
	int fd = open_inside(root, path, O_PATH);
	bool is_known = fd >= 0 && !fstat(fd, stat);

	if (fd >= 0)
		close(fd);
	/* The path is opened only after this check, because opening a device may have an effect. */
	return is_known && (S_ISREG(stat->st_mode) || S_ISDIR(stat->st_mode))
		       ? open_inside(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY)
		       : -1;
}

/* Like HAProxy, this reads the files of the folder whose names end in .cfg, and none below. */
static bool read_folder(int root, int fd, char *path, size_t length, size_t room,
			struct configuration *found)
{
	struct listing listing = { .fd = fd };
	const struct entry *entry;

	while ((entry = next_entry(&listing))) {
		size_t more = strlen(entry->name);
		struct stat stat;
		int file;

		if (entry->type == FOLDER || *entry->name == '.' || more < 5 ||
		    !same_text(entry->name + more - 4, ".cfg"))
			continue;
		if (++found->files > MOST_FILES || length + more + 2 > room)
			return false;
		path[length] = '/';
		memcpy(path + length + 1, entry->name, more + 1);
		file = open_regular(root, path, &stat);
		if (file < 0)
			return false;
		if (S_ISREG(stat.st_mode))
			read_configuration(file, found);
		close(file);
	}
	return !listing.error;
}

/* False if the path cannot be read. A relative path begins in the directory of the process. */
static bool read_path(int process, const char *path, struct configuration *found)
{
	static char whole[4096];
	size_t length = strlen(path);
	int root = openat(process, "root", O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct stat stat;
	ssize_t n = 0;
	bool is_read = false;

	if (*path != '/') {
		n = readlinkat(process, "cwd", whole, sizeof(whole) - 1);
		if (n > 0)
			whole[n++] = '/';
	}
	if (root >= 0 && n >= 0 && (size_t)n + length < sizeof(whole)) {
		memcpy(whole + n, path, length + 1);
		fd = open_regular(root, whole, &stat);
	}
	if (fd >= 0) {
		is_read = ++found->files <= MOST_FILES;
		if (S_ISDIR(stat.st_mode))
			is_read &= read_folder(root, fd, whole, (size_t)n + length, sizeof(whole),
					       found);
		else if (is_read)
			read_configuration(fd, found);
		close(fd);
	}
	if (root >= 0)
		close(root);
	return is_read;
}

static uint64_t read_mounts(int process)
{
	int fd = openat(process, "ns/mnt", O_RDONLY | O_CLOEXEC);
	struct stat stat = { .st_ino = 0 };

	if (fd >= 0) {
		fstat(fd, &stat);
		close(fd);
	}
	return stat.st_ino;
}

/* Opens another process that sees the same mounts; otherwise -1. */
static int open_neighbour(int proc, int process, uint64_t number)
{
	uint64_t mounts = read_mounts(process);
	char pid[24];
	size_t at = sizeof(pid) - 1;
	int other;

	for (pid[at] = 0; number; number /= 10)
		pid[--at] = (char)('0' + number % 10);
	other = pid[at] ? open_folder(proc, pid + at) : -1;
	if (other < 0 || (mounts && read_mounts(other) == mounts))
		return other;
	close(other);
	return -1;
}

const char *look_at_haproxy(int proc, int process)
{
	static char words[16384];
	size_t length = read_whole(process, "cmdline", words, sizeof(words) - 1);
	struct configuration found = { .is_unread = length == sizeof(words) - 1 };
	bool is_next = false, is_rest = false;
	/* The process that serves may have confined itself to an empty folder. */
	int parent = open_neighbour(proc, process, read_status(process, "PPid"));
	int self = open_neighbour(proc, process, (uint64_t)getpid());

	words[length] = 0;
	for (const char *word = next_name(words); word < words + length; word = next_name(word)) {
		if (!is_next && !is_rest) {
			is_next = same_text(word, "-f");
			is_rest = same_text(word, "--");
			found.is_off |= same_text(word, "-dS");
			continue;
		}
		is_next = false;
		if (!read_path(process, word, &found) &&
		    (parent < 0 || !read_path(parent, word, &found)) &&
		    (self < 0 || *word != '/' || !read_path(self, word, &found)))
			found.is_unread = true;
	}
	if (parent >= 0)
		close(parent);
	if (self >= 0)
		close(self);
	if (found.is_off)
		return "plain";
	return found.splices ? "splice" : found.is_unread || !found.files ? "unread" : "plain";
}
