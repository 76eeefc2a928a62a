// SPDX-License-Identifier: Apache-2.0
// Long: all code that reads bytes of strangers is in one file, for its fuzzer.
/*
 * An HTTP server of /metrics alone, for scrapers. It runs in a process that has no capability and
 * few system calls, so that what strangers send reaches nothing else. A stranger costs little:
 * connections are limited in their rate, each has two seconds, and its request must be short and
 * come in few pieces.
 */
#include "pod.h"

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum {
	PLACES = 16,
	/* This many connections at once, and then one more every EACH_MS. */
	BURST = 20,
	EACH_MS = 100,
	ASK_MS = 2000,
	/* The keeper gives a report less time than this. */
	WAIT_MS = 25000,
	MOST_PIECES = 8,
	LARGEST_HEAD = 256,
};

struct client {
	/* 0 for a free slot: no connection gets the number of stdin. */
	int fd;
	/* What the connection waits for. */
	enum { QUESTION, REPORT, ANSWER } stage;
	unsigned int pieces;
	size_t asked;
	size_t length;
	size_t sent;
	uint64_t deadline;
	char question[1024];
	char text[LARGEST_HEAD + LARGEST_REPORT];
};

static struct client clients[PLACES];
static const struct front *front;
static bool is_asking;
static unsigned int tokens = BURST;
static uint64_t refilled;

static const char plain[] = "text/plain; charset=utf-8";
static const char open_metrics[] = "application/openmetrics-text; version=1.0.0; charset=utf-8";

static void leave(struct client *client)
{
	close(client->fd);
	client->fd = 0;
}

static char *add_number(char *to, size_t number)
{
	if (number >= 10)
		to = add_number(to, number / 10);
	*to++ = (char)('0' + number % 10);
	return to;
}

static void reply(struct client *client, const char *status, const char *type, const char *body,
		  size_t size)
{
	/* All parts of the head are our own, and LARGEST_HEAD has room for them. */
	char *end = stpcpy(client->text, "HTTP/1.1 ");

	end = stpcpy(end, status);
	end = stpcpy(end, "\r\nContent-Type: ");
	end = stpcpy(end, type);
	end = stpcpy(end, "\r\nContent-Length: ");
	end = add_number(end, size);
	end = stpcpy(end, "\r\nConnection: close\r\n\r\n");
	memcpy(end, body, size);
	client->length = (size_t)(end - client->text) + size;
	client->sent = 0;
	client->stage = ANSWER;
	client->pieces = 0;
	client->deadline = now_ms() + ASK_MS;
}

static void reply_line(struct client *client, const char *status, const char *line)
{
	reply(client, status, plain, line, strlen(line));
}

static void ask_for_report(struct client *client)
{
	client->stage = REPORT;
	client->deadline = now_ms() + WAIT_MS;
	if (!is_asking && write(front->asks[1], "", 1) == 1)
		is_asking = true;
}

static void hand_out_report(void)
{
	uint32_t size = front->shared->size;
	char bytes[64];

	if (read(front->told[0], bytes, sizeof(bytes)) < 0)
		return;
	is_asking = false;
	for (unsigned int i = 0; i < PLACES; i++) {
		struct client *client = &clients[i];

		if (!client->fd || client->stage != REPORT)
			continue;
		if (size && size <= LARGEST_REPORT)
			reply(client, "200 OK", open_metrics, front->shared->text, size);
		else
			reply_line(client, "503 Service Unavailable",
				   "the report failed; the log of this pod says why\n");
	}
}

static bool is_question(const char *question, const char *path)
{
	size_t length = strlen(path);

	return strncmp(question, path, length) == 0 &&
	       (question[length] == ' ' || question[length] == '?');
}

static void read_question(struct client *client)
{
	ssize_t got = recv(client->fd, client->question + client->asked,
			   sizeof(client->question) - 1 - client->asked, 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0 || ++client->pieces > MOST_PIECES) {
		leave(client);
		return;
	}
	client->asked += (size_t)got;
	client->question[client->asked] = 0;
	/*
	 * The lines behind the first one do not matter to us, but a client whose request is cut off
	 * takes that for an error.
	 */
	if (!strstr(client->question, "\r\n\r\n") && client->asked < sizeof(client->question) - 1)
		return;
	if (strncmp(client->question, "GET ", 4))
		reply_line(client, "405 Method Not Allowed", "expected GET\n");
	else if (is_question(client->question, "GET /metrics"))
		ask_for_report(client);
	else
		reply_line(client, "404 Not Found", "expected /metrics\n");
}

static void send_answer(struct client *client)
{
	ssize_t sent = send(client->fd, client->text + client->sent, client->length - client->sent,
			    MSG_NOSIGNAL);

	if (sent < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (sent < 0) {
		leave(client);
		return;
	}
	client->sent += (size_t)sent;
	if (client->sent < client->length)
		return;
	/* A close with unread bytes would send a reset, which may overtake the answer. */
	shutdown(client->fd, SHUT_WR);
	for (int i = 0; i < MOST_PIECES; i++)
		if (recv(client->fd, client->question, sizeof(client->question), 0) <= 0)
			break;
	leave(client);
}

static void welcome(void)
{
	struct client *place = NULL;
	int fd = accept4(front->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	tokens--;
	for (unsigned int i = 0; i < PLACES; i++)
		if (!clients[i].fd || !place ||
		    (place->fd && clients[i].deadline < place->deadline))
			place = &clients[i];
	/* A client that crowds out the others takes the slot that is next to expire. */
	if (place->fd)
		leave(place);
	place->fd = fd;
	place->stage = QUESTION;
	place->asked = 0;
	place->pieces = 0;
	place->deadline = now_ms() + ASK_MS;
}

static void refill(uint64_t now)
{
	uint64_t more = (now - refilled) / EACH_MS;

	refilled += more * EACH_MS;
	tokens = tokens + more > BURST ? BURST : tokens + (unsigned int)more;
}

/* 0 if there is nothing to watch but descriptors. */
static int pause_ms(void)
{
	if (tokens < BURST)
		return EACH_MS;
	for (unsigned int i = 0; i < PLACES; i++)
		if (clients[i].fd)
			return EACH_MS;
	return 0;
}

static void turn(void)
{
	struct pollfd polled[PLACES + 2] = { { .fd = front->told[0], .events = POLLIN } };
	int ms = pause_ms();
	struct timespec pause = { .tv_nsec = ms * 1000000L };
	uint64_t now;

	polled[1].fd = tokens ? front->listener : -1;
	polled[1].events = POLLIN;
	for (unsigned int i = 0; i < PLACES; i++) {
		polled[i + 2].fd = clients[i].fd ? clients[i].fd : -1;
		polled[i + 2].events = clients[i].stage == QUESTION ? POLLIN
				       : clients[i].stage == ANSWER ? POLLOUT
								    : 0;
	}
	if (ppoll(polled, PLACES + 2, ms ? &pause : NULL, NULL) < 0)
		return;
	now = now_ms();
	refill(now);
	for (unsigned int i = 0; i < PLACES; i++) {
		struct client *client = &clients[i];

		if (!client->fd)
			continue;
		if (now > client->deadline)
			leave(client);
		else if (polled[i + 2].revents && client->stage == QUESTION)
			read_question(client);
		else if (polled[i + 2].revents && client->stage == ANSWER)
			send_answer(client);
		else if (polled[i + 2].revents)
			/* The client has gone before its report came. */
			leave(client);
	}
	if (polled[0].revents)
		hand_out_report();
	if (polled[1].revents)
		welcome();
}

/* Any system call that is not listed here ends the process. */
static bool forbid_calls(void)
{
#define ALLOW(name)                                            \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
#ifdef __x86_64__
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
#else
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_AARCH64, 1, 0),
#endif
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(ppoll),
		ALLOW(read),
		ALLOW(write),
		ALLOW(recvfrom),
		ALLOW(sendto),
		ALLOW(accept4),
		ALLOW(shutdown),
		ALLOW(close),
		ALLOW(clock_gettime),
		ALLOW(restart_syscall),
		ALLOW(exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	return syscall(SYS_capset, &head, none) == 0;
}

_Noreturn void front_serve(const struct front *given, pid_t keeper)
{
	sigset_t none_blocked;

	front = given;
	refilled = now_ms();
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none_blocked);
	sigprocmask(SIG_SETMASK, &none_blocked, NULL);
	/* This matters where the keeper is not process 1, as when it is tried by hand. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != keeper)
		_exit(EXIT_FAILED);
	close(given->asks[0]);
	close(given->told[1]);
	if (!drop_capabilities() || !forbid_calls()) {
		say("serve: expected to give up rights, found ", name_error(errno));
		_exit(EXIT_FAILED);
	}
	for (;;)
		turn();
}

int listen_everywhere(uint16_t port)
{
	struct sockaddr_in6 all = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in only_v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, off = 0;

	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
		if (!bind(fd, (struct sockaddr *)&all, sizeof(all)) && !listen(fd, PLACES))
			return fd;
		close(fd);
	}
	/* The kernel has no IPv6. */
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return bind(fd, (struct sockaddr *)&only_v4, sizeof(only_v4)) || listen(fd, PLACES) ? -1
											    : fd;
}
