// SPDX-License-Identifier: Apache-2.0
// Long: it reads sockets, pairs them and asks the policy, which share the list of sockets.
/*
 * established POLICIES SLOT CGROUP: counts the established TCP connections that a policy covers and
 * that have both ends in this folder of the cgroup tree, in whatever network namespaces. It prints
 * a line for each range of the policy: the range, or `any`, and how many. A last line begins with
 * `unseen` if there may be network namespaces into which it cannot look.
 *
 * The server's end names its client by the client's own address and port, also where the client
 * has called another address (DNAT). A connection whose client's address is translated is not seen.
 */
#include "netlink.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum {
	MOST_SOCKETS = 1 << 18,
	MOST_CGROUPS = 1 << 16,
	MOST_DEPTH = 64,
	SLOTS = 1 << 18,
	PORTS = 65536,
	ESTABLISHED = 1, /* TCP_ESTABLISHED, TCP_LISTEN */
	LISTEN = 10,
	RANGES = 64,
	CIDRS = 64,
};

static struct { /* as in bpf/socket_bypass.h */
	uint32_t everything, ranges, cidrs, named;
	struct {
		uint16_t first, last;
	} range[RANGES];
	struct {
		uint32_t address[4], mask[4];
	} cidr[CIDRS];
} policy;

static struct seen {
	struct point local, remote;
	uint32_t space; /* the network namespace, by its number on this walk */
	/* in the same slot, by both names and by the local one: number of the socket plus one */
	uint32_t next_pair, next_name;
	bool is_server; /* something listens on its port there */
	bool is_paired;
} sockets[MOST_SOCKETS];

static uint32_t pairs[SLOTS], names[SLOTS];
static uint32_t socket_count, space;
static bool is_full; /* more sockets of the policy than there is room for */
static uint8_t is_listening[PORTS / 8]; /* in the namespace that is looked at */
static uint64_t cgroups[2 * MOST_CGROUPS]; /* a hash; empty if every cgroup counts */
static uint32_t cgroup_count;
static uint64_t counts[RANGES + 1]; /* the last one is for a policy without ranges */

static bool refuse(const char *what)
{
	say("established: ", what, ": ", name_error(errno));
	return false;
}

/* --- the policy, as bpf/policy.h asks it --- */

enum { NO_RANGE = -1 };

static int find_range(uint16_t port)
{
	for (uint32_t i = 0; i < policy.ranges && i < RANGES; i++)
		if (port >= policy.range[i].first && port <= policy.range[i].last)
			return (int)i;
	return NO_RANGE;
}

static bool is_taken_over(uint16_t port)
{
	static const uint16_t ports[] = { 3260, 860, 2049, 10809 };

	for (unsigned int i = 0; i < sizeof(ports) / sizeof(*ports); i++)
		if (port == ports[i] && !(policy.named & 1U << i))
			return true;
	return false;
}

static int find_ranges(uint16_t service, uint16_t client)
{
	int range;

	if (is_taken_over(service) || is_taken_over(client))
		return NO_RANGE;
	if (policy.everything)
		return RANGES;
	if (!policy.ranges)
		return policy.cidrs ? RANGES : NO_RANGE;
	range = find_range(service);
	return range == NO_RANGE ? find_range(client) : range;
}

static bool is_address_in(const struct point *point)
{
	uint32_t address[4];

	memcpy(address, point->address, sizeof(address));
	for (uint32_t i = 0; i < policy.cidrs && i < CIDRS; i++) {
		uint32_t differs = 0;

		for (unsigned int j = 0; j < 4; j++)
			differs |=
				(address[j] ^ policy.cidr[i].address[j]) & policy.cidr[i].mask[j];
		if (!differs)
			return true;
	}
	return false;
}

static bool is_allowed(const struct point *local, const struct point *remote)
{
	if (find_ranges(local->port, remote->port) == NO_RANGE)
		return false;
	return policy.everything || !policy.cidrs ||
	       (is_address_in(local) && is_address_in(remote));
}

/* --- the cgroups in which the connections are looked for --- */

static uint64_t *find_cgroup(uint64_t id)
{
	uint32_t at = (uint32_t)(id % (2 * MOST_CGROUPS));

	while (cgroups[at] && cgroups[at] != id)
		at = (at + 1) % (2 * MOST_CGROUPS);
	return &cgroups[at];
}

/* The number of a folder's inode is the id of its cgroup. Closes the folder. */
static bool add_cgroups(int folder, unsigned int depth)
{
	struct listing listing = { .fd = folder };
	const struct entry *entry;
	struct stat stat;

	if (folder < 0 || fstat(folder, &stat))
		return errno == ENOENT || refuse("cgroup");
	if (cgroup_count++ == MOST_CGROUPS || depth == MOST_DEPTH) {
		say("established: expected at most 65536 cgroups, 64 below each other");
		return false;
	}
	*find_cgroup(stat.st_ino) = stat.st_ino;
	while ((entry = next_entry(&listing)))
		if (entry->type == FOLDER &&
		    !add_cgroups(open_folder(folder, entry->name), depth + 1))
			return false;
	close(folder);
	errno = listing.error;
	return !errno || refuse("cgroup");
}

/* The root of the tree has every socket, also one whose cgroup has been removed. */
static bool choose_cgroups(const char *path)
{
	char above[512];
	struct stat own, other;
	int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (folder < 0 || fstat(folder, &own) || !join_path(above, sizeof(above), path, ".."))
		return refuse(path);
	if (!stat(above, &other) && other.st_dev != own.st_dev) {
		close(folder);
		return true;
	}
	return add_cgroups(folder, 0);
}

/* --- the sockets of one network namespace --- */

static uint32_t *find_pair(const struct point *local, const struct point *remote)
{
	uint64_t hash = hash_bytes(0, local, sizeof(*local));

	return &pairs[hash_bytes(hash, remote, sizeof(*remote)) % SLOTS];
}

static uint32_t *find_name(const struct point *local)
{
	return &names[hash_bytes(0, local, sizeof(*local)) % SLOTS];
}

/* A kernel before 5.8 does not tell the cgroup. */
static bool is_in_cgroups(const uint8_t *attributes, size_t length)
{
	const uint8_t *bytes;
	uint64_t id;
	size_t size;

	if (!cgroup_count)
		return true;
	bytes = find_attribute(attributes, length, INET_DIAG_CGROUP_ID, &size);
	if (!bytes || size < sizeof(id))
		return true;
	memcpy(&id, bytes, sizeof(id));
	return *find_cgroup(id) == id;
}

static bool add_socket(const uint8_t *message, size_t length, void *unused)
{
	struct inet_diag_msg head;
	struct seen seen = { .space = space };
	uint32_t *pair, *name;
	uint16_t port;

	(void)unused;
	if (length < sizeof(head))
		return true;
	memcpy(&head, message, sizeof(head));
	port = ntohs(head.id.idiag_sport);
	if (head.idiag_state == LISTEN) {
		is_listening[port / 8] |= (uint8_t)(1 << port % 8);
		return true;
	}
	seen.local = point_of(head.idiag_family, head.id.idiag_src, head.id.idiag_sport);
	seen.remote = point_of(head.idiag_family, head.id.idiag_dst, head.id.idiag_dport);
	if (!is_allowed(&seen.local, &seen.remote) ||
	    !is_in_cgroups(message + sizeof(head), length - sizeof(head)))
		return true;
	is_full = socket_count == MOST_SOCKETS;
	if (is_full)
		return false;
	seen.is_server = is_listening[port / 8] & 1 << port % 8;
	pair = find_pair(&seen.local, &seen.remote);
	name = find_name(&seen.local);
	seen.next_pair = *pair;
	seen.next_name = *name;
	sockets[socket_count++] = seen;
	*pair = *name = socket_count;
	return true;
}

static bool refuse_sockets(void)
{
	if (!is_full)
		return refuse("sockets");
	say("established: expected at most 262144 sockets of the policy, found more");
	return false;
}

/* All listeners first, because they tell which end of a connection is the server. */
static bool visit(void *unused)
{
	static const struct {
		uint8_t family;
		uint32_t states;
	} asked[] = { { AF_INET, 1U << LISTEN },
		      { AF_INET6, 1U << LISTEN },
		      { AF_INET, 1U << ESTABLISHED },
		      { AF_INET6, 1U << ESTABLISHED } };
	int netlink = open_netlink(NETLINK_SOCK_DIAG, 0);

	(void)unused;
	if (netlink < 0)
		return refuse("netlink");
	memset(is_listening, 0, sizeof(is_listening));
	space++;
	for (unsigned int i = 0; i < sizeof(asked) / sizeof(*asked); i++)
		if (!list_sockets(netlink, asked[i].family, 0, asked[i].states, add_socket, NULL))
			return refuse_sockets();
	close(netlink);
	return true;
}

/* --- connections --- */

static bool is_named(const struct seen *seen, const struct point *name, uint32_t its_space)
{
	return is_same_point(&seen->local, name) &&
	       (seen->space == its_space || !is_loopback(name->address));
}

/* The other end, where no address is translated. */
static const struct seen *find_peer(const struct seen *own)
{
	for (uint32_t at = *find_pair(&own->remote, &own->local); at;
	     at = sockets[at - 1].next_pair) {
		const struct seen *seen = &sockets[at - 1];

		if (is_named(seen, &own->remote, own->space) &&
		    is_same_point(&seen->remote, &own->local))
			return seen;
	}
	return NULL;
}

/* Whether an end that has called another address, so that it has no peer, is this one's client. */
static bool has_client(const struct seen *own)
{
	for (uint32_t at = *find_name(&own->remote); at; at = sockets[at - 1].next_name)
		if (!sockets[at - 1].is_paired && !sockets[at - 1].is_server &&
		    is_named(&sockets[at - 1], &own->remote, own->space))
			return true;
	return false;
}

/* Whether `own` is the server's end of a connection to `other`; of no listener, the lower port. */
static bool is_server(const struct seen *own, const struct seen *other)
{
	if (own->is_server != other->is_server)
		return own->is_server;
	if (own->local.port != other->local.port)
		return own->local.port < other->local.port;
	return own > other;
}

static void count_one(const struct seen *server)
{
	counts[find_ranges(server->local.port, server->remote.port)]++;
}

static void count_connections(void)
{
	for (uint32_t i = 0; i < socket_count; i++) {
		const struct seen *peer = find_peer(&sockets[i]);

		sockets[i].is_paired = peer;
		/* A socket may be connected to itself. */
		if (peer && peer != &sockets[i] && is_server(&sockets[i], peer))
			count_one(&sockets[i]);
	}
	for (uint32_t i = 0; i < socket_count; i++)
		if (!sockets[i].is_paired && has_client(&sockets[i]))
			count_one(&sockets[i]);
}

static void print_count(uint32_t first, uint32_t last, uint64_t count)
{
	if (!first)
		put_text("any");
	else
		put_number(first);
	if (first != last) {
		put_text("-");
		put_number(last);
	}
	put_text(" ");
	put_number(count);
	flush_text(STDOUT_FILENO);
}

/* A range that is listed twice is printed once. */
static void print_counts(void)
{
	if (policy.everything || !policy.ranges)
		print_count(0, 0, counts[RANGES]);
	for (uint32_t i = 0; !policy.everything && i < policy.ranges && i < RANGES; i++) {
		uint32_t before = 0;

		while (policy.range[before].first != policy.range[i].first ||
		       policy.range[before].last != policy.range[i].last)
			before++;
		if (before == i)
			print_count(policy.range[i].first, policy.range[i].last, counts[i]);
	}
}

static bool read_policy(const char *pin, uint32_t slot)
{
	struct bpf_map_info info;
	int map = open_pin(pin);

	if (map < 0 || map_info(map, &info))
		return refuse(pin);
	if (info.key_size != sizeof(slot) || info.value_size != sizeof(policy)) {
		say("established: ", pin, ": expected the policies of this version");
		return false;
	}
	return !look_up(map, &slot, &policy) || refuse(pin);
}

/* A few processes hide from everybody; without CAP_SYS_PTRACE, all but our own are hidden. */
static bool may_look_at_processes(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return !syscall(SYS_capget, &header, sets) && sets[0].effective & 1U << CAP_SYS_PTRACE;
}

int verb_established(char **words)
{
	unsigned int hidden = 0;
	struct visit with = { .verb = "established", .visit = visit, .hidden = &hidden };
	uint64_t slot;

	if (!words[0] || !words[1] || !words[2] || words[3] || !read_number(words[1], 1, &slot)) {
		say("established: expected POLICIES SLOT CGROUP");
		return EXIT_USAGE;
	}
	limit_verb("established");
	if (!read_policy(words[0], (uint32_t)slot) || !choose_cgroups(words[2]) ||
	    !visit_namespaces(&with))
		return EXIT_FAILED;
	if (hidden && !may_look_at_processes()) {
		say("established: expected CAP_SYS_PTRACE, which shows the network namespaces of "
		    "others, found it missing");
		return EXIT_FAILED;
	}
	count_connections();
	print_counts();
	if (hidden) {
		put_text("unseen processes that do not show their network namespace: ");
		put_number(hidden);
		flush_text(STDOUT_FILENO);
	}
	return 0;
}
