// SPDX-License-Identifier: Apache-2.0
/* Looks into each network namespace in which a process lives. */
#include "advise.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct space spaces[MOST_SPACES];
uint32_t space_count;
struct unseen unseen;

enum {
	MOST_ADDRESSES = 65536,
	/* How many files are open at once besides those that hear what ends. */
	OTHER_FILES = 16,
};

/* The highest number that a file that hears may have. */
static int last_file;

static uint8_t (*addresses)[16];
static uint32_t address_count, address_room;
static struct index address_index;

static bool is_known_address(const uint8_t *address, uint64_t hash)
{
	uint32_t place;

	if (address_index.slots)
		while (next_place(&address_index, &hash, &place))
			if (memcmp(addresses[place], address, 16) == 0)
				return true;
	return false;
}

static void add_address(const uint8_t *address)
{
	uint64_t hash = hash_bytes(0, address, 16);

	if (!address_index.slots)
		make_index(&address_index, MOST_ADDRESSES);
	if (is_loopback(address) || is_known_address(address, hash) ||
	    address_count == MOST_ADDRESSES)
		return;
	addresses = grow(addresses, address_count, &address_room, sizeof(*addresses));
	memcpy(addresses[address_count], address, 16);
	put_place(&address_index, hash, address_count++);
}

bool is_host_address(const uint8_t *address)
{
	return is_known_address(address, hash_bytes(0, address, 16));
}

/* How many connections the namespace of this process has accepted. */
static uint64_t count_accepted(void)
{
	/* Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens … */
	enum { PASSIVE_OPENS = 6 };
	struct reader reader = { .fd = open("/proc/self/net/snmp", O_RDONLY | O_CLOEXEC),
				 .left = 65536 };
	char line[512];
	unsigned int met = 0;
	uint64_t count = 0;

	/* The first line of this name tells what the second one counts. */
	while (reader.fd >= 0 && met < 2 && next_line(&reader, line, sizeof(line)))
		met += starts_with(line, "Tcp: ");
	if (met == 2) {
		const char *at = line;

		for (unsigned int i = 0; i < PASSIVE_OPENS; i++)
			at = skip(skip_to(at, " "), " ");
		count = number_in(&at, 10);
	}
	if (reader.fd >= 0)
		close(reader.fd);
	return count;
}

static struct space *find_space(uint64_t inode)
{
	for (uint32_t i = 0; i < space_count; i++)
		if (spaces[i].inode == inode)
			return &spaces[i];
	if (space_count == MOST_SPACES)
		return NULL;
	spaces[space_count] = (struct space){ .inode = inode, .ended = -1 };
	return &spaces[space_count++];
}

/* Each namespace keeps a socket open until the end. */
static void allow_files(void)
{
	const rlim_t wanted = MOST_SPACES + OTHER_FILES;
	struct rlimit files = { 0 };

	getrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_cur < wanted) {
		files.rlim_cur = files.rlim_max < wanted ? files.rlim_max : wanted;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	last_file = (int)(files.rlim_cur < wanted ? files.rlim_cur : wanted) - OTHER_FILES;
}

/* What ends is heard from before the first list is made, so that nothing is missed between. */
static bool look_at(struct space *space, unsigned int look, struct tcp_ends *ends)
{
	uint16_t place = (uint16_t)(space - spaces);

	space->is_met[look] = 1;
	if (look == 0) {
		space->ended = open_ended();
		if (space->ended > last_file) {
			close(space->ended);
			space->ended = -1;
		}
		unseen.is_deaf |= space->ended < 0;
		list_addresses(add_address);
	}
	space->accepted[look] = count_accepted();
	if (list_ends(place, ends))
		return true;
	say("advise: sock_diag: ", name_error(errno));
	return false;
}

static bool visit(int process, uint64_t own, unsigned int look, struct tcp_ends *ends)
{
	int fd = openat(process, "ns/net", O_RDONLY | O_CLOEXEC);
	struct stat stat;
	struct space *space = NULL;
	bool is_done = true;

	unseen.refused_processes += fd < 0 && !look && (errno == EACCES || errno == EPERM);
	if (fd >= 0 && !fstat(fd, &stat)) {
		space = find_space(stat.st_ino);
		unseen.spaces_left_out += !space && !look;
	}
	if (space && !space->is_met[look]) {
		if (stat.st_ino == own || !setns(fd, CLONE_NEWNET)) {
			is_done = look_at(space, look, ends);
		} else {
			space->is_met[look] = 1;
			unseen.refused_spaces += !look;
		}
	}
	if (fd >= 0)
		close(fd);
	return is_done;
}

bool visit_spaces(unsigned int look, struct tcp_ends *ends)
{
	struct listing listing = { .fd = open_folder(AT_FDCWD, "/proc") };
	int self = open_folder(AT_FDCWD, "/proc/self/."), process;
	int own = self < 0 ? -1 : openat(self, "ns/net", O_RDONLY | O_CLOEXEC);
	struct stat stat = { .st_ino = 0 };
	const struct entry *entry;
	bool is_done = own >= 0 && !fstat(own, &stat);

	if (!look)
		allow_files();
	if (!is_done)
		say("advise: /proc/self/ns/net: ", name_error(errno));
	is_done = is_done && visit(self, stat.st_ino, look, ends);
	while (is_done && (entry = next_entry(&listing))) {
		if (*entry->name < '1' || *entry->name > '9' ||
		    (process = open_process(listing.fd, entry->name)) < 0)
			continue;
		is_done = visit(process, 0, look, ends);
		close(process);
	}
	if (is_done && listing.error) {
		say("advise: /proc: ", name_error(listing.error));
		is_done = false;
	}
	/* It is refused only to those who could not leave either. */
	if (is_done && setns(own, CLONE_NEWNET) && errno != EPERM) {
		say("advise: setns: ", name_error(errno));
		is_done = false;
	}
	close(listing.fd);
	close(self);
	close(own);
	return is_done;
}

uint64_t hear_ended(uint64_t since_ns, uint64_t until_ns, struct tcp_ends *ended)
{
	static struct pollfd fds[MOST_SPACES];
	uint64_t now = now_ns(), heard = 0;

	for (uint32_t i = 0; i < space_count; i++)
		fds[i] = (struct pollfd){ .fd = spaces[i].ended, .events = POLLIN };
	do {
		uint64_t left = until_ns > now ? until_ns - now : 0;

		/* A pause lets more of them come at once, which costs less. */
		poll(fds, space_count, (int)((left + 999999) / 1000000));
		for (uint32_t i = 0; i < space_count; i++)
			if (fds[i].fd >= 0 && fds[i].revents &&
			    !take_ended(fds[i].fd, (uint16_t)i, ended))
				unseen.is_deaf = true;
		now = now_ns();
		if (unseen.is_sampled)
			continue;
		heard = now - since_ns;
		if (ended->count < MOST_ENDED) {
			if (until_ns > now + 10000000)
				sleep_ms(10);
			continue;
		}
		unseen.is_sampled = true;
		/* It has heard enough: what ends from now on costs nobody anything. */
		for (uint32_t i = 0; i < space_count; i++) {
			if (fds[i].fd >= 0)
				close(fds[i].fd);
			spaces[i].ended = fds[i].fd = -1;
		}
	} while (now < until_ns);
	return heard / 1000000;
}
