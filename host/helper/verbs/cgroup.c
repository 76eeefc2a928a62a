// SPDX-License-Identifier: Apache-2.0
/* cgroup DIR -- COMMAND...: runs COMMAND inside the cgroup DIR. */
#include "probe.h"

#include <fcntl.h>

int verb_cgroup(char **words)
{
	char path[4096];
	int fd;

	if (!words[0] || !words[1] || !same_text(words[1], "--") || !words[2]) {
		say("cgroup: expected DIR -- COMMAND ARGUMENTS...");
		return EXIT_USAGE;
	}
	if (!join_path(path, sizeof(path), words[0], "cgroup.procs")) {
		say("cgroup: expected a path shorter than 4096 bytes");
		return EXIT_USAGE;
	}
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1) {
		say("cgroup: ", path, ": cannot be entered: ", name_error(errno));
		return EXIT_FAILED;
	}
	close(fd);
	return run_command(words + 2);
}
