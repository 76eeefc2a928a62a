// SPDX-License-Identifier: Apache-2.0
#include "pod.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(void)
{
	fprintf(stderr, "usage: pod serve PORT SCRIPT PINS GENERATION OWNER CGROUP\n"
			"       pod unsupported PORT SCRIPT REASON\n"
			"       bpftool ... (under that name)\n");
	return EXIT_USAGE;
}

int main(int count, char **words)
{
	const char *slash = count ? strrchr(words[0], '/') : NULL;
	struct service service = { 0 };
	unsigned long port;

	if (count && strcmp(slash ? slash + 1 : words[0], "bpftool") == 0)
		return stand_in(count - 1, words + 1);
	if (count < 5)
		return usage();
	port = strtoul(words[2], NULL, 10);
	if (port < 1 || port > 65535)
		return usage();
	service.port = (uint16_t)port;
	service.script = words[3];
	if (count == 5 && strcmp(words[1], "unsupported") == 0)
		service.unsupported = words[4];
	else if (count == 8 && strcmp(words[1], "serve") == 0)
		service.place = (struct place){ words[4], words[5], words[6], words[7] };
	else
		return usage();
	return serve(&service);
}
