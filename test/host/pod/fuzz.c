// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz SEED CONNECTIONS: feeds random requests and random reports to the HTTP server of a pod
 * (host/helper/pod/http.c), built with sanitizers and without its limit on new connections. Prints
 * how many complete answers came. At a fault it says what was wrong and exits with 1.
 */
#include "../../../host/helper/pod/http.c"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

enum { LARGEST_QUESTION = 3000 };

static struct front ends;
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static socklen_t address_length = sizeof(address);
static uint64_t state;

uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* xorshift64* */
static unsigned int choose(unsigned int count)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (unsigned int)((state * 0x2545f4914f6cdd1dULL) >> 33) % count;
}

static void give_up(const char *what)
{
	printf("%s\n", what);
	exit(EXIT_FAILED);
}

/* Answers each request for a report, also with invalid ones: empty or too long. */
static void *keep(void *unused)
{
	static const uint32_t sizes[] = {
		0, 1, 1000, LARGEST_REPORT - 1, LARGEST_REPORT, LARGEST_REPORT + 1, ~0u
	};
	char byte;

	for (unsigned int i = 0; read(ends.asks[0], &byte, 1) == 1; i++) {
		ends.shared->size = sizes[i % (sizeof(sizes) / sizeof(sizes[0]))];
		if (write(ends.told[1], "", 1) != 1)
			break;
	}
	return unused;
}

static size_t make_question(char *question)
{
	static const char *const parts[] = {
		"GET ",	     "GET /metrics", "GET /metrics HTTP/1.1\r\n\r\n",
		" HTTP/1.1", "\r\n",	     "\r\n\r\n",
		"POST ",     "?name=",	     "/",
		"Accept: ",  "GET /metrics", "GET  /metrics",
	};
	unsigned int count = choose(12);
	size_t size = 0;

	for (unsigned int i = 0; i < count; i++) {
		unsigned int part = choose(sizeof(parts) / sizeof(parts[0]) + 2);
		size_t length;

		if (part < sizeof(parts) / sizeof(parts[0])) {
			length = strlen(parts[part]);
			if (size + length > LARGEST_QUESTION)
				break;
			memcpy(question + size, parts[part], length);
		} else {
			length = choose(part % 2 ? 40 : 1200);
			if (size + length > LARGEST_QUESTION)
				break;
			for (size_t at = 0; at < length; at++)
				question[size + at] = (char)choose(256);
		}
		size += length;
	}
	return size;
}

static int connect_to_server(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct timeval patience = { .tv_sec = 30 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, address_length))
		give_up("expected the server to listen");
	return fd;
}

/* Returns true if an answer came, and fails if a client could not read it. */
static bool take_answer(int fd)
{
	static char text[2 * (LARGEST_HEAD + LARGEST_REPORT)];
	size_t size = 0, length = 0;
	const char *body, *field;
	ssize_t got;

	while (size < sizeof(text) - 1 &&
	       (got = recv(fd, text + size, sizeof(text) - 1 - size, 0)) > 0)
		size += (size_t)got;
	text[size] = 0;
	if (!size)
		return false;
	body = strstr(text, "\r\n\r\n");
	field = strstr(text, "Content-Length: ");
	if (strncmp(text, "HTTP/1.1 ", 9) || !body || !field || field > body)
		give_up("expected an HTTP answer");
	length = strtoul(field + 16, NULL, 10);
	if (length > LARGEST_REPORT || size != (size_t)(body + 4 - text) + length)
		give_up("expected an answer as long as its Content-Length");
	return true;
}

static bool ask(void)
{
	static char question[LARGEST_QUESTION];
	size_t size = make_question(question), sent = 0;
	bool is_answered = false;
	int fd = connect_to_server();

	while (sent < size) {
		size_t piece = 1 + choose(choose(4) ? LARGEST_QUESTION : 300);
		ssize_t went = send(fd, question + sent, piece < size - sent ? piece : size - sent,
				    MSG_NOSIGNAL);

		if (went < 0)
			break;
		sent += (size_t)went;
	}
	if (choose(4)) {
		shutdown(fd, SHUT_WR);
		is_answered = take_answer(fd);
	}
	close(fd);
	return is_answered;
}

static pid_t start_server(void)
{
	pid_t child = fork();

	if (child)
		return child;
	front = &ends;
	for (;;) {
		tokens = BURST;
		turn();
	}
}

int main(int count, char **words)
{
	unsigned int connections, whole = 0;
	pthread_t keeper;
	pid_t server;
	int fd;

	if (count != 3)
		give_up("expected SEED CONNECTIONS");
	state = strtoull(words[1], NULL, 10) * 2 + 1;
	connections = (unsigned int)strtoul(words[2], NULL, 10);
	ends.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	/* The kernel chooses an abstract name, which no file has. */
	if (bind(ends.listener, (struct sockaddr *)&address, sizeof(sa_family_t)) ||
	    listen(ends.listener, PLACES) ||
	    getsockname(ends.listener, (struct sockaddr *)&address, &address_length))
		give_up("expected to listen");
	ends.shared = mmap(NULL, sizeof(*ends.shared), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ends.shared == MAP_FAILED || pipe(ends.asks) || pipe(ends.told))
		give_up("expected two pipes and memory");
	memset(ends.shared->text, 'x', sizeof(ends.shared->text));
	server = start_server();
	pthread_create(&keeper, NULL, keep, NULL);
	for (unsigned int i = 0; i < connections; i++)
		whole += ask();
	fd = connect_to_server();
	if (send(fd, "GET /metrics HTTP/1.1\r\n\r\n", 25, MSG_NOSIGNAL) != 25 || !take_answer(fd))
		give_up("expected an answer to a valid request");
	if (waitpid(server, NULL, WNOHANG))
		give_up("expected the server to keep running");
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	printf("%u\n", whole);
	return 0;
}
