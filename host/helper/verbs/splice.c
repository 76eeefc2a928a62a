// SPDX-License-Identifier: Apache-2.0
/*
 * attach PROGRAM LINK: attaches a pinned program that names its own place in the kernel, and pins
 * the link; bpftool before 7.2 cannot do that. splice FEEDS: tells how a splice from a socket in
 * that map ends, or "full" if the map takes no more. The socket is not connected, so without the
 * guard the kernel would return ENOTCONN.
 */
#include "probe.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <string.h>

static int refuse(const char *what)
{
	say(what, ": ", name_error(errno));
	return EXIT_FAILED;
}

int verb_attach(char **words)
{
	union bpf_attr attr;
	int program, link;

	if (!words[0] || !words[1] || words[2]) {
		say("attach: expected PROGRAM LINK");
		return EXIT_USAGE;
	}
	program = open_pin(words[0]);
	if (program < 0)
		return refuse(words[0]);
	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.prog_fd = (uint32_t)program;
	link = bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);
	if (link < 0)
		return refuse("attaching");
	memset(&attr, 0, sizeof(attr));
	attr.pathname = (uint64_t)(uintptr_t)words[1];
	attr.bpf_fd = (uint32_t)link;
	return bpf(BPF_OBJ_PIN, &attr) ? refuse(words[1]) : 0;
}

int verb_splice(char **words)
{
	int map, ends[2], fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t cookie, redirected = 1; /* FEED_REDIRECTED of bpf/feeds.h */
	socklen_t length = sizeof(cookie);
	union bpf_attr attr;
	ssize_t moved;
	int code;

	if (!words[0] || words[1]) {
		say("splice: expected FEEDS");
		return EXIT_USAGE;
	}
	map = open_pin(words[0]);
	if (map < 0)
		return refuse(words[0]);
	if (fd < 0 || pipe2(ends, O_CLOEXEC) ||
	    getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length))
		return refuse("socket");
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map;
	attr.key = (uint64_t)(uintptr_t)&cookie;
	attr.value = (uint64_t)(uintptr_t)&redirected;
	if (bpf(BPF_MAP_UPDATE_ELEM, &attr)) {
		if (errno != E2BIG)
			return refuse(words[0]);
		put_text("full");
		flush_text(STDOUT_FILENO);
		return 0;
	}
	moved = splice(fd, NULL, ends[1], NULL, 1, SPLICE_F_NONBLOCK);
	code = errno;
	attr.value = 0; /* the kernel refuses a delete that also has a value */
	if (bpf(BPF_MAP_DELETE_ELEM, &attr))
		return refuse(words[0]);
	put_text(moved < 0 ? name_error(code) : "data");
	flush_text(STDOUT_FILENO);
	return 0;
}
