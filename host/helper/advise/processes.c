// SPDX-License-Identifier: Apache-2.0
/* Finds the processes that have the sockets open. */
#include "advise.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

struct process *processes;
uint32_t process_count;
static uint32_t process_room;

/* Of the processes, as far as there is room. */
enum { MOST_KNOWN = 32768 };
static struct index by_pid;
/* Of those that listen, and of the others. */
static uint32_t asked[2];

const char *name_process(int process)
{
	return process == NOBODY ? "?" : processes[process].name;
}

/* A process decides its own name, so characters that are not printable are replaced. */
static void make_printable(char *name, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (name[i] < ' ' || name[i] > '~')
			name[i] = '?';
	name[length] = 0;
}

/* A process that has become another program meanwhile is another one here. */
static int find_process(uint64_t pid, const char *name)
{
	uint64_t at = hash_bytes(0, &pid, sizeof(pid));
	uint32_t place;

	while (next_place(&by_pid, &at, &place))
		if (processes[place].pid == pid && same_text(processes[place].name, name))
			return (int)place;
	return NOBODY;
}

static bool is_alive(int process)
{
	return !faccessat(process, "ns/net", F_OK, 0) || errno != ENOENT;
}

int open_process(int proc, const char *pid)
{
	int process = open_folder(proc, pid);
	struct listing threads = { .fd = -1 };
	const struct entry *entry;

	if (process < 0 || is_alive(process))
		return process;
	threads.fd = open_folder(process, "task");
	while (threads.fd >= 0 && (entry = next_entry(&threads))) {
		int thread = open_folder(threads.fd, entry->name);

		if (thread >= 0 && is_alive(thread)) {
			close(process);
			process = thread;
			break;
		}
		if (thread >= 0)
			close(thread);
	}
	if (threads.fd >= 0)
		close(threads.fd);
	return process;
}

/* The first thread has the name of the process, even if it has ended. */
static size_t read_name(int proc, const char *pid, char *name, size_t room)
{
	int process = open_folder(proc, pid);
	size_t length = process < 0 ? 0 : read_process_name(process, name, room);

	if (process >= 0)
		close(process);
	return length;
}

static int add_process(int proc, int process, const char *digits)
{
	char name[64], program[64];
	size_t length = read_name(proc, digits, name, sizeof(name) - 1);
	uint64_t pid = number_in(&digits, 10);
	struct process *added;
	int known;

	if (length >= sizeof(added->name))
		length = sizeof(added->name) - 1;
	make_printable(name, length);
	if (!length)
		memcpy(name, "?", 2);
	known = find_process(pid, name);
	if (known != NOBODY)
		return known;
	read_program(process, program, sizeof(program));
	processes = grow(processes, process_count, &process_room, sizeof(*processes));
	added = &processes[process_count];
	memset(added, 0, sizeof(*added));
	added->pid = pid;
	memcpy(added->name, name, length + !length);
	added->kind = find_kind(proc, process, name, program);
	if (process_count < MOST_KNOWN)
		put_place(&by_pid, hash_bytes(0, &pid, sizeof(pid)), process_count);
	return (int)process_count++;
}

struct walk {
	struct tcp_ends *ends;
	struct index *by_inode;
	int proc;
	bool is_last;
};

/* The socket's own descriptor is borrowed for the questions, and closed behind them. */
static void ask(struct tcp_end *end, int process, const char *fd, int *pidfd)
{
	uint32_t *count = &asked[end->state != LISTENS];

	if (*count == MOST_ASKED)
		return;
	if (*pidfd == -1) {
		*pidfd = (int)syscall(SYS_pidfd_open, (pid_t)processes[process].pid, 0);
		if (*pidfd < 0)
			*pidfd = -2;
	}
	if (*pidfd < 0 || !ask_options(*pidfd, (unsigned int)number_in(&fd, 10), end))
		return;
	end->traits |= IS_ASKED;
	++*count;
}

/* A manager of services opens sockets for others, which accept. */
static bool is_manager(int process)
{
	return processes[process].pid == 1 || same_text(processes[process].name, "systemd");
}

static void take_process(struct walk *walk, const char *pid)
{
	int process = open_process(walk->proc, pid), met = NOBODY, pidfd = -1;
	struct listing listing = { .fd = process < 0 ? -1 : open_folder(process, "fd") };
	const struct entry *entry;
	char text[32];

	while (listing.fd >= 0 && (entry = next_entry(&listing))) {
		const char *digits = text;
		uint64_t inode, at;
		uint32_t place;

		if (!read_inode(listing.fd, entry->name, text, sizeof(text)))
			continue;
		inode = number_in(&digits, 10);
		for (at = hash_bytes(0, &inode, sizeof(inode));
		     next_place(walk->by_inode, &at, &place);) {
			struct tcp_end *end = &walk->ends->all[place];

			if (end->inode != inode ||
			    (end->process != NOBODY && !is_manager(end->process)))
				continue;
			if (met == NOBODY)
				met = add_process(walk->proc, process, pid);
			/*
			 * Where a manager could not be asked, the next holder is. A reader in the
			 * bypass would take us for a second one.
			 */
			if (walk->is_last && !(end->traits & (IS_ENROLLED | IS_ASKED)))
				ask(end, met, entry->name, &pidfd);
			end->process = met;
		}
	}
	if (pidfd >= 0)
		close(pidfd);
	if (listing.fd >= 0)
		close(listing.fd);
	if (process >= 0)
		close(process);
}

bool find_processes(struct tcp_ends *ends, bool is_last)
{
	struct listing listing = { .fd = open_folder(AT_FDCWD, "/proc") };
	struct index by_inode;
	struct walk walk = {
		.ends = ends, .by_inode = &by_inode, .proc = listing.fd, .is_last = is_last
	};
	const struct entry *entry;

	if (!by_pid.slots)
		make_index(&by_pid, MOST_KNOWN);
	make_index(&by_inode, ends->count);
	for (uint32_t i = 0; i < ends->count; i++) {
		uint64_t inode = ends->all[i].inode;

		if (inode)
			put_place(&by_inode, hash_bytes(0, &inode, sizeof(inode)), i);
	}
	while ((entry = next_entry(&listing)))
		if (*entry->name >= '1' && *entry->name <= '9')
			take_process(&walk, entry->name);
	for (uint32_t i = 0; is_last && i < ends->count; i++)
		unseen.not_asked += ends->all[i].process != NOBODY &&
				    !(ends->all[i].traits & (IS_ENROLLED | IS_ASKED));
	drop_index(&by_inode);
	close(listing.fd);
	if (!listing.error)
		return true;
	say("advise: /proc: ", name_error(listing.error));
	return false;
}
