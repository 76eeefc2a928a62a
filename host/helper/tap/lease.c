// SPDX-License-Identifier: Apache-2.0
/*
 * Moves on the time until which messages are shown, and hears of signals that end the tap. That
 * goes on while the tap waits for whoever reads its output.
 */
#include "tap.h"

#include <signal.h>
#include <sys/time.h>

enum { LEASE_SECONDS = 3, SECOND = 1000000000 };

static const struct tapped *shown;
static volatile uint64_t until, leased;
static volatile sig_atomic_t is_stopped, has_lapsed;

static void stop(int signal)
{
	(void)signal;
	is_stopped = 1;
}

static void renew(int signal)
{
	uint64_t now = now_ns(), next = now + (uint64_t)LEASE_SECONDS * SECOND;
	bool is_over = now >= until || is_stopped;
	int code = errno;

	(void)signal;
	if (leased && now > leased && !is_over)
		has_lapsed = 1;
	leased = next < until ? next : until;
	set_lease(shown, is_over ? 0 : leased);
	errno = code;
}

static void handle(int signal, void (*handler)(int signal), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	sigaction(signal, &action, NULL);
}

static void repeat(time_t seconds)
{
	struct itimerval every = { { seconds, 0 }, { seconds, 0 } };

	setitimer(ITIMER_REAL, &every, NULL);
}

void begin_lease(const struct tapped *tapped, uint64_t until_ns)
{
	sigset_t none;

	shown = tapped;
	until = until_ns;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* A second one ends this process at once, even if nobody reads what it writes. */
	handle(SIGINT, stop, SA_RESETHAND);
	handle(SIGTERM, stop, SA_RESETHAND);
	handle(SIGHUP, stop, SA_RESETHAND);
	handle(SIGALRM, renew, SA_RESTART);
	renew(SIGALRM);
	repeat(1);
}

void end_lease(void)
{
	repeat(0);
}

bool is_tap_ended(void)
{
	return is_stopped;
}

bool is_lease_lapsed(void)
{
	return has_lapsed;
}
