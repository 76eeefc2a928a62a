// SPDX-License-Identifier: Apache-2.0
/*
 * iterate PIN: runs a pinned BPF iterator once in each network namespace in which a process lives,
 * and prints what it prints. bpftool cannot run an iterator from a pin, and an iterator over
 * sockets sees only the namespace in which it was started.
 */
#include "probe.h"

#include <linux/bpf.h>
#include <string.h>

static bool refuse(const char *what)
{
	say("iterate: ", what, ": ", name_error(errno));
	return false;
}

static bool run(void *context)
{
	const int *link = context;
	union bpf_attr attr;
	char text[4096];
	ssize_t n;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.iter_create.link_fd = (uint32_t)*link;
	fd = bpf(BPF_ITER_CREATE, &attr);
	if (fd < 0)
		return refuse("iterator");
	/* The kernel returns EAGAIN after a million sockets. */
	while ((n = read(fd, text, sizeof(text))) > 0 || (n < 0 && errno == EAGAIN))
		if (n > 0 && write(STDOUT_FILENO, text, (size_t)n) != n)
			break;
	if (n)
		refuse("reading");
	close(fd);
	return n == 0;
}

int verb_iterate(char **words)
{
	int program, link;
	struct visit with = { .verb = "iterate", .visit = run, .context = &link };
	union bpf_attr attr;

	if (!words[0] || words[1]) {
		say("iterate: expected PIN");
		return EXIT_USAGE;
	}
	program = open_pin(words[0]);
	if (program < 0) {
		refuse(words[0]);
		return EXIT_FAILED;
	}
	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)program;
	attr.link_create.attach_type = BPF_TRACE_ITER;
	link = bpf(BPF_LINK_CREATE, &attr);
	if (link < 0) {
		refuse("link");
		return EXIT_FAILED;
	}
	return visit_namespaces(&with) ? 0 : EXIT_FAILED;
}
