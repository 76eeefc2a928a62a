// SPDX-License-Identifier: Apache-2.0
/* Two equal process trees, one in the bypassed cgroup and one in another. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void wait_change(struct desk *desk, uint32_t turn, uint64_t ns)
{
	struct timespec time = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };

	syscall(SYS_futex, &desk->turn, FUTEX_WAIT, turn, ns ? &time : NULL, NULL, 0);
}

void set_turn(struct desk *desk, uint32_t turn)
{
	atomic_store(&desk->turn, turn);
	syscall(SYS_futex, &desk->turn, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void wait_turn(struct desk *desk, uint32_t turn)
{
	uint32_t now;

	while ((now = atomic_load(&desk->turn)) != turn)
		wait_change(desk, now, 0);
}

bool is_done(int world, int actor, uint64_t wait_ns)
{
	struct desk *desk = &shared->worlds[world].actors[actor];

	if (atomic_load(&desk->turn) == ASKED && wait_ns)
		wait_change(desk, ASKED, wait_ns);
	return atomic_load(&desk->turn) == DONE;
}

void ask(int world, int actor, const struct step *step, uint64_t key, uint64_t offset)
{
	struct desk *desk = &shared->worlds[world].actors[actor];

	desk->step = *step;
	desk->step.actor = actor;
	desk->key = key;
	desk->offset = offset;
	set_turn(desk, ASKED);
}

static bool read_of_thread(const struct desk *desk, const char *name, char *text, size_t size)
{
	char path[80];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", desk->process, desk->thread, name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return false;
	n = read(fd, text, size - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	return n > 0;
}

/* True if it sleeps in the call that it was asked for, and nothing has woken it yet. */
bool is_asleep(int world, int actor)
{
	const struct desk *desk = &shared->worlds[world].actors[actor];
	char text[200];

	return read_of_thread(desk, "syscall", text, sizeof(text)) && strncmp(text, "running", 7) &&
	       atoi(text) != SYS_futex && atomic_load(&desk->turn) == ASKED;
}

bool has_ended(pid_t process)
{
	return kill(process, 0) != 0;
}

static void run_spawner(struct world *world, pid_t parent)
{
	pid_t pid = -1;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (;;) {
		wait_turn(&world->spawner, ASKED);
		if (getppid() != parent)
			_exit(0);
		if (world->spawner.step.call == CALL_FORK) {
			pid_t own = getpid();

			for (int i = 0; i < ACTORS; i++) {
				atomic_store(&world->actors[i].turn, IDLE);
				world->actors[i].process = world->actors[i].thread = 0;
			}
			pid = fork();
			if (pid == 0) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				if (getppid() != own)
					_exit(0);
				play(world, 0);
			}
		} else {
			kill(pid, SIGKILL);
			/*
			 * The second process dies with the first, and then is a child of this one.
			 */
			while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
				;
		}
		set_turn(&world->spawner, DONE);
	}
}

void start_worlds(bool is_control)
{
	const char *other = getenv("OTHER_CGROUP");
	pid_t parent = getpid();

	if (!other)
		die("OTHER_CGROUP: expected a cgroup that nothing is attached to");
	for (int world = 0; world < WORLDS; world++) {
		if (fork())
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		if ((world == PLAIN || is_control) && !enter_cgroup(other))
			die("%s: %s", other, strerror(errno));
		run_spawner(&shared->worlds[world], parent);
	}
}

static void tell_spawners(enum call call)
{
	for (int world = 0; world < WORLDS; world++) {
		shared->worlds[world].spawner.step.call = call;
		set_turn(&shared->worlds[world].spawner, ASKED);
	}
	for (int world = 0; world < WORLDS; world++)
		wait_turn(&shared->worlds[world].spawner, DONE);
}

void begin_sequence(const struct plan *plan)
{
	for (int world = 0; world < WORLDS; world++)
		memcpy(&shared->worlds[world].plan, plan, offsetof(struct plan, steps));
	tell_spawners(CALL_FORK);
	await_process(0);
}

void await_process(int process)
{
	for (int world = 0; world < WORLDS; world++) {
		const struct world *its = &shared->worlds[world];

		while (!its->actors[process].thread ||
		       (its->plan.has_threads && !its->actors[process + PROCESSES].thread))
			sleep_ns(20000);
	}
}

void end_sequence(void)
{
	tell_spawners(CALL_EXIT);
}
