// SPDX-License-Identifier: Apache-2.0
/* grace: returns once every BPF program that was running before has ended. */
#include "probe.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

enum { MEMBARRIER_GLOBAL = 1 };

/* With one CPU membarrier() returns at once, also on kernels that preempt. */
static bool has_several_cpus(void)
{
	char text[32] = "";
	int fd = open("/sys/devices/system/cpu/online", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 && (strchr(text, '-') || strchr(text, ','));
}

int verb_grace(char **words)
{
	bool is_over;

	if (words[0]) {
		say("grace: expected no argument, found ", words[0]);
		return EXIT_USAGE;
	}
	limit_verb("grace");
	is_over = syscall(SYS_membarrier, MEMBARRIER_GLOBAL, 0) == 0;
	if (!is_over || !has_several_cpus()) {
		/*
		 * nohz_full kernels refuse membarrier(); closing a packet socket waits for the same
		 * grace period.
		 */
		int code = errno;
		int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

		if (fd >= 0)
			is_over = close(fd) == 0;
		else if (!is_over) {
			say("grace: membarrier: ", name_error(code),
			    "; packet socket: ", name_error(errno), NULL);
		}
	}
	return is_over ? 0 : EXIT_FAILED;
}
