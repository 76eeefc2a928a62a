// SPDX-License-Identifier: Apache-2.0
/*
 * listeners PORTS: tells who listens on these ports, in every network namespace in which a process
 * lives. It prints a line for each process and socket: listener, port, process, kind, whether a
 * filter of system calls is on it, its unit, its program, its name. The kind is what find_kind()
 * says. The process itself decides its name and its files.
 */
#include "probe.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
	PORTS = 65536,
	SLOTS = 8192,
	MOST_LISTENERS = 4096,
	MOST_SPACES = 1024,
	LISTEN = 0x0a, /* TCP_LISTEN */
	BOUND_MS = 20000,
};

static uint8_t is_wanted[PORTS / 8];

static struct {
	uint64_t inode;
	uint16_t port;
} slots[SLOTS];
static unsigned int listener_count;

static uint64_t spaces[MOST_SPACES];
static unsigned int space_count;

/* Reads a list such as 80,8000-8999. */
static bool read_ports(const char *text)
{
	for (;;) {
		uint32_t ends[2] = { 0, 0 };
		unsigned int end = 0;

		for (; *text && *text != ','; text++) {
			if (*text == '-' && !end++)
				continue;
			if (*text < '0' || *text > '9' || end > 1)
				return false;
			ends[end] = ends[end] * 10 + (uint32_t)(*text - '0');
			if (ends[end] >= PORTS)
				return false;
		}
		if (!end)
			ends[1] = ends[0];
		if (!ends[0] || ends[0] > ends[1])
			return false;
		for (uint32_t port = ends[0]; port <= ends[1]; port++)
			is_wanted[port / 8] |= (uint8_t)(1 << port % 8);
		if (!*text++)
			return true;
	}
}

/* The port of the listener with this inode, or 0. */
static unsigned int find_listener(uint64_t inode)
{
	unsigned int at = inode % SLOTS;

	while (slots[at].inode && slots[at].inode != inode)
		at = (at + 1) % SLOTS;
	return slots[at].port;
}

static void add_listener(uint64_t inode, uint16_t port)
{
	unsigned int at = inode % SLOTS;

	if (!inode || find_listener(inode))
		return;
	if (listener_count == MOST_LISTENERS) {
		say("listeners: expected at most 4096 sockets, found more; the others ",
		    "are not looked at");
		listener_count++;
	}
	if (listener_count > MOST_LISTENERS)
		return;
	while (slots[at].inode)
		at = (at + 1) % SLOTS;
	slots[at].inode = inode;
	slots[at].port = port;
	listener_count++;
}

/* The kernel lists the sockets that listen before all others. */
static void add_listeners(int process, const char *file)
{
	struct reader reader = { .fd = openat(process, file, O_RDONLY | O_CLOEXEC),
				 .left = 1 << 24 };
	char line[256];

	/* A host without IPv6 has no tcp6. */
	if (reader.fd < 0)
		return;
	for (next_line(&reader, line, sizeof(line)); next_line(&reader, line, sizeof(line));) {
		const char *at = skip_to(line, ":");
		uint64_t port;

		/* sl: address:port remote:port state queues timer retransmits user timeout inode */
		at = skip_to(skip(at, ": "), ":");
		at = skip(at, ":");
		port = number_in(&at, 16);
		at = skip_to(skip(at, " "), " ");
		at = skip(at, " ");
		if (number_in(&at, 16) != LISTEN)
			break;
		for (unsigned int i = 0; i < 5; i++)
			at = skip_to(skip(at, " "), " ");
		at = skip(at, " ");
		if (port < PORTS && is_wanted[port / 8] & 1 << port % 8)
			add_listener(number_in(&at, 10), (uint16_t)port);
	}
	close(reader.fd);
}

static bool is_new_space(int process)
{
	static bool is_told;
	struct stat stat;
	int fd = openat(process, "ns/net", O_RDONLY | O_CLOEXEC);
	bool is_known = fd < 0 || fstat(fd, &stat);

	if (fd >= 0)
		close(fd);
	for (unsigned int i = 0; i < space_count && !is_known; i++)
		is_known = spaces[i] == stat.st_ino;
	if (is_known)
		return false;
	if (space_count < MOST_SPACES) {
		spaces[space_count++] = stat.st_ino;
		return true;
	}
	if (!is_told)
		say("listeners: expected at most 1024 network namespaces, found more; the others ",
		    "are not looked at");
	is_told = true;
	return false;
}

static void put_listeners(int proc, const char *pid)
{
	char name[64], program[64], inode[32];
	int process = open_folder(proc, pid);
	struct listing listing = { .fd = process < 0 ? -1 : open_folder(process, "fd") };
	const struct entry *entry;
	const char *kind = NULL;
	size_t length = 0, program_length = 0;

	while (listing.fd >= 0 && (entry = next_entry(&listing))) {
		const char *digits = inode;
		unsigned int port;

		if (!read_inode(listing.fd, entry->name, inode, sizeof(inode)))
			continue;
		port = find_listener(number_in(&digits, 10));
		if (!port)
			continue;
		if (!kind) {
			length = read_process_name(process, name, sizeof(name) - 1);
			name[length] = 0;
			program_length = read_program(process, program, sizeof(program));
			kind = find_kind(proc, process, name, program);
		}
		put_text("listener ");
		put_number(port);
		put_text(" ");
		put_text(pid);
		put_text(" ");
		put_text(kind);
		/*
		 * SECCOMP_MODE_FILTER: some of the process's system calls may be refused already.
		 */
		put_text(read_status(process, "Seccomp") == 2 ? " filtered " : " - ");
		put_unit(process);
		put_text(" ");
		put_name_of(program_length ? program : "-", program_length ? program_length : 1);
		put_text(" ");
		put_name_of(name, length);
		flush_text(STDOUT_FILENO);
	}
	if (listing.fd >= 0)
		close(listing.fd);
	if (process >= 0)
		close(process);
}

static int walk_processes(void)
{
	for (int pass = 0; pass < 2; pass++) {
		struct listing listing = { .fd = open_folder(AT_FDCWD, "/proc") };
		const struct entry *entry;

		while ((entry = next_entry(&listing))) {
			int process;

			if (*entry->name < '1' || *entry->name > '9')
				continue;
			if (pass) {
				put_listeners(listing.fd, entry->name);
				continue;
			}
			process = open_folder(listing.fd, entry->name);
			if (process < 0)
				continue;
			if (is_new_space(process)) {
				add_listeners(process, "net/tcp");
				add_listeners(process, "net/tcp6");
			}
			close(process);
		}
		if (listing.error) {
			say("listeners: /proc: ", name_error(listing.error));
			return EXIT_FAILED;
		}
		close(listing.fd);
	}
	return 0;
}

/*
 * The work is done in a child, because files of a container may lie on a file system that does not
 * answer, and only SIGKILL ends such a wait.
 */
int verb_listeners(char **words)
{
	pid_t child;
	int status;

	if (!words[0] || words[1] || !read_ports(words[0])) {
		say("listeners: expected PORTS");
		return EXIT_USAGE;
	}
	limit_verb("listeners");
	child = spawn();
	if (child == 0)
		_exit(walk_processes());
	status = child < 0 ? -1 : reap(child, BOUND_MS);
	if (status >= 0 && WIFEXITED(status))
		return WEXITSTATUS(status);
	say("listeners: expected to look at all that listen within 20 s, found no end");
	return EXIT_FAILED;
}
