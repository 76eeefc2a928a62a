// SPDX-License-Identifier: Apache-2.0
/*
 * list PROGRAM MAP: runs a pinned program once for each key of a pinned map, and prints the lines
 * with which it answers. bpftool would need two processes for each key. If a key vanishes while the
 * program reads it, the kernel starts again, so a line may come twice.
 */
#include "probe.h"

#include <linux/bpf.h>
#include <string.h>

static int refuse(const char *what)
{
	say("list: ", what, ": ", name_error(errno));
	return EXIT_FAILED;
}

int verb_list(char **words)
{
	union {
		uint64_t key;
		char piece[2][192]; /* as in bpf/flows.bpf.c */
	} packet;
	const void *before = NULL;
	union bpf_attr run;
	int program, map;
	uint64_t key;

	if (!words[0] || !words[1] || words[2]) {
		say("list: expected PROGRAM MAP");
		return EXIT_USAGE;
	}
	program = open_pin(words[0]);
	if (program < 0)
		return refuse(words[0]);
	map = open_pin(words[1]);
	if (map < 0)
		return refuse(words[1]);
	limit_verb("list");

	memset(&run, 0, sizeof(run));
	run.test.prog_fd = (uint32_t)program;
	run.test.data_in = run.test.data_out = (uint64_t)(uintptr_t)&packet;
	run.test.data_size_in = sizeof(packet);
	while (next_key(map, before, &key) == 0) {
		before = &key;
		memset(&packet, 0, sizeof(packet));
		packet.key = key;
		run.test.data_size_out = sizeof(packet);
		if (bpf(BPF_PROG_TEST_RUN, &run))
			return refuse(words[0]);
		if (!run.test.retval)
			continue; /* the socket has gone */
		put_text(packet.piece[0]);
		put_text(packet.piece[1]);
		flush_text(STDOUT_FILENO);
	}
	return errno == ENOENT ? 0 : refuse(words[1]);
}
