// SPDX-License-Identifier: Apache-2.0
/*
 * Tells which ends of a service the bypass would harm or leave on TCP;
 * docs/how-to/choose-ports.md says why.
 */
#include "advise.h"

bool misses_redirected;
bool is_fionread_exact;

static const struct danger_kind kinds[] = {
	{ "splice", HARMS,
	  "it splices, and splice does not see what comes through the bypass: without a method for "
	  "spliceGuard it hangs or passes on too little, and with one it gains little" },
	{ "splice-only", HARMS,
	  "it reads by splice or in other ways that the bypass does not have, and knows no other" },
	{ "splice-unknown", HARMS,
	  "its configuration cannot be read, and with 'option splice-*' it splices" },
	{ "fionread", HARMS,
	  "it believes FIONREAD, which on this kernel does not count what comes through the "
	  "bypass: "
	  "it hangs at longer messages" },
	{ "ktls", HARMS,
	  "its TLS is in the kernel, which fails or falls back on a socket of the bypass" },
	{ "iscsi", HARMS, "the kernel takes over the sockets of iSCSI" },
	{ "nfs", HARMS, "the kernel takes over the sockets of NFS" },
	{ "nbd", HARMS, "the kernel takes over the sockets of NBD" },
	{ "kernel", HARMS, "no process has its socket, so it may be the kernel's own" },
	{ "urgent", HARMS,
	  "FTP, telnet and rlogin use urgent data, which arrives among the other bytes" },
	{ "ulp", STAYS, "a protocol of the kernel is on its socket, which stays on TCP" },
	{ "mptcp", STAYS, "its socket is one of MPTCP, which stays on TCP" },
	{ "deferred", STAYS,
	  "its listener defers (TCP_DEFER_ACCEPT), so its connections stay on TCP, because this "
	  "kernel's FIONREAD is not known to count all bytes of the bypass" },
	{ "lowat", STAYS, "it has set SO_RCVLOWAT, so its connections stay on TCP" },
	{ "zerocopy", STAYS, "it has set SO_ZEROCOPY, so its connections stay on TCP" },
	{ "option", STAYS,
	  "it has set an option that only TCP honours, so its connections stay on TCP" },
	{ "go", MAY_HARM,
	  "it is a Go program, and Go splices where it copies from one connection to another; this "
	  "was not seen" },
	{ "relay", MAY_HARM,
	  "it passes on what it gets byte for byte: make sure that it does not splice" },
};

/*
 * If there is no room, the last danger of the weakest effect makes it, so that the strongest ones
 * are told whichever was seen first. NULL if all are as strong.
 */
static struct danger *find_room(struct service *service, enum effect effect)
{
	struct danger *weakest = NULL;

	if (service->danger_count < MOST_DANGERS)
		return &service->dangers[service->danger_count++];
	service->is_cut = true;
	for (uint32_t i = 0; i < MOST_DANGERS; i++) {
		struct danger *danger = &service->dangers[i];

		if (danger->kind->effect > effect &&
		    (!weakest || danger->kind->effect >= weakest->kind->effect))
			weakest = danger;
	}
	return weakest;
}

static void add_danger(struct service *service, const char *name, const char *program)
{
	const struct danger_kind *kind = kinds;
	struct danger *place;

	while (!same_text(kind->name, name))
		kind++;
	for (uint32_t i = 0; i < service->danger_count; i++)
		if (service->dangers[i].kind == kind &&
		    same_text(service->dangers[i].program, program))
			return;
	place = find_room(service, kind->effect);
	if (place)
		*place = (struct danger){ kind, program };
}

void find_dangers_of_port(struct service *service)
{
	const char *program = service->program;

	switch (service->port) {
	case 860:
	case 3260:
		add_danger(service, "iscsi", program);
		break;
	case 2049:
		add_danger(service, "nfs", program);
		break;
	case 10809:
		add_danger(service, "nbd", program);
		break;
	case 21:
	case 23:
	case 513:
	case 514:
		add_danger(service, "urgent", program);
		break;
	}
}

static void judge_program(struct service *service, const struct tcp_end *end, const char *program)
{
	const char *kind = processes[end->process].kind;

	if (same_text(kind, "splice") || same_text(kind, "known"))
		add_danger(service, "splice", program);
	else if (same_text(kind, "stubborn"))
		add_danger(service, "splice-only", program);
	else if (same_text(kind, "unread"))
		add_danger(service, "splice-unknown", program);
	else if (same_text(kind, "asks") && misses_redirected)
		add_danger(service, "fionread", program);
	else if (same_text(kind, "go") && end->traits & RELAYS)
		add_danger(service, "splice", program);
	else if (same_text(kind, "go") && end->traits & HAS_BOTH)
		add_danger(service, "go", program);
	else if (same_text(kind, "-") && end->traits & RELAYS)
		add_danger(service, "relay", program);
}

bool stays_on_tcp(const struct tcp_end *end)
{
	return end->traits & (HAS_ULP | HAS_MPTCP | DEFERS | HAS_LOWAT | HAS_ZEROCOPY | HAS_OPTION);
}

void find_dangers(struct service *service, const struct tcp_end *end)
{
	static const struct {
		uint16_t trait;
		const char *name;
	} by_trait[] = {
		{ HAS_TLS, "ktls" },	  { HAS_ULP, "ulp" },	  { HAS_MPTCP, "mptcp" },
		{ DEFERS, "deferred" },	  { HAS_LOWAT, "lowat" }, { HAS_ZEROCOPY, "zerocopy" },
		{ HAS_OPTION, "option" },
	};
	const char *program = name_process(end->process);

	if (end->process != NOBODY)
		judge_program(service, end, program);
	/* The sockets below one of MPTCP are nobody's either. */
	else if (end->inode && sees_all_processes() &&
		 !(end->traits & (IS_NEW | IS_ENDED | HAS_MPTCP)))
		add_danger(service, "kernel", program);
	for (size_t i = 0; i < sizeof(by_trait) / sizeof(*by_trait); i++)
		if (end->traits & by_trait[i].trait)
			add_danger(service, by_trait[i].name, program);
}
