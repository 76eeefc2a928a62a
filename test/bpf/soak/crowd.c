// SPDX-License-Identifier: Apache-2.0
/* What else goes on on a host: hogs take CPU and memory, and containers come and go. */
#define _GNU_SOURCE
#include "soak.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HOG_BYTES = 256 << 20, ROUNDS = 20 };

void hog_processor(void)
{
	for (;;) {
		uint64_t until = now_ns() + 30000000;

		while (now_ns() < until)
			;
		sleep_ns(30000000);
	}
}

void hog_memory(void)
{
	uint8_t *bytes =
		mmap(NULL, HOG_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (bytes == MAP_FAILED)
		fail("hog: %s", strerror(errno));
	for (;;) {
		for (size_t at = 0; at < HOG_BYTES; at += 4096) {
			bytes[at] = 1;
			if (at % (4 << 20) == 0)
				sleep_ns(2000000);
		}
		madvise(bytes, HOG_BYTES, MADV_DONTNEED);
	}
}

/* A container's client, which sends to the storm's server and gets the echo. */
static void ask_from(const char *folder, int port)
{
	struct sockaddr_in address = {
		AF_INET, htons((uint16_t)port), { htonl(INADDR_LOOPBACK) }, { 0 }
	};
	uint8_t bytes[500], reply[500];
	size_t got = 0;
	int fd;

	if (!enter_cgroup(folder))
		fail("%s: %s", folder, strerror(errno));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		fail("container: connect: %s", strerror(errno));
	for (int round = 0; round < ROUNDS; round++) {
		memset(bytes, round, sizeof(bytes));
		if (send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) != sizeof(bytes))
			fail("container: send: %s", strerror(errno));
		for (got = 0; got < sizeof(reply);) {
			ssize_t n = recv(fd, reply + got, sizeof(reply) - got, 0);

			if (n == 0 || (n < 0 && errno != EAGAIN))
				fail("container: recv: %s", n ? strerror(errno) : "end");
			got += n > 0 ? (size_t)n : 0;
		}
		if (memcmp(bytes, reply, sizeof(bytes)))
			fail("container: an echo is not the request");
	}
	_exit(0);
}

void churn_containers(const char *folder, int port)
{
	for (uint64_t number = 0; !atomic_load(&shared->is_over); number++) {
		char path[PATH_MAX];
		int status;
		pid_t pid;

		snprintf(path, sizeof(path), "%s/soak-%llu", folder, (unsigned long long)number);
		if (mkdir(path, 0755))
			fail("%s: %s", path, strerror(errno));
		pid = fork();
		if (pid == 0)
			ask_from(path, port);
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
			fail("container: its client failed");
		while (rmdir(path))
			if (errno != EBUSY)
				fail("%s: %s", path, strerror(errno));
		atomic_fetch_add(&shared->containers, 1);
	}
	atomic_store(&shared->is_churn_over, true);
	_exit(0);
}
