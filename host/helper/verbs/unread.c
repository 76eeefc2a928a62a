// SPDX-License-Identifier: Apache-2.0
/*
 * unread: tells whether FIONREAD of a socket in a sockmap counts what came by TCP, with the word
 * that the self-test uses: exact or zero. The socket is connected to itself, so there is no
 * listener for strangers, and no serving generation enrols it.
 */
#include "probe.h"

#include <linux/bpf.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>

enum { BYTES = 100 };

static int refuse(const char *what)
{
	say("unread: ", what, ": ", name_error(errno));
	return EXIT_FAILED;
}

static int connect_to_itself(void)
{
	static const struct timeval patience = { PATIENCE_MS / 1000, 0 };
	struct sockaddr_in own = { .sin_family = AF_INET };
	socklen_t length = sizeof(own);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&own, length) ||
	    getsockname(fd, (struct sockaddr *)&own, &length))
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	return connect(fd, (struct sockaddr *)&own, length) ? -1 : fd;
}

static int put_into_a_map(int fd)
{
	uint32_t key = 0, value = (uint32_t)fd;
	union bpf_attr attr;
	int map;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_SOCKMAP;
	attr.key_size = sizeof(key);
	attr.value_size = sizeof(value);
	attr.max_entries = 1;
	map = bpf(BPF_MAP_CREATE, &attr);
	if (map < 0)
		return -1;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map;
	attr.key = (uint64_t)(uintptr_t)&key;
	attr.value = (uint64_t)(uintptr_t)&value;
	return bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

int verb_unread(char **words)
{
	static const uint8_t bytes[BYTES];
	int fd, unread = -1;

	if (words[0]) {
		say("unread: expected no word");
		return EXIT_USAGE;
	}
	fd = connect_to_itself();
	if (fd < 0)
		return refuse("connecting");
	if (put_into_a_map(fd))
		return refuse("sockmap");
	if (send(fd, bytes, BYTES, 0) != BYTES || !wait_for(fd, POLLIN, in_ms(PATIENCE_MS)))
		return refuse("sending");
	if (ioctl(fd, FIONREAD, &unread))
		return refuse("FIONREAD");
	put_text(unread == BYTES ? "exact" : "zero");
	flush_text(STDOUT_FILENO);
	return 0;
}
