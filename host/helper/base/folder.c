// SPDX-License-Identifier: Apache-2.0
/* Lists the entries of a folder that others may change meanwhile. */
#include "probe.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

int open_folder(int above, const char *name)
{
	return openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

const struct entry *next_entry(struct listing *listing)
{
	const struct entry *entry;

	do {
		if (listing->at >= listing->end) {
			listing->at = 0;
			listing->end = syscall(SYS_getdents64, listing->fd, listing->entries,
					       sizeof(listing->entries));
		}
		if (listing->end <= 0) {
			/* A folder that is removed while it is listed has no more entries. */
			listing->error = listing->end && errno != ENOENT ? errno : 0;
			return NULL;
		}
		entry = (const void *)(listing->entries + listing->at);
		listing->at += entry->length;
	} while (same_text(entry->name, ".") || same_text(entry->name, ".."));
	return entry;
}
