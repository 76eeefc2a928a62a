// SPDX-License-Identifier: Apache-2.0
/*
 * claim DIR: if DIR belongs to another user, replaces it by an empty folder of root in one step, so
 * that nobody can get in between. The old folder stays beside it, under the name that is printed.
 * Prints nothing if DIR belongs to root or does not exist.
 */
#include "probe.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* The headers of musl lack this flag. bpffs supports it since Linux 5.17 (3871cb8cf741). */
enum { EXCHANGE = 2, TRIES = 100 };

static bool is_foreign(const char *path)
{
	struct stat stat;
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	bool is_known = fd >= 0 && !fstat(fd, &stat);

	if (fd >= 0)
		close(fd);
	return is_known && stat.st_uid != 0;
}

static bool exchange(const char *a, const char *b)
{
	return !syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, EXCHANGE, 0);
}

int verb_claim(char **words)
{
	char aside[256];
	size_t length;

	if (!words[0] || words[1] || (length = strlen(words[0])) > sizeof(aside) - 4) {
		say("claim: expected DIR");
		return EXIT_USAGE;
	}
	if (!is_foreign(words[0]))
		return 0;
	memcpy(aside, words[0], length);
	for (unsigned int i = 0; i < TRIES; i++) {
		const char end[] = { '-', (char)('0' + i / 10), (char)('0' + i % 10), 0 };

		memcpy(aside + length, end, sizeof(end));
		/* Whoever waits for the name may have taken these names too. */
		if (mkdir(aside, 0700))
			continue;
		if (exchange(aside, words[0])) {
			/*
			 * Another run of ours was first, so this one puts that run's folder back.
			 */
			if (!is_foreign(aside) && exchange(aside, words[0]))
				aside[0] = 0;
			put_text(aside);
			flush_text(STDOUT_FILENO);
			return 0;
		}
		say("claim: ", words[0], ": expected to put a folder of root there, found ",
		    name_error(errno));
		rmdir(aside);
		return EXIT_FAILED;
	}
	say("claim: ", words[0], ": expected a name beside it, found all taken");
	return EXIT_FAILED;
}
