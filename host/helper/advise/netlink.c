// SPDX-License-Identifier: Apache-2.0
/* What netlink asks and answers, and the addresses of a network namespace. */
#include "advise.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>

enum { BUFFER = 256 * 1024 };

static uint8_t buffer[BUFFER] __attribute__((aligned(8)));

int open_netlink(int protocol, uint32_t groups)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = groups };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	if (fd < 0 || !bind(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	close(fd);
	return -1;
}

const uint8_t *find_attribute(const uint8_t *bytes, size_t length, unsigned int type, size_t *size)
{
	struct rtattr head;

	while (length >= sizeof(head)) {
		memcpy(&head, bytes, sizeof(head));
		if (head.rta_len < sizeof(head) || head.rta_len > length)
			return NULL;
		if ((head.rta_type & NLA_TYPE_MASK) == type) {
			*size = head.rta_len - sizeof(head);
			return bytes + sizeof(head);
		}
		if (RTA_ALIGN(head.rta_len) >= length)
			return NULL;
		bytes += RTA_ALIGN(head.rta_len);
		length -= RTA_ALIGN(head.rta_len);
	}
	return NULL;
}

struct point point_of(uint8_t family, const uint32_t *address, uint16_t port)
{
	struct point point = { .port = ntohs(port) };

	if (family == AF_INET6) {
		memcpy(point.address, address, 16);
	} else {
		memset(point.address + 10, 0xff, 2);
		memcpy(point.address + 12, address, 4);
	}
	return point;
}

/* A dump that failed ends like one that did not, but with an error code. */
static int read_code(const uint8_t *message, size_t length)
{
	int code = 0;

	if (length >= sizeof(struct nlmsghdr) + sizeof(code))
		memcpy(&code, message + sizeof(struct nlmsghdr), sizeof(code));
	return code < 0 ? -code : 0;
}

bool take_answer(int fd, bool (*take)(const uint8_t *message, size_t length, void *into),
		 void *into)
{
	for (;;) {
		ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
		size_t left = n > 0 ? (size_t)n : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		for (const uint8_t *at = buffer; left >= sizeof(struct nlmsghdr);) {
			struct nlmsghdr head;

			memcpy(&head, at, sizeof(head));
			if (head.nlmsg_len < sizeof(head) || head.nlmsg_len > left)
				return false;
			if (head.nlmsg_type == NLMSG_DONE || head.nlmsg_type == NLMSG_ERROR) {
				errno = read_code(at, head.nlmsg_len);
				return !errno;
			}
			if (!take(at + sizeof(head), head.nlmsg_len - sizeof(head), into))
				return false;
			if (NLMSG_ALIGN(head.nlmsg_len) >= left)
				break;
			at += NLMSG_ALIGN(head.nlmsg_len);
			left -= NLMSG_ALIGN(head.nlmsg_len);
		}
	}
}

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

	if (fd >= 0 && send(fd, &request, sizeof(request), 0) == sizeof(request))
		take_answer(fd, take_address, add);
	if (fd >= 0)
		close(fd);
}
