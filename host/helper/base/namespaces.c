// SPDX-License-Identifier: Apache-2.0
/* Visits every network namespace in which a process lives. */
#include "probe.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

/* Any user may create namespaces; by default a kernel has room for a tenth of this number. */
enum { MAX_NAMESPACES = 1 << 20 };

static bool refuse(const char *verb, const char *what)
{
	say(verb, ": ", what, ": ", name_error(errno));
	return false;
}

static bool is_met(uint64_t inode)
{
	static uint64_t *met;
	static unsigned int count;

	if (!met)
		met = share_memory(MAX_NAMESPACES * sizeof(*met));
	for (unsigned int i = 0; i < count; i++)
		if (met[i] == inode)
			return true;
	if (count < MAX_NAMESPACES)
		met[count++] = inode;
	return false;
}

static bool visit_process(const struct visit *with, const char *pid)
{
	char path[32] = "/proc/";
	struct stat stat;
	bool is_done = true;
	int fd;

	memcpy(path + 6, pid, strlen(pid));
	memcpy(path + 6 + strlen(pid), "/ns/net", 8);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		if (errno == EACCES && with->hidden)
			++*with->hidden;
		return true; /* else it has ended */
	}
	if (fstat(fd, &stat))
		is_done = refuse(with->verb, path);
	else if (!is_met(stat.st_ino))
		is_done = setns(fd, CLONE_NEWNET) ? refuse(with->verb, path)
						  : with->visit(with->context);
	close(fd);
	return is_done;
}

bool visit_namespaces(const struct visit *with)
{
	struct listing listing = { .fd = open_folder(AT_FDCWD, "/proc") };
	const struct entry *entry;

	while ((entry = next_entry(&listing)))
		if (*entry->name >= '1' && *entry->name <= '9' && !visit_process(with, entry->name))
			return false;
	close(listing.fd);
	errno = listing.error;
	return !errno || refuse(with->verb, "/proc");
}
