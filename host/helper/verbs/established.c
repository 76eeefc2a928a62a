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
#include "probe.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/stat.h>

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

struct name {
	uint32_t address[4]; /* network order; IPv4 as ::ffff:a.b.c.d */
	uint16_t port;
};

static struct seen {
	struct name local, remote;
	uint32_t space; /* the network namespace, by its number on this walk */
	/* in the same slot, by both names and by the local one: number of the socket plus one */
	uint32_t next_pair, next_name;
	bool is_server; /* something listens on its port there */
	bool is_paired;
} sockets[MOST_SOCKETS];

static uint32_t pairs[SLOTS], names[SLOTS];
static uint32_t socket_count, space;
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

static bool is_address_in(const struct name *name)
{
	for (uint32_t i = 0; i < policy.cidrs && i < CIDRS; i++) {
		uint32_t differs = 0;

		for (unsigned int j = 0; j < 4; j++)
			differs |= (name->address[j] ^ policy.cidr[i].address[j]) &
				   policy.cidr[i].mask[j];
		if (!differs)
			return true;
	}
	return false;
}

static bool is_allowed(const struct name *local, const struct name *remote)
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

static uint32_t hash_name(uint32_t hash, const struct name *name)
{
	hash ^= name->port;
	for (unsigned int i = 0; i < 4; i++) {
		hash = (hash ^ name->address[i]) * 0x9e3779b1U;
		hash ^= hash >> 15;
	}
	return hash;
}

static uint32_t *find_pair(const struct name *local, const struct name *remote)
{
	return &pairs[hash_name(hash_name(0, local), remote) % SLOTS];
}

static uint32_t *find_name(const struct name *local)
{
	return &names[hash_name(0, local) % SLOTS];
}

static bool is_same_name(const struct name *a, const struct name *b)
{
	return a->port == b->port && memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

/* Every namespace has loopback addresses of its own. */
static bool is_loopback(const struct name *name)
{
	const uint8_t *bytes = (const uint8_t *)name->address;

	if (!name->address[0] && !name->address[1] && name->address[2] == htonl(0xffff))
		return bytes[12] == 127;
	return !name->address[0] && !name->address[1] && !name->address[2] &&
	       name->address[3] == htonl(1);
}

static struct name read_name(uint8_t family, const uint32_t *address, uint16_t port)
{
	struct name name = { .port = ntohs(port) };

	if (family == AF_INET) {
		name.address[2] = htonl(0xffff);
		name.address[3] = address[0];
	} else {
		memcpy(name.address, address, sizeof(name.address));
	}
	return name;
}

/* A kernel before 5.8 does not tell the cgroup. */
static bool is_in_cgroups(const struct nlmsghdr *header)
{
	const struct inet_diag_msg *message = NLMSG_DATA(header);
	const struct rtattr *attribute = (const void *)(message + 1);
	int length = (int)(header->nlmsg_len - NLMSG_LENGTH(sizeof(*message)));
	uint64_t id;

	if (!cgroup_count)
		return true;
	for (; RTA_OK(attribute, length); attribute = RTA_NEXT(attribute, length))
		if (attribute->rta_type == INET_DIAG_CGROUP_ID &&
		    RTA_PAYLOAD(attribute) >= sizeof(id)) {
			memcpy(&id, RTA_DATA(attribute), sizeof(id));
			return *find_cgroup(id) == id;
		}
	return true;
}

static bool add_socket(const struct nlmsghdr *header)
{
	const struct inet_diag_msg *message = NLMSG_DATA(header);
	struct seen seen = { .space = space };
	uint32_t *pair, *name;
	uint16_t port;

	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*message)))
		return true;
	port = ntohs(message->id.idiag_sport);
	if (message->idiag_state == LISTEN) {
		is_listening[port / 8] |= (uint8_t)(1 << port % 8);
		return true;
	}
	seen.local =
		read_name(message->idiag_family, message->id.idiag_src, message->id.idiag_sport);
	seen.remote =
		read_name(message->idiag_family, message->id.idiag_dst, message->id.idiag_dport);
	if (!is_allowed(&seen.local, &seen.remote) || !is_in_cgroups(header))
		return true;
	if (socket_count == MOST_SOCKETS) {
		say("established: expected at most 262144 sockets of the policy, found more");
		return false;
	}
	seen.is_server = is_listening[port / 8] & 1 << port % 8;
	pair = find_pair(&seen.local, &seen.remote);
	name = find_name(&seen.local);
	seen.next_pair = *pair;
	seen.next_name = *name;
	sockets[socket_count++] = seen;
	*pair = *name = socket_count;
	return true;
}

static bool ask(int netlink, uint8_t family, uint32_t states)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} question;

	memset(&question, 0, sizeof(question));
	question.header.nlmsg_len = sizeof(question);
	question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	question.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	question.request.sdiag_family = family;
	question.request.sdiag_protocol = IPPROTO_TCP;
	question.request.idiag_states = states;
	return send(netlink, &question, sizeof(question), 0) == sizeof(question);
}

/* A dump that failed ends like one that did not, but with an error code. */
static int read_code(const struct nlmsghdr *header)
{
	int code = 0;

	if (header->nlmsg_len >= NLMSG_LENGTH(sizeof(code)))
		memcpy(&code, NLMSG_DATA(header), sizeof(code));
	return code < 0 ? -code : 0;
}

/* Reads one answer. A kernel without IPv6 says ENOENT of that family. */
static bool take(int netlink, uint8_t family)
{
	static uint8_t answer[32768] __attribute__((aligned(8)));

	for (;;) {
		ssize_t got = recv(netlink, answer, sizeof(answer), 0);
		const struct nlmsghdr *header = (const void *)answer;

		if (got <= 0)
			return refuse("sockets");
		for (; NLMSG_OK(header, got); header = NLMSG_NEXT(header, got)) {
			if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) {
				errno = read_code(header);
				return !errno || (errno == ENOENT && family == AF_INET6) ||
				       refuse("sockets");
			}
			if (!add_socket(header))
				return false;
		}
	}
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
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	(void)unused;
	if (netlink < 0)
		return refuse("netlink");
	memset(is_listening, 0, sizeof(is_listening));
	space++;
	for (unsigned int i = 0; i < sizeof(asked) / sizeof(*asked); i++) {
		if (!ask(netlink, asked[i].family, asked[i].states))
			return refuse("netlink");
		if (!take(netlink, asked[i].family))
			return false;
	}
	close(netlink);
	return true;
}

/* --- connections --- */

static bool is_named(const struct seen *seen, const struct name *name, uint32_t its_space)
{
	return is_same_name(&seen->local, name) && (seen->space == its_space || !is_loopback(name));
}

/* The other end, where no address is translated. */
static const struct seen *find_peer(const struct seen *own)
{
	for (uint32_t at = *find_pair(&own->remote, &own->local); at;
	     at = sockets[at - 1].next_pair) {
		const struct seen *seen = &sockets[at - 1];

		if (is_named(seen, &own->remote, own->space) &&
		    is_same_name(&seen->remote, &own->local))
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
	count_connections();
	print_counts();
	if (hidden) {
		put_text("unseen processes that do not show their network namespace: ");
		put_number(hidden);
		flush_text(STDOUT_FILENO);
	}
	return 0;
}
