// SPDX-License-Identifier: Apache-2.0
/*
 * owners: tells which process has which socket open, one line for each descriptor: owner, inode,
 * process, its name. Each link in /proc is read by itself: in a list of links as text, a path with
 * a line feed could pass for another process's socket.
 */
#include "probe.h"

#include <fcntl.h>
#include <string.h>

/* A process decides its own name, so characters that are not printable are replaced. */
void put_name_of(const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++)
		put_bytes(name[i] >= ' ' && name[i] <= '~' ? name + i : "?", 1);
}

/* Returns the length of the name, or 0 if the process has ended. */
size_t read_process_name(int process, char *name, size_t room)
{
	int fd = openat(process, "comm", O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	if (fd >= 0) {
		n = read(fd, name, room);
		close(fd);
	}
	return n > 0 ? (size_t)n - 1 : 0; /* the name ends in a line feed */
}

/* Only a target that sockfs writes begins like this: a path begins with a slash or a bracket. */
bool read_inode(int folder, const char *fd, char *inode, size_t room)
{
	static const char begin[] = "socket:[";
	const size_t skipped = sizeof(begin) - 1;
	char target[40];
	ssize_t n = readlinkat(folder, fd, target, sizeof(target));
	size_t length = n > 0 ? (size_t)n : 0;

	if (length < skipped + 2 || length == sizeof(target) || length - skipped > room ||
	    memcmp(target, begin, skipped) != 0 || target[length - 1] != ']')
		return false;
	memcpy(inode, target + skipped, length - skipped - 1);
	inode[length - skipped - 1] = 0;
	return true;
}

static void put_sockets(int proc, const char *pid)
{
	char name[64], inode[32];
	int process = open_folder(proc, pid);
	struct listing listing = { .fd = process < 0 ? -1 : open_folder(process, "fd") };
	const struct entry *entry;
	size_t length = 0;

	while (listing.fd >= 0 && (entry = next_entry(&listing))) {
		if (!read_inode(listing.fd, entry->name, inode, sizeof(inode)))
			continue;
		if (!length)
			length = read_process_name(process, name, sizeof(name));
		put_text("owner ");
		put_text(inode);
		put_text(" ");
		put_text(pid);
		put_text(" ");
		put_name_of(name, length);
		flush_text(STDOUT_FILENO);
	}
	if (listing.fd >= 0)
		close(listing.fd);
	if (process >= 0)
		close(process);
}

int verb_owners(char **words)
{
	struct listing listing = { .fd = -1 };
	const struct entry *entry;

	if (words[0]) {
		say("owners: expected no argument, found ", words[0]);
		return EXIT_USAGE;
	}
	limit_verb("owners");
	listing.fd = open_folder(AT_FDCWD, "/proc");
	while ((entry = next_entry(&listing)))
		if (*entry->name >= '1' && *entry->name <= '9')
			put_sockets(listing.fd, entry->name);
	if (!listing.error)
		return 0;
	say("owners: /proc: ", name_error(listing.error));
	return EXIT_FAILED;
}
