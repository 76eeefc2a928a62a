// SPDX-License-Identifier: Apache-2.0
#include "pod.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(void)
{
	fprintf(stderr, "usage: pod serve|unsupported PORT SCRIPT\n"
			"       pod check PINS GENERATION OWNER CGROUP\n"
			"       bpftool ... (under that name)\n");
	return EXIT_USAGE;
}

static int check(char **words)
{
	const struct place place = { words[0], words[1], words[2], words[3] };
	char why[4096];
	bool is_good = is_served(&place, why, sizeof(why));

	puts(why);
	return is_good ? 0 : EXIT_FAILED;
}

int main(int count, char **words)
{
	const char *slash = count ? strrchr(words[0], '/') : NULL;
	struct service service = { 0 };
	unsigned long port;

	if (count && strcmp(slash ? slash + 1 : words[0], "bpftool") == 0)
		return stand_in(count - 1, words + 1);
	if (count == 6 && strcmp(words[1], "check") == 0)
		return check(words + 2);
	if (count != 4)
		return usage();
	port = strtoul(words[2], NULL, 10);
	service.unsupported = strcmp(words[1], "unsupported") == 0;
	if (port < 1 || port > 65535 || (!service.unsupported && strcmp(words[1], "serve")))
		return usage();
	service.port = (uint16_t)port;
	service.script = words[3];
	return serve(&service);
}
