// SPDX-License-Identifier: Apache-2.0
#include "probe.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t now_ms(void)
{
	return now_ns() / 1000000;
}

uint64_t in_ms(unsigned int ms)
{
	return now_ns() + (uint64_t)ms * 1000000;
}

void sleep_ms(unsigned int ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

void *share_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		say("mmap: ", name_error(errno));
		_exit(EXIT_FAILED);
	}
	return memory;
}

pid_t spawn(void)
{
	pid_t parent = getpid();
	pid_t child = fork();

	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The parent may have ended before the line above. */
	if (getppid() != parent)
		_exit(EXIT_FAILED);
	return 0;
}

int reap(pid_t child, unsigned int ms)
{
	uint64_t deadline = in_ms(ms);
	int status = -1;

	while (wait4(child, &status, WNOHANG, NULL) == 0) {
		if (now_ns() > deadline) {
			kill(child, SIGKILL);
			wait4(child, NULL, 0, NULL);
			return -1;
		}
		sleep_ms(1);
	}
	return status;
}

void limit_time(unsigned int seconds, void (*expired)(int signal))
{
	struct sigaction on_alarm = { .sa_handler = expired };
	struct sigaction by_default = { .sa_handler = SIG_DFL };
	sigset_t all;

	memset(&all, 0xff, sizeof(all));
	sigaction(SIGALRM, &on_alarm, NULL);
	/* With an ignored SIGCHLD the kernel would reap the children itself. */
	sigaction(SIGCHLD, &by_default, NULL);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	alarm(seconds);
}

static const char *limited;

static void give_up(int signal)
{
	(void)signal;
	say(limited, ": no end after 30 s");
	_exit(EXIT_FAILED);
}

void limit_verb(const char *verb)
{
	limited = verb;
	limit_time(30, give_up);
}

int run_command(char **command)
{
	int code;

	if (strchr(*command, '/')) {
		execve(*command, command, environ);
	} else {
		/*
		 * env searches PATH and knows the exit codes; the "--" before the command leaves
		 * room for its name.
		 */
		command[-1] = "env";
		execve("/usr/bin/env", command - 1, environ);
	}
	code = errno;
	say(*command, ": cannot be run: ", name_error(code));
	return code == ENOENT ? 127 : 126;
}
