// SPDX-License-Identifier: Apache-2.0
/* What netlink asks and answers, and the TCP sockets of a network namespace. */
#include "netlink.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
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

static bool refuse(int code)
{
	errno = code;
	return false;
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
	bool is_torn = false;

	for (;;) {
		ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_TRUNC);
		size_t left = n > 0 ? (size_t)n : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (n == 0 || left > sizeof(buffer))
			return refuse(EBADMSG);
		for (const uint8_t *at = buffer; left >= sizeof(struct nlmsghdr);) {
			struct nlmsghdr head;

			memcpy(&head, at, sizeof(head));
			if (head.nlmsg_len < sizeof(head) || head.nlmsg_len > left)
				return refuse(EBADMSG);
			is_torn |= (head.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
			if (head.nlmsg_type == NLMSG_DONE || head.nlmsg_type == NLMSG_ERROR) {
				errno = read_code(at, head.nlmsg_len);
				if (!errno && is_torn)
					errno = EINTR;
				return !errno;
			}
			if (!take(at + sizeof(head), head.nlmsg_len - sizeof(head), into))
				return refuse(ECANCELED);
			if (NLMSG_ALIGN(head.nlmsg_len) >= left)
				break;
			at += NLMSG_ALIGN(head.nlmsg_len);
			left -= NLMSG_ALIGN(head.nlmsg_len);
		}
	}
}

bool list_sockets(int fd, uint8_t family, uint8_t wanted, uint32_t states,
		  bool (*take)(const uint8_t *message, size_t length, void *into), void *into)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 ask;
	} request = {
		.head = { .nlmsg_len = sizeof(request),
			  .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.ask = { .sdiag_family = family,
			 .sdiag_protocol = IPPROTO_TCP,
			 .idiag_ext = wanted,
			 .idiag_states = states },
	};

	if (send(fd, &request, sizeof(request), 0) != sizeof(request))
		return false;
	/*
	 * A kernel without IPv6 says ENOENT of it. Sockets come and go while they are listed,
	 * whether or not the kernel says so.
	 */
	return take_answer(fd, take, into) || (errno == ENOENT && family == AF_INET6) ||
	       errno == EINTR;
}
