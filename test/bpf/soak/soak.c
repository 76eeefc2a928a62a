// SPDX-License-Identifier: Apache-2.0
// Long: the life of all connections, and what is reported of it.
/*
 * soak CONNECTIONS [CGROUP]: keeps this many connections open until SIGTERM, each with a process
 * at either end and messages of random sizes in both directions; a connection that ends is
 * replaced. Now and then one end is killed. Every byte is checked (ends.c). With CGROUP, there are
 * also hogs of CPU and memory, and clients in cgroups below it that come and go (crowd.c).
 *
 * Prints a line of JSON each second, and one with the totals at the end. Exits with 1 at the first
 * byte that is lost, repeated, reordered or wrong, and at a connection that stands still.
 */
#define _GNU_SOURCE
#include "soak.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STORM_SERVERS = 2, STORM_CLIENTS = 2, STILL_SECONDS = 30 };

struct shared *shared;

/* What only the parent knows of a slot. */
static struct {
	pid_t pid[2];
	int killed; /* which end, or -1 */
	uint64_t moved, moved_at; /* bytes, and the time when they last grew */
} runs[MAX_SLOTS];

static uint64_t state, bytes, connections, kills, cuts, spurious;
static int slot_count;

void fail(const char *format, ...)
{
	va_list words;
	char text[512];

	va_start(words, format);
	vsnprintf(text, sizeof(text), format, words);
	va_end(words);
	fprintf(stderr, "soak: process %d: %s\n", getpid(), text);
	_exit(1);
}

static pid_t start(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		fail("fork: %s", strerror(errno));
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGTERM, SIG_DFL);
		if (getppid() != parent)
			_exit(1);
	}
	return pid;
}

static int open_listener(int family, int *port)
{
	struct sockaddr_in6 address = { 0 };
	socklen_t length = sizeof(address);
	int fd = socket(family, SOCK_STREAM, 0);

	address.sin6_family = (sa_family_t)family;
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, family == AF_INET ? 16 : length) ||
	    listen(fd, 512) || getsockname(fd, (struct sockaddr *)&address, &length))
		fail("listener: %s", strerror(errno));
	*port = ntohs(address.sin6_port);
	return fd;
}

/* Connects by IPv4, by IPv6, or by IPv4 to a dual-stack listener. */
static void open_pair(int fds[2])
{
	uint64_t family = draw(&state, 3);
	int port, buffer = 4096 << draw(&state, 7), one = 1;
	int listener = open_listener(family ? AF_INET6 : AF_INET, &port);
	struct sockaddr_in address = {
		AF_INET, htons((uint16_t)port), { htonl(INADDR_LOOPBACK) }, { 0 }
	};
	struct sockaddr_in6 address6 = { AF_INET6, htons((uint16_t)port), 0, IN6ADDR_LOOPBACK_INIT,
					 0 };

	fds[CLIENT] = socket(family == 1 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
	if (!draw(&state, 4))
		setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	if (!draw(&state, 4))
		setsockopt(fds[CLIENT], SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	if (family == 1 ? connect(fds[CLIENT], (struct sockaddr *)&address6, sizeof(address6))
			: connect(fds[CLIENT], (struct sockaddr *)&address, sizeof(address)))
		fail("connect: %s", strerror(errno));
	fds[SERVER] = accept(listener, NULL, NULL);
	if (fds[SERVER] < 0)
		fail("accept: %s", strerror(errno));
	close(listener);
	for (int end = 0; end < 2; end++)
		if (draw(&state, 2))
			setsockopt(fds[end], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void begin_connection(int number)
{
	struct slot *slot = &shared->slots[number];
	uint64_t now = now_ns(), seconds = 1 + draw(&state, draw(&state, 4) ? 4 : 20);
	int fds[2];

	memset(slot, 0, sizeof(*slot));
	memset(&runs[number], 0, sizeof(runs[number]));
	slot->seed = mix(state);
	slot->largest = draw(&state, 3) ? 30000 : 200000;
	slot->read_largest = draw(&state, 3) ? 262144 : 5000;
	slot->nap = draw(&state, 3) ? 3000 : 100;
	slot->pause = draw(&state, 8) ? 2 : 100;
	slot->stop_at = now + seconds * 100000000 + draw(&state, 1000000000);
	for (int end = 0; end < 2; end++) {
		slot->stream[end].seed = mix(slot->seed + (uint64_t)end);
		slot->way[end] = (enum way)draw(&state, WAY_TALK);
	}
	if (!draw(&state, 4))
		slot->way[CLIENT] = slot->way[SERVER] = WAY_TALK;
	runs[number].killed = -1;
	runs[number].moved_at = now;

	open_pair(fds);
	for (int end = 0; end < 2; end++) {
		runs[number].pid[end] = start();
		if (runs[number].pid[end] == 0) {
			close(fds[!end]);
			play(slot, fds[end], end);
		}
	}
	close(fds[CLIENT]);
	close(fds[SERVER]);
	connections++;
}

static void describe(int number)
{
	const struct slot *slot = &shared->slots[number];

	for (int end = 0; end < 2; end++)
		fprintf(stderr,
			"soak: end %d, way %d, process %d: sent %llu, the other has read %llu%s, "
			"cut %d\n",
			end, slot->way[end], runs[number].pid[end],
			(unsigned long long)slot->stream[end].sent,
			(unsigned long long)slot->stream[end].received,
			slot->stream[end].is_ended ? " and the end" : "", slot->is_cut[end]);
}

/* Runs when both ends are gone. */
static void end_connection(int number)
{
	struct slot *slot = &shared->slots[number];

	for (int end = 0; end < 2; end++) {
		const struct stream *stream = &slot->stream[end];

		bytes += stream->received;
		cuts += slot->is_cut[end] != 0;
		if (runs[number].killed >= 0)
			continue;
		if (slot->is_cut[end] || !stream->is_ended || stream->received != stream->sent) {
			describe(number);
			fail("a connection without a killed end: expected all bytes and the end "
			     "of the stream");
		}
	}
	spurious += slot->spurious;
	runs[number].pid[CLIENT] = runs[number].pid[SERVER] = 0;
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		bool is_end = false;

		for (int i = 0; i < slot_count; i++) {
			for (int end = 0; end < 2; end++) {
				if (runs[i].pid[end] != pid)
					continue;
				is_end = true;
				if (status && runs[i].killed != end) {
					describe(i);
					fail("end %d of connection %d: status %x", end, i, status);
				}
				runs[i].pid[end] = -pid;
			}
			if (runs[i].pid[CLIENT] < 0 && runs[i].pid[SERVER] < 0)
				end_connection(i);
		}
		if (!is_end && status)
			fail("process %d of the storm or the containers: status %x", pid, status);
	}
}

static void kill_one(void)
{
	int number = (int)draw(&state, (uint64_t)slot_count), end = (int)draw(&state, 2);

	if (runs[number].killed >= 0 || runs[number].pid[CLIENT] <= 0 ||
	    runs[number].pid[SERVER] <= 0)
		return;
	runs[number].killed = end;
	kill(runs[number].pid[end], SIGKILL);
	kills++;
}

static bool is_standing(int number)
{
	struct slot *slot = &shared->slots[number];
	uint64_t moved = slot->stream[0].sent + slot->stream[1].sent + slot->stream[0].received +
			 slot->stream[1].received;

	if (runs[number].pid[CLIENT] == 0 || moved != runs[number].moved) {
		runs[number].moved = moved;
		runs[number].moved_at = now_ns();
	}
	return now_ns() - runs[number].moved_at > STILL_SECONDS * 1000000000ULL;
}

static void report(bool is_last)
{
	uint64_t all = bytes;

	for (int i = 0; !is_last && i < slot_count; i++)
		if (runs[i].pid[CLIENT] || runs[i].pid[SERVER])
			all += shared->slots[i].stream[0].received +
			       shared->slots[i].stream[1].received;
	printf("{\"bytes\":%llu,\"connections\":%llu,\"kills\":%llu,\"cuts\":%llu,\"spurious\":%"
	       "llu,\"storms\":%llu,\"storm_errors\":%llu,\"containers\":%llu}\n",
	       (unsigned long long)all, (unsigned long long)connections, (unsigned long long)kills,
	       (unsigned long long)cuts, (unsigned long long)spurious,
	       (unsigned long long)shared->storms, (unsigned long long)shared->storm_errors,
	       (unsigned long long)shared->containers);
	fflush(stdout);
}

static void start_storm(const char *folder)
{
	int port, listener = open_listener(AF_INET, &port);

	for (int i = 0; i < STORM_SERVERS; i++)
		if (start() == 0)
			storm_server(listener);
	for (int i = 0; i < STORM_CLIENTS; i++) {
		uint64_t seed = mix(state + (uint64_t)i);

		if (start() == 0) {
			close(listener);
			storm_client(port, seed);
		}
	}
	if (folder) {
		if (start() == 0)
			hog_processor();
		if (start() == 0)
			hog_memory();
		if (start() == 0)
			churn_containers(folder, port);
	}
	close(listener);
}

static void stop(int signal)
{
	(void)signal;
	atomic_store(&shared->is_over, true);
}

/* Returns false when all connections are gone. */
static bool tend_connections(bool is_over)
{
	bool is_busy = false;

	reap();
	for (int i = 0; i < slot_count; i++) {
		if (!is_over && runs[i].pid[CLIENT] == 0)
			begin_connection(i);
		if (is_standing(i)) {
			describe(i);
			sleep_ns(5000000000); /* time for a person to look at the processes */
			fail("connection %d: nothing moved for %d s", i, STILL_SECONDS);
		}
		is_busy |= runs[i].pid[CLIENT] != 0;
	}
	return is_busy;
}

int main(int count, char **words)
{
	uint64_t reported = 0, killed = 0;
	bool is_over = false;

	if (count < 2 || count > 3 || (slot_count = atoi(words[1])) < 1 || slot_count > MAX_SLOTS)
		fail("expected 1..%d connections", MAX_SLOTS);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	state = mix(now_ns());
	start_storm(count > 2 ? words[2] : NULL);
	signal(SIGTERM, stop);
	while (tend_connections(is_over) || !is_over) {
		uint64_t now = now_ns();

		is_over = atomic_load(&shared->is_over);
		if (now - killed > 300000000) {
			killed = now;
			kill_one();
		}
		if (now - reported > 1000000000) {
			reported = now;
			report(false);
		}
		sleep_ns(2000000);
	}
	while (count > 2 && !atomic_load(&shared->is_churn_over))
		sleep_ns(2000000);
	report(true);
	return 0;
}
