// SPDX-License-Identifier: Apache-2.0
/* Sums up the connections of each service: a port and the program that serves it. */
#include "advise.h"

struct service services[MOST_SERVICES];
uint32_t service_count;

enum { LARGEST_MESSAGE_SEEN = 1 << 20 };

static struct service *find_service(uint16_t port, const char *program)
{
	for (uint32_t i = 0; i < service_count; i++)
		if (services[i].port == port && same_text(services[i].program, program))
			return &services[i];
	if (service_count == MOST_SERVICES) {
		unseen.left_out++;
		return NULL;
	}
	services[service_count] = (struct service){ .port = port, .program = program };
	find_dangers_of_port(&services[service_count]);
	return &services[service_count++];
}

static void add_client(struct service *service, const char *program)
{
	for (uint32_t i = 0; i < service->client_count; i++)
		if (same_text(service->clients[i], program))
			return;
	if (service->client_count < MOST_CLIENTS)
		service->clients[service->client_count++] = program;
	else
		service->is_cut = true;
}

/* If both ends have a port that somebody listens on, or neither, the lower one is the service's. */
static bool is_service_end(const struct tcp_end *end, const struct tcp_end *peer)
{
	if (!peer)
		return end->traits & IS_SERVER;
	if ((end->traits ^ peer->traits) & IS_SERVER)
		return end->traits & IS_SERVER;
	return end->local.port != peer->local.port ? end->local.port < peer->local.port
						   : end < peer;
}

/*
 * How many segments came or went, each once. What was sent again, or doubled on its way, has come
 * twice; the other end knows how many it has sent.
 */
static uint64_t count_segments(const struct tcp_end *end, const struct tcp_end *peer,
			       enum direction direction)
{
	uint64_t own = end->moved_segments[direction], its = peer->moved_segments[!direction];

	return direction == IN && its && its < own ? its : own;
}

/*
 * Estimates how many messages these segments carried. If the segments are full, each message took
 * several of them, and the other direction, which answers, tells how many messages there were.
 */
static uint64_t count_messages(const struct tcp_end *end, const struct tcp_end *peer,
			       enum direction direction)
{
	uint64_t segments = count_segments(end, peer, direction), bytes = end->moved[direction];
	uint64_t others = count_segments(end, peer, !direction);

	if (!segments || bytes / segments <= end->mss / 2 || others >= segments)
		return segments;
	return others && bytes / others <= LARGEST_MESSAGE_SEEN ? others : segments;
}

static void add_sums(struct sums *sums, const struct tcp_end *end, const struct tcp_end *peer)
{
	sums->across += end->space != peer->space;
	sums->staying += stays_on_tcp(end) || stays_on_tcp(peer);
	for (unsigned int i = IN; i <= OUT; i++) {
		sums->bytes[i] += end->moved[i];
		sums->messages[i] += count_messages(end, peer, i);
	}
}

static void add_connection(struct service *service, const struct tcp_end *end,
			   const struct tcp_end *peer)
{
	bool is_short = end->traits & IS_NEW && end->traits & IS_ENDED;

	service->shorts += is_short;
	service->connections += !is_short;
	find_dangers(service, end);
	if (!peer)
		return;
	service->shorts_on_host += is_short;
	service->on_host += !is_short;
	service->short_messages += is_short ? end->moved_segments[IN] : 0;
	service->enrolled += ((end->traits | peer->traits) & IS_ENROLLED) != 0;
	/* The unknown client of a short connection is most likely one that is listed already. */
	if (peer->process != NOBODY || !(peer->traits & (IS_NEW | IS_ENDED)))
		add_client(service, name_process(peer->process));
	find_dangers(service, peer);
	add_sums(&service->sums, end, peer);
	if (is_short)
		add_sums(&service->short_sums, end, peer);
}

void find_services(const struct tcp_ends *ends)
{
	for (uint32_t i = 0; i < ends->count; i++) {
		const struct tcp_end *end = &ends->all[i];
		const struct tcp_end *peer = end->peer == NOBODY ? NULL : &ends->all[end->peer];
		struct service *service;

		if (end->traits & IS_SERVER && end->traits & IS_NEW)
			spaces[end->space].heard++;
		if (end->state == LISTENS || !is_service_end(end, peer))
			continue;
		service = find_service(end->local.port, name_process(end->process));
		if (service)
			add_connection(service, end, peer);
	}
	for (uint32_t i = 0; i < service_count; i++) {
		if (services[i].on_host + services[i].shorts_on_host && !services[i].client_count)
			add_client(&services[i], name_process(NOBODY));
		unseen.cut_services += services[i].is_cut;
	}
	for (uint32_t i = 0; i < space_count; i++) {
		uint64_t accepted = spaces[i].accepted[1] - spaces[i].accepted[0];

		/* A new namespace may have the inode of one that is gone. */
		if (spaces[i].is_met[0] && spaces[i].is_met[1] &&
		    spaces[i].accepted[1] > spaces[i].accepted[0] && accepted > spaces[i].heard)
			unseen.missed += accepted - spaces[i].heard;
	}
}

/* Adds what was not heard to `all`, of which `part` was heard. */
static void stretch(uint64_t *all, uint64_t part, uint64_t ms, uint64_t heard_ms)
{
	*all += part * ms / heard_ms - part;
}

void estimate_shorts(uint64_t ms, uint64_t heard_ms)
{
	if (!unseen.is_sampled || !heard_ms || heard_ms > ms)
		return;
	for (uint32_t i = 0; i < service_count; i++) {
		struct service *service = &services[i];
		const struct sums *part = &service->short_sums;
		struct sums *all = &service->sums;

		stretch(&service->shorts, service->shorts, ms, heard_ms);
		stretch(&service->shorts_on_host, service->shorts_on_host, ms, heard_ms);
		stretch(&service->short_messages, service->short_messages, ms, heard_ms);
		stretch(&all->across, part->across, ms, heard_ms);
		stretch(&all->staying, part->staying, ms, heard_ms);
		for (unsigned int j = IN; j <= OUT; j++) {
			stretch(&all->bytes[j], part->bytes[j], ms, heard_ms);
			stretch(&all->messages[j], part->messages[j], ms, heard_ms);
		}
	}
	unseen.missed = 0;
}
