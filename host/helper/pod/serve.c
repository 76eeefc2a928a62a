// SPDX-License-Identifier: Apache-2.0
// Long: the keeper, and each report from its start to its end.
/*
 * serve PORT SCRIPT: serves a pod's metrics until SIGTERM, and then runs SCRIPT's stop. unsupported
 * PORT SCRIPT: does the same on a node whose kernel is none of ours.
 *
 * This is process 1, the keeper of what a pod serves. Whoever can reach the port asks
 * front_serve(), which runs in a process without rights and asks for a report here by writing a
 * byte to a pipe. However many ask, one report is made at a time, and none before the last one is
 * old.
 */
#include "pod.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

enum {
	/* A scraper asks every 15 s or less often. */
	FRESH_MS = 10000,
	/* Reports take at most one twentieth of a processor, however slow the node is. */
	REST = 19,
	REPORT_MS = 20000,
	RESTART_MS = 1000,
};

/* The shell script that has the other verbs. */
static const char *script;
static bool is_unsupported;
static volatile sig_atomic_t is_told_to_stop;
static struct front front;
static pid_t front_pid;
static uint64_t front_again;

/* The report in progress: its process, and the pipe it comes from. */
static pid_t reporter;
static int report = -1;
static size_t report_size;
static char report_text[LARGEST_REPORT];
static uint64_t began, not_before;
static bool is_asked;

static void tell_front(void)
{
	is_asked = false;
	/* If the pipe is full, the front has enough bytes to read. */
	if (write(front.told[1], "", 1) < 0)
		return;
}

static void publish(const char *text, size_t size)
{
	memcpy(front.shared->text, text, size);
	front.shared->size = (uint32_t)size;
}

static void end_report(bool is_good)
{
	uint64_t took = now_ms() - began;

	/* The first process of the report may have ended before those that it started. */
	if (reporter > 0)
		kill(-reporter, SIGKILL);
	publish(report_text, is_good ? report_size : 0);
	close(report);
	report = -1;
	reporter = 0;
	not_before = now_ms() + (took * REST > FRESH_MS ? took * REST : FRESH_MS);
	tell_front();
}

static void begin_report(void)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return;
	began = now_ms();
	report_size = 0;
	reporter = fork();
	if (reporter == 0) {
		sigset_t none_blocked;

		sigemptyset(&none_blocked);
		sigprocmask(SIG_SETMASK, &none_blocked, NULL);
		/*
		 * A process group of its own, so that a signal ends it with everything that it
		 * starts.
		 */
		setpgid(0, 0);
		dup2(ends[1], STDOUT_FILENO);
		execlp("sh", "sh", script, "report", (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	report = ends[0];
	if (reporter < 0) {
		end_report(false);
		return;
	}
	setpgid(reporter, reporter);
	fcntl(report, F_SETFL, O_NONBLOCK);
}

static void go_on_with_report(void)
{
	ssize_t got = 1;
	int status;

	while (report_size < LARGEST_REPORT && got > 0) {
		got = read(report, report_text + report_size, LARGEST_REPORT - report_size);
		if (got > 0)
			report_size += (size_t)got;
	}
	/* The report is complete if the pipe has ended and its process succeeded. */
	if (got == 0 && waitpid(reporter, &status, WNOHANG) == reporter)
		end_report(status == 0);
	else if (got > 0 || now_ms() - began > REPORT_MS)
		end_report(false);
}

static void start_front(void)
{
	pid_t keeper = getpid();

	front_again = now_ms() + RESTART_MS;
	front_pid = fork();
	if (front_pid == 0)
		front_serve(&front, keeper);
}

/* Process 1 also has to reap children that other processes left. */
static void bury_children(void)
{
	int status;
	siginfo_t info;

	for (;;) {
		info.si_pid = 0;
		/* go_on_with_report() waits for the reporter, after it has read its text. */
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) || !info.si_pid)
			return;
		if (info.si_pid == reporter)
			return;
		waitpid(info.si_pid, &status, 0);
		if (info.si_pid != front_pid)
			continue;
		put_text("probe: serve: expected the server of metrics to run, found it ended by ");
		put_text(WIFSIGNALED(status) ? "signal " : "exit ");
		put_number(
			(uint64_t)(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)));
		flush_text(STDERR_FILENO);
		front_pid = 0;
	}
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

static void turn(const sigset_t *while_waiting)
{
	struct pollfd polled[2] = { { .fd = front.asks[0], .events = POLLIN },
				    { .fd = report, .events = POLLIN } };
	struct timespec pause = { .tv_sec = 1 };
	char bytes[64];

	if (ppoll(polled, 2, report >= 0 || !front_pid ? &pause : NULL, while_waiting) < 0 &&
	    errno != EINTR)
		return;
	bury_children();
	if (!front_pid && now_ms() >= front_again)
		start_front();
	if (read(front.asks[0], bytes, sizeof(bytes)) > 0)
		is_asked = true;
	if (report >= 0) {
		go_on_with_report();
	} else if (is_asked) {
		if (is_unsupported || now_ms() < not_before)
			tell_front();
		else
			begin_report();
	}
}

static int serve(const char *port, uint16_t number)
{
	static const char none[] =
		"# TYPE socket_bypass_supported gauge\n"
		"# HELP socket_bypass_supported 0 on a node whose kernel is none of ours.\n"
		"socket_bypass_supported 0\n# EOF\n";
	sigset_t blocked, before;

	front.listener = listen_everywhere(number);
	if (front.listener < 0) {
		say("serve: expected to listen on port ", port, ", found ", name_error(errno));
		return EXIT_FAILED;
	}
	front.shared = mmap(NULL, sizeof(*front.shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (front.shared == MAP_FAILED || pipe2(front.asks, O_CLOEXEC | O_NONBLOCK) ||
	    pipe2(front.told, O_CLOEXEC | O_NONBLOCK)) {
		say("serve: expected two pipes and memory, found ", name_error(errno));
		return EXIT_FAILED;
	}
	if (is_unsupported)
		publish(none, sizeof(none) - 1);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, wake);
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	/* The signals arrive only while ppoll() waits, so that none is missed in between. */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGCHLD);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	sigdelset(&before, SIGTERM);
	sigdelset(&before, SIGINT);
	sigdelset(&before, SIGCHLD);
	start_front();
	while (!is_told_to_stop)
		turn(&before);
	if (front_pid > 0)
		kill(front_pid, SIGKILL);
	if (reporter > 0)
		kill(-reporter, SIGKILL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	signal(SIGTERM, SIG_IGN);
	/* If preStop has run, there is nothing left to do. */
	execlp("sh", "sh", script, "stop", (char *)NULL);
	say("serve: sh: ", name_error(errno));
	return EXIT_FAILED;
}

int verb_serve(char **words)
{
	uint64_t number;

	if (!read_number(words[0], 65535, &number) || !number || !words[1] || words[2]) {
		say(is_unsupported ? "unsupported" : "serve", ": expected PORT SCRIPT");
		return EXIT_USAGE;
	}
	script = words[1];
	return serve(words[0], (uint16_t)number);
}

int verb_unsupported(char **words)
{
	is_unsupported = true;
	return verb_serve(words);
}
