// SPDX-License-Identifier: Apache-2.0
// Long: it recognizes each kind of program, from its file to its configuration.
/*
 * listeners PORTS: tells who listens on these ports, in every network namespace in which a process
 * lives. It prints a line for each process and socket: listener, port, process, kind, whether a
 * filter of system calls is on it, its unit, its program, its name. The kind is go; splice, plain
 * or unread for HAProxy, by its configuration; or else a dash. The process itself decides its name
 * and its files.
 */
#include "probe.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum {
	PORTS = 65536,
	SLOTS = 8192,
	MOST_LISTENERS = 4096,
	MOST_SPACES = 1024,
	MOST_SECTIONS = 512,
	MOST_FILES = 64,
	MOST_CONFIGURATION = 1 << 20,
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

/* --- reads files of others, to their end or to a bound --- */

struct reader {
	int fd;
	size_t at;
	size_t end;
	size_t left;
	char bytes[4096];
};

/* Returns -1 at the end. */
static int next_byte(struct reader *reader)
{
	if (reader->at == reader->end) {
		size_t room =
			reader->left < sizeof(reader->bytes) ? reader->left : sizeof(reader->bytes);
		ssize_t n = room ? read(reader->fd, reader->bytes, room) : 0;

		if (n <= 0)
			return -1;
		reader->at = 0;
		reader->end = (size_t)n;
		reader->left -= (size_t)n;
	}
	return (unsigned char)reader->bytes[reader->at++];
}

/* Reads the next line, cut if it is longer than the buffer. */
static bool next_line(struct reader *reader, char *line, size_t room)
{
	size_t length = 0;
	int c = next_byte(reader);

	if (c < 0)
		return false;
	for (; c >= 0 && c != '\n'; c = next_byte(reader))
		if (length + 1 < room)
			line[length++] = (char)c;
	line[length] = 0;
	return true;
}

static size_t read_whole(int folder, const char *name, char *bytes, size_t room)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t n = fd < 0 ? 0 : 1;

	while (n > 0 && length < room) {
		n = read(fd, bytes + length, room - length);
		length += n > 0 ? (size_t)n : 0;
	}
	if (fd >= 0)
		close(fd);
	return length;
}

static bool starts_with(const char *text, const char *begin)
{
	return strncmp(text, begin, strlen(begin)) == 0;
}

static const char *skip(const char *text, const char *bytes)
{
	while (*text && strchr(bytes, *text))
		text++;
	return text;
}

static const char *skip_to(const char *text, const char *bytes)
{
	while (*text && !strchr(bytes, *text))
		text++;
	return text;
}

/* --- sockets that listen --- */

static uint64_t number_in(const char **text, unsigned int base)
{
	static const char digits[] = "0123456789ABCDEF";
	uint64_t value = 0;

	for (; **text; ++*text) {
		const char *digit = strchr(digits, **text);

		if (!digit || digit - digits >= (ptrdiff_t)base)
			break;
		value = value * base + (uint64_t)(digit - digits);
	}
	return value;
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

/* --- what a program is --- */

/* Every program that Go builds has this section, even when it is stripped. */
static bool is_go(int process)
{
	static const char section[] = ".go.buildinfo";
	int fd = openat(process, "exe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char name[sizeof(section)];
	Elf64_Ehdr header;
	Elf64_Shdr names, one;
	bool is_found = false;

	if (fd < 0)
		return false;
	if (pread(fd, &header, sizeof(header), 0) == sizeof(header) &&
	    memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
	    header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_shentsize == sizeof(one) &&
	    pread(fd, &names, sizeof(names),
		  (off_t)(header.e_shoff + header.e_shstrndx * sizeof(one))) == sizeof(names))
		for (unsigned int i = 0; i < header.e_shnum && i < MOST_SECTIONS && !is_found; i++)
			is_found =
				pread(fd, &one, sizeof(one),
				      (off_t)(header.e_shoff + i * sizeof(one))) == sizeof(one) &&
				pread(fd, name, sizeof(name),
				      (off_t)(names.sh_offset + one.sh_name)) == sizeof(name) &&
				memcmp(name, section, sizeof(section)) == 0;
	close(fd);
	return is_found;
}

struct configuration {
	unsigned int files;
	bool is_unread;
	bool splices;
	bool is_off;
};

static void read_configuration(int fd, struct configuration *found)
{
	struct reader reader = { .fd = fd, .left = MOST_CONFIGURATION };
	char line[256];

	while (next_line(&reader, line, sizeof(line))) {
		const char *word = skip(line, " \t"), *end = skip_to(word, " \t\r#");

		if (starts_with(word, "nosplice") && end - word == 8)
			found->is_off = true;
		if (starts_with(word, "option") && end - word == 6)
			found->splices |= starts_with(skip(end, " \t"), "splice-");
	}
	found->is_unread |= !reader.left;
}

/*
 * Opens a path in the process's own file system: a link inside a container must not lead to a file
 * of the host.
 */
static int open_inside(int root, const char *path, int flags)
{
	struct open_how how;

	memset(&how, 0, sizeof(how));
	how.flags = (uint64_t)(flags | O_CLOEXEC);
	how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

static int open_regular(int root, const char *path, struct stat *stat)
{
	int fd = open_inside(root, path, O_PATH);
	bool is_known = fd >= 0 && !fstat(fd, stat);

	if (fd >= 0)
		close(fd);
	/* The path is opened only after this check, because opening a device may have an effect. */
	return is_known && (S_ISREG(stat->st_mode) || S_ISDIR(stat->st_mode))
		       ? open_inside(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY)
		       : -1;
}

/* Like HAProxy, this reads the files of the folder whose names end in .cfg, and none below. */
static bool read_folder(int root, int fd, char *path, size_t length, size_t room,
			struct configuration *found)
{
	struct listing listing = { .fd = fd };
	const struct entry *entry;

	while ((entry = next_entry(&listing))) {
		size_t more = strlen(entry->name);
		struct stat stat;
		int file;

		if (entry->type == FOLDER || *entry->name == '.' || more < 5 ||
		    !same_text(entry->name + more - 4, ".cfg"))
			continue;
		if (++found->files > MOST_FILES || length + more + 2 > room)
			return false;
		path[length] = '/';
		memcpy(path + length + 1, entry->name, more + 1);
		file = open_regular(root, path, &stat);
		if (file < 0)
			return false;
		if (S_ISREG(stat.st_mode))
			read_configuration(file, found);
		close(file);
	}
	return !listing.error;
}

/* False if the path cannot be read. A relative path begins in the directory of the process. */
static bool read_path(int process, const char *path, struct configuration *found)
{
	static char whole[4096];
	size_t length = strlen(path);
	int root = openat(process, "root", O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct stat stat;
	ssize_t n = 0;
	bool is_read = false;

	if (*path != '/') {
		n = readlinkat(process, "cwd", whole, sizeof(whole) - 1);
		if (n > 0)
			whole[n++] = '/';
	}
	if (root >= 0 && n >= 0 && (size_t)n + length < sizeof(whole)) {
		memcpy(whole + n, path, length + 1);
		fd = open_regular(root, whole, &stat);
	}
	if (fd >= 0) {
		is_read = ++found->files <= MOST_FILES;
		if (S_ISDIR(stat.st_mode))
			is_read &= read_folder(root, fd, whole, (size_t)n + length, sizeof(whole),
					       found);
		else if (is_read)
			read_configuration(fd, found);
		close(fd);
	}
	if (root >= 0)
		close(root);
	return is_read;
}

/* A number from /proc/PID/status; 0 if it is missing. */
static uint64_t read_status(int process, const char *name)
{
	char status[4096];
	const char *line = status;

	status[read_whole(process, "status", status, sizeof(status) - 1)] = 0;
	while (*line && !starts_with(line, name))
		line = skip(skip_to(line, "\n"), "\n");
	line = skip(*line ? line + strlen(name) : line, ":\t ");
	return number_in(&line, 10);
}

static uint64_t read_mounts(int process)
{
	int fd = openat(process, "ns/mnt", O_RDONLY | O_CLOEXEC);
	struct stat stat = { .st_ino = 0 };

	if (fd >= 0) {
		fstat(fd, &stat);
		close(fd);
	}
	return stat.st_ino;
}

/* Opens another process that sees the same mounts; otherwise -1. */
static int open_neighbour(int proc, int process, uint64_t number)
{
	uint64_t mounts = read_mounts(process);
	char pid[24];
	size_t at = sizeof(pid) - 1;
	int other;

	for (pid[at] = 0; number; number /= 10)
		pid[--at] = (char)('0' + number % 10);
	other = pid[at] ? open_folder(proc, pid + at) : -1;
	if (other < 0 || (mounts && read_mounts(other) == mounts))
		return other;
	close(other);
	return -1;
}

/* HAProxy splices only if its configuration says so. */
static const char *look_at_haproxy(int proc, int process)
{
	static char words[16384];
	size_t length = read_whole(process, "cmdline", words, sizeof(words) - 1);
	struct configuration found = { .is_unread = length == sizeof(words) - 1 };
	bool is_next = false, is_rest = false;
	/* The process that serves may have confined itself to an empty folder. */
	int parent = open_neighbour(proc, process, read_status(process, "PPid"));
	int self = open_neighbour(proc, process, (uint64_t)getpid());

	words[length] = 0;
	for (const char *word = next_name(words); word < words + length; word = next_name(word)) {
		if (!is_next && !is_rest) {
			is_next = same_text(word, "-f");
			is_rest = same_text(word, "--");
			found.is_off |= same_text(word, "-dS");
			continue;
		}
		is_next = false;
		if (!read_path(process, word, &found) &&
		    (parent < 0 || !read_path(parent, word, &found)) &&
		    (self < 0 || *word != '/' || !read_path(self, word, &found)))
			found.is_unread = true;
	}
	if (parent >= 0)
		close(parent);
	if (self >= 0)
		close(self);
	if (found.is_off)
		return "plain";
	return found.splices ? "splice" : found.is_unread || !found.files ? "unread" : "plain";
}

/* --- names --- */

static bool is_unit_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr(":_.@\\-", c));
}

/*
 * Prints the outermost systemd service whose cgroup the process is in; what is below is up to that
 * service.
 */
static void put_unit(int process)
{
	static char cgroups[8192];
	static const char end[] = ".service";
	const size_t last = sizeof(end) - 1;
	size_t length = read_whole(process, "cgroup", cgroups, sizeof(cgroups) - 1);

	cgroups[length] = 0;
	for (const char *part = cgroups; *part; part = skip_to(part, "/\n")) {
		const char *stop, *c;

		part++;
		stop = skip_to(part, "/\n");
		if (part[-1] != '/' || (size_t)(stop - part) <= last ||
		    memcmp(stop - last, end, last) != 0)
			continue;
		for (c = part; c < stop && is_unit_byte(*c); c++)
			;
		/* A unit of a user is edited by that user, under another name. */
		if (c < stop || starts_with(part, "user@") || stop - part > 255)
			break;
		put_bytes(part, (size_t)(stop - part));
		return;
	}
	put_text("-");
}

static size_t read_program(int process, char *program, size_t room)
{
	static char path[4096];
	ssize_t n = readlinkat(process, "exe", path, sizeof(path) - 1);
	const char *base = path;
	size_t length;

	path[n > 0 ? n : 0] = 0;
	for (const char *at = path; *at; at++)
		if (*at == '/')
			base = at + 1;
	/* A program that was replaced by a newer version has " (deleted)" behind its name. */
	length = (size_t)(skip_to(base, " ") - base);
	if (length >= room)
		length = room - 1;
	memcpy(program, base, length);
	program[length] = 0;
	return length;
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
			kind = same_text(name, "haproxy") || same_text(program, "haproxy")
				       ? look_at_haproxy(proc, process)
			       : is_go(process) ? "go"
						: "-";
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
