// SPDX-License-Identifier: Apache-2.0
/*
 * advise-fuzz SEED COUNT: hands damaged answers of netlink to what `advise` reads them with, each
 * in memory of its exact size, built with sanitizers. Prints how many messages were still read as
 * a socket. At a fault it says what was wrong and exits with 1.
 */
#include "../../../host/helper/advise/addresses.c"
#include "../../../host/helper/advise/diag.c"
#include "../../../host/helper/advise/table.c"
#include "../../../host/helper/base/netlink.c"
#include "../../../host/helper/base/points.c"

#include <stdio.h>
#include <stdlib.h>
#include <linux/rtnetlink.h>

enum { ROOM = 2048 };

struct unseen unseen;
static uint64_t state;
static unsigned long addresses;
/* The protocol of the kernel on a socket. */
static const char *ulp_name = "tls";

/* xorshift64* */
static unsigned int choose(unsigned int count)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (unsigned int)((state * 0x2545f4914f6cdd1dULL) >> 33) % count;
}

static void put_attribute(uint8_t *bytes, size_t *length, unsigned short type, const void *data,
			  size_t size)
{
	struct rtattr head = { (unsigned short)(sizeof(head) + size), type };

	memcpy(bytes + *length, &head, sizeof(head));
	memcpy(bytes + *length + sizeof(head), data, size);
	*length += RTA_ALIGN(head.rta_len);
}

/* A message as the kernel writes it. */
static size_t make_message(uint8_t *bytes)
{
	struct inet_diag_msg head = { .idiag_family = choose(2) ? AF_INET : AF_INET6,
				      .idiag_state = choose(4) ? 1 : LISTENS };
	struct tcp_info info = { .tcpi_bytes_received = 7,
				 .tcpi_bytes_sent = 9,
				 .tcpi_data_segs_in = 1 };
	struct {
		struct rtattr head;
		char name[12];
	} ulp = { .head = { .rta_len =
				    (unsigned short)(sizeof(struct rtattr) + strlen(ulp_name) + 1),
			    .rta_type = INET_ULP_INFO_NAME } };
	size_t length = sizeof(head);

	strcpy(ulp.name, ulp_name);

	head.id.idiag_sport = htons(80);
	head.id.idiag_dport = htons(4000);
	memcpy(bytes, &head, sizeof(head));
	put_attribute(bytes, &length, INET_DIAG_SHUTDOWN, "\1", 1);
	put_attribute(bytes, &length, INET_DIAG_ULP_INFO, &ulp, sizeof(ulp));
	put_attribute(bytes, &length, INET_DIAG_INFO, &info, sizeof(info));
	return length;
}

static void damage(uint8_t *bytes, size_t *length)
{
	unsigned int times = choose(6);

	for (unsigned int i = 0; i < times && *length; i++) {
		if (choose(3))
			bytes[choose((unsigned int)*length)] = (uint8_t)choose(256);
		else
			*length = choose((unsigned int)*length + 1);
	}
}

static void try_message(unsigned long *read)
{
	uint8_t bytes[ROOM] = { 0 };
	size_t length = make_message(bytes);
	struct tcp_end end = { .process = NOBODY, .peer = NOBODY };
	uint8_t *exact;

	damage(bytes, &length);
	exact = malloc(length);
	memcpy(exact, bytes, length);
	if (read_end(exact, length, &end)) {
		++*read;
		if (!end.local.port || (end.state != LISTENS && !end.remote.port)) {
			printf("expected ports in a socket that was read\n");
			exit(1);
		}
	}
	free(exact);
}

/* Without damage everything is read, also what this machine's kernel may not have. */
static void check_whole(const char *name, unsigned int trait)
{
	uint8_t bytes[ROOM] = { 0 };
	struct tcp_end end;

	ulp_name = name;
	do {
		memset(&end, 0, sizeof(end));
		if (!read_end(bytes, make_message(bytes), &end)) {
			printf("expected to read a whole message\n");
			exit(1);
		}
	} while (end.state == LISTENS);
	if (end.traits != trait || end.bytes[IN] != 7 || end.bytes[OUT] != 9 ||
	    end.segments[IN] != 1 || end.local.port != 80 || end.remote.port != 4000) {
		printf("expected what the message says\n");
		exit(1);
	}
}

static void count_address(const uint8_t *address)
{
	addresses += address[15] != 0;
}

/* Whole answers, which take_answer() splits, come through a pair of sockets. */
static void try_answer(const int *pair, struct tcp_ends *ends)
{
	struct target target = { .ends = ends };
	uint8_t bytes[ROOM] = { 0 };
	size_t length = 0;

	for (unsigned int i = 0, count = choose(3); i < count; i++) {
		struct nlmsghdr head = { .nlmsg_type = SOCK_DIAG_BY_FAMILY };
		size_t body = make_message(bytes + length + sizeof(head));

		head.nlmsg_len = (uint32_t)(sizeof(head) + body);
		memcpy(bytes + length, &head, sizeof(head));
		length += NLMSG_ALIGN(head.nlmsg_len);
	}
	damage(bytes, &length);
	if (send(pair[0], bytes, length, 0) != (ssize_t)length)
		exit(1);
	/* Behind it comes an end, lest the reader waits. */
	send(pair[0], &(struct nlmsghdr){ .nlmsg_len = 16, .nlmsg_type = NLMSG_DONE }, 16, 0);
	if (choose(2))
		take_answer(pair[1], take_end, &target);
	else
		take_answer(pair[1], take_address, count_address);
	while (recv(pair[1], bytes, sizeof(bytes), MSG_DONTWAIT) >= 0)
		;
	ends->count = 0;
}

int main(int count, char **words)
{
	struct tcp_ends ends = { 0 };
	unsigned long read = 0;
	int pair[2];

	state = count == 3 ? strtoull(words[1], NULL, 10) + 1 : 1;
	if (count != 3 || socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
		return 1;
	check_whole("mptcp", HAS_MPTCP);
	check_whole("espintcp", HAS_ULP);
	check_whole("tls", HAS_TLS);
	for (unsigned long i = strtoul(words[2], NULL, 10); i; i--) {
		try_message(&read);
		try_answer(pair, &ends);
	}
	munmap(ends.all, ends.room * sizeof(*ends.all));
	printf("%lu\n", read);
	return 0;
}
