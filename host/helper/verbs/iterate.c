// SPDX-License-Identifier: Apache-2.0
/*
 * iterate PIN: runs a pinned BPF iterator once in each network namespace in which a process lives,
 * and prints what it prints. bpftool cannot run an iterator from a pin, and an iterator over
 * sockets sees only the namespace in which it was started.
 */
#include "probe.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

/* Any user may create namespaces; by default a kernel has room for a tenth of this number. */
enum { MAX_NAMESPACES = 1 << 20 };

static bool refuse(const char *what)
{
	say("iterate: ", what, ": ", name_error(errno));
	return false;
}

static bool run(int link)
{
	union bpf_attr attr;
	char text[4096];
	ssize_t n;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.iter_create.link_fd = (uint32_t)link;
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

/* Runs the iterator in the namespace of this process, unless that namespace was met before. */
static bool visit(const char *pid, int link)
{
	static uint64_t *met;
	static unsigned int count;
	char path[32] = "/proc/";
	struct stat stat;
	bool is_done = true;
	int fd;

	memcpy(path + 6, pid, strlen(pid));
	memcpy(path + 6 + strlen(pid), "/ns/net", 8);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true; /* it has ended */
	if (!met)
		met = share_memory(MAX_NAMESPACES * sizeof(*met));
	if (fstat(fd, &stat)) {
		is_done = refuse(path);
	} else {
		unsigned int i = 0;

		while (i < count && met[i] != stat.st_ino)
			i++;
		if (i == MAX_NAMESPACES) {
			say("iterate: expected at most 1048576 network namespaces");
			is_done = false;
		} else if (i == count) {
			met[count++] = stat.st_ino;
			is_done = setns(fd, CLONE_NEWNET) ? refuse(path) : run(link);
		}
	}
	close(fd);
	return is_done;
}

static bool visit_all(int link)
{
	struct listing listing = { .fd = open_folder(AT_FDCWD, "/proc") };
	const struct entry *entry;

	while ((entry = next_entry(&listing)))
		if (*entry->name >= '1' && *entry->name <= '9' && !visit(entry->name, link))
			return false;
	close(listing.fd);
	errno = listing.error;
	return !errno || refuse("/proc");
}

int verb_iterate(char **words)
{
	union bpf_attr attr;
	int program, link;

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
	return visit_all(link) ? 0 : EXIT_FAILED;
}
