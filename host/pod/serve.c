// SPDX-License-Identifier: Apache-2.0
/*
 * HTTP for the kubelet and for scrapers: /healthz, /readyz and /metrics. One process that sleeps while nobody asks; a client that is
 * slow costs its place for two seconds and keeps nobody else waiting.
 */
#include "pod.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	PLACES = 32,
	/* Reports take a second of a processor each. */
	MOST_REPORTS = 2,
	LARGEST_REPORT = 512 * 1024,
	ASK_MS = 2000,
	REPORT_MS = 20000,
};

struct client {
	/* 0 for a free place: nobody gets the number of stdin. */
	int fd;
	/* Where a report comes from, and who makes it. */
	int report;
	pid_t reporter;
	int status;
	char *text;
	size_t length;
	size_t sent;
	uint64_t deadline;
	bool is_answered;
	size_t asked;
	char question[1024];
};

static struct client clients[PLACES];
static const struct service *service;
static volatile sig_atomic_t is_told_to_stop;

static const char plain[] = "text/plain; charset=utf-8";
static const char open_metrics[] = "application/openmetrics-text; version=1.0.0; charset=utf-8";

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void leave(struct client *client)
{
	if (client->reporter)
		kill(client->reporter, SIGKILL);
	if (client->report)
		close(client->report);
	close(client->fd);
	free(client->text);
	memset(client, 0, sizeof(*client));
}

static void answer(struct client *client, const char *status, const char *type, const char *body,
		   size_t size)
{
	char head[256];
	int length = snprintf(head, sizeof(head),
			      "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: "
			      "%zu\r\nConnection: close\r\n\r\n",
			      status, type, size);
	char *text = malloc((size_t)length + size);

	if (!text) {
		leave(client);
		return;
	}
	memcpy(text, head, (size_t)length);
	memcpy(text + length, body, size);
	free(client->text);
	client->text = text;
	client->length = (size_t)length + size;
	client->is_answered = true;
	client->deadline = now_ms() + ASK_MS;
}

static void answer_line(struct client *client, const char *status, const char *line)
{
	char body[4096];
	int length = snprintf(body, sizeof(body), "%s\n", line);

	answer(client, status, plain, body,
	       (size_t)length < sizeof(body) ? (size_t)length : sizeof(body) - 1);
}

static void tell_health(struct client *client)
{
	char why[4096];

	if (service->unsupported) {
		snprintf(why, sizeof(why), "not supported: %s", service->unsupported);
		answer_line(client, "200 OK", why);
	} else if (is_served(&service->place, why, sizeof(why))) {
		answer_line(client, "200 OK", why);
	} else {
		answer_line(client, "503 Service Unavailable", why);
	}
}

static void begin_report(struct client *client)
{
	static const char none[] =
		"# TYPE socket_bypass_supported gauge\n"
		"# HELP socket_bypass_supported 0 on a node whose kernel is none of ours.\n"
		"socket_bypass_supported 0\n# EOF\n";
	unsigned int running = 0;
	int ends[2];

	if (service->unsupported) {
		answer(client, "200 OK", open_metrics, none, sizeof(none) - 1);
		return;
	}
	for (unsigned int i = 0; i < PLACES; i++)
		running += clients[i].report > 0;
	if (running >= MOST_REPORTS || pipe2(ends, O_CLOEXEC)) {
		answer_line(client, "503 Service Unavailable",
			    "other reports are under way; ask again");
		return;
	}
	client->reporter = fork();
	if (client->reporter == 0) {
		sigset_t none_blocked;

		sigemptyset(&none_blocked);
		sigprocmask(SIG_SETMASK, &none_blocked, NULL);
		dup2(ends[1], STDOUT_FILENO);
		execlp("sh", "sh", service->script, "metrics", (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	client->report = ends[0];
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	client->deadline = now_ms() + REPORT_MS;
	if (client->reporter < 0) {
		client->reporter = 0;
		client->status = 1;
	}
}

/* Its text is complete when the pipe has ended and its end is known. */
static void go_on_with_report(struct client *client)
{
	ssize_t got = 1;

	while (client->length < LARGEST_REPORT) {
		char *text = realloc(client->text, client->length + 4096);

		if (!text)
			break;
		client->text = text;
		got = read(client->report, text + client->length, 4096);
		if (got <= 0)
			break;
		client->length += (size_t)got;
	}
	if ((got < 0 && (errno == EAGAIN || errno == EINTR)) || (got == 0 && client->reporter))
		return;
	if (got == 0 && client->status == 0) {
		char *body = client->text;
		size_t size = client->length;

		client->text = NULL;
		answer(client, "200 OK", open_metrics, body, size);
		free(body);
	} else {
		answer_line(client, "503 Service Unavailable",
			    "the report failed; the log of this pod says why");
	}
	close(client->report);
	client->report = 0;
}

static bool is_path(const struct client *client, const char *path)
{
	size_t length = strlen(path);
	const char *at = client->question + 4;

	return strncmp(at, path, length) == 0 && (at[length] == ' ' || at[length] == '?');
}

static void read_question(struct client *client)
{
	ssize_t got = recv(client->fd, client->question + client->asked,
			   sizeof(client->question) - 1 - client->asked, 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		leave(client);
		return;
	}
	client->asked += (size_t)got;
	/* What stands behind the first line is nothing to us, but a client that is cut off in its sentence takes it for an error. */
	if (!strstr(client->question, "\r\n\r\n") && client->asked < sizeof(client->question) - 1)
		return;
	if (strncmp(client->question, "GET ", 4))
		answer_line(client, "405 Method Not Allowed", "expected GET");
	else if (is_path(client, "/metrics"))
		begin_report(client);
	else if (is_path(client, "/healthz") || is_path(client, "/readyz"))
		tell_health(client);
	else
		answer_line(client, "404 Not Found", "expected /healthz, /readyz or /metrics");
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
	/* A close with bytes that nobody read would be a reset, which may overtake the answer. */
	shutdown(client->fd, SHUT_WR);
	while (recv(client->fd, client->question, sizeof(client->question), 0) > 0)
		continue;
	leave(client);
}

static void welcome(int listener)
{
	struct client *place = NULL;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	for (unsigned int i = 0; i < PLACES; i++)
		if (!clients[i].fd || !place ||
		    (place->fd && clients[i].deadline < place->deadline))
			place = &clients[i];
	/* Who crowds the others out loses the place that is next to expire. */
	if (place->fd)
		leave(place);
	place->fd = fd;
	place->deadline = now_ms() + ASK_MS;
}

/* As process 1 also of children that others left. */
static void bury_children(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (unsigned int i = 0; i < PLACES; i++)
			if (clients[i].reporter == pid) {
				clients[i].reporter = 0;
				clients[i].status = status;
			}
}

static int open_listener(uint16_t port)
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
	/* A kernel without IPv6. */
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return bind(fd, (struct sockaddr *)&only_v4, sizeof(only_v4)) || listen(fd, PLACES) ? -1
											    : fd;
}

static void stop(int signal)
{
	(void)signal;
	is_told_to_stop = 1;
}

static void wake(int signal)
{
	(void)signal;
}

static void turn(int listener, const sigset_t *while_waiting)
{
	struct pollfd polled[PLACES + 1] = { { .fd = listener, .events = POLLIN } };
	struct timespec pause = { .tv_nsec = 100000000 };
	bool is_busy = false;
	uint64_t now;

	for (unsigned int i = 0; i < PLACES; i++) {
		const struct client *client = &clients[i];
		bool is_reporting = client->report > 0;

		polled[i + 1].fd = !client->fd ? -1 : is_reporting ? client->report : client->fd;
		polled[i + 1].events = client->is_answered && !is_reporting ? POLLOUT : POLLIN;
		is_busy = is_busy || client->fd;
	}
	if (ppoll(polled, PLACES + 1, is_busy ? &pause : NULL, while_waiting) < 0 && errno != EINTR)
		return;
	bury_children();
	now = now_ms();
	for (unsigned int i = 0; i < PLACES; i++) {
		struct client *client = &clients[i];

		if (!client->fd)
			continue;
		if (now > client->deadline)
			leave(client);
		else if (client->report)
			go_on_with_report(client);
		else if (client->is_answered)
			send_answer(client);
		else
			read_question(client);
	}
	welcome(listener);
}

int serve(const struct service *given)
{
	sigset_t blocked, before;
	int listener = open_listener(given->port);

	service = given;
	if (listener < 0) {
		fprintf(stderr, "pod: expected to listen on port %u, found %s\n", given->port,
			strerror(errno));
		return EXIT_FAILED;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, wake);
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	/* They come only while it waits, so that none is missed in between. */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGCHLD);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	sigdelset(&before, SIGTERM);
	sigdelset(&before, SIGINT);
	sigdelset(&before, SIGCHLD);
	while (!is_told_to_stop)
		turn(listener, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	signal(SIGTERM, SIG_IGN);
	close(listener);
	/* Where preStop has run there is nothing left to do. */
	execlp("sh", "sh", service->script, "stop", (char *)NULL);
	fprintf(stderr, "pod: sh: %s\n", strerror(errno));
	return EXIT_FAILED;
}
