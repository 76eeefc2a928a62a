// SPDX-License-Identifier: Apache-2.0
/* The addresses of the network namespace that this process is in. */
#include "advise.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>

enum { TRIES = 3 };

static bool take_address(const uint8_t *message, size_t length, void *into)
{
	void (*add)(const uint8_t *address) = into;
	struct ifaddrmsg head;
	const uint8_t *bytes;
	size_t size = 0;
	struct point point;
	uint32_t address[4];

	if (length < sizeof(head))
		return true;
	memcpy(&head, message, sizeof(head));
	bytes = find_attribute(message + sizeof(head), length - sizeof(head), IFA_LOCAL, &size);
	if (!bytes)
		bytes = find_attribute(message + sizeof(head), length - sizeof(head), IFA_ADDRESS,
				       &size);
	if (!bytes || size != (head.ifa_family == AF_INET6 ? 16 : 4))
		return true;
	memcpy(address, bytes, size);
	point = point_of(head.ifa_family, address, 0);
	add(point.address);
	return true;
}

void list_addresses(void (*add)(const uint8_t *address))
{
	struct {
		struct nlmsghdr head;
		struct ifaddrmsg ask;
	} request = {
		.head = { .nlmsg_len = sizeof(request),
			  .nlmsg_type = RTM_GETADDR,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
	};
	int fd = open_netlink(NETLINK_ROUTE, 0);

	/* An address that is added or removed meanwhile may hide another one. */
	for (unsigned int i = 0; fd >= 0 && i < TRIES; i++)
		if (send(fd, &request, sizeof(request), 0) != sizeof(request) ||
		    take_answer(fd, take_address, add) || errno != EINTR)
			break;
	if (fd >= 0)
		close(fd);
}
