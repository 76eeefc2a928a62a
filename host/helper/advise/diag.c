// SPDX-License-Identifier: Apache-2.0
/* Asks the kernel for the TCP sockets of the network namespace that this process is in. */
#include "advise.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <string.h>

/* The groups of sockets that end, as bits of a netlink address. */
#define ENDED_GROUPS (1 << (SKNLGRP_INET_TCP_DESTROY - 1) | 1 << (SKNLGRP_INET6_TCP_DESTROY - 1))
/* Established, both FIN_WAIT, CLOSE_WAIT, LAST_ACK and LISTEN: what may have moved data. */
#define STATES (1 << 1 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << LISTENS)

static void read_info(const uint8_t *bytes, size_t size, struct tcp_end *end)
{
	struct tcp_info info;

	/* An older kernel writes fewer fields, a newer one more. */
	memset(&info, 0, sizeof(info));
	memcpy(&info, bytes, size < sizeof(info) ? size : sizeof(info));
	end->bytes[IN] = info.tcpi_bytes_received;
	end->bytes[OUT] = info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
	end->segments[IN] = info.tcpi_data_segs_in;
	end->segments[OUT] = info.tcpi_data_segs_out;
	end->resent = info.tcpi_total_retrans;
	end->mss = info.tcpi_snd_mss;
}

static void read_ulp(const uint8_t *bytes, size_t length, struct tcp_end *end)
{
	size_t size = 0;
	const uint8_t *name = find_attribute(bytes, length, INET_ULP_INFO_NAME, &size);

	if (size >= 3 && memcmp(name, "tls", 3) == 0)
		end->traits |= HAS_TLS;
	else if (size >= 5 && memcmp(name, "mptcp", 5) == 0)
		end->traits |= HAS_MPTCP;
	else if (size)
		end->traits |= HAS_ULP;
}

bool read_end(const uint8_t *message, size_t length, struct tcp_end *end)
{
	struct inet_diag_msg head;
	const uint8_t *attribute;
	size_t size;

	if (length < sizeof(head))
		return false;
	memcpy(&head, message, sizeof(head));
	if (head.idiag_family != AF_INET && head.idiag_family != AF_INET6)
		return false;
	message += sizeof(head);
	length -= sizeof(head);
	end->state = head.idiag_state;
	end->local = point_of(head.idiag_family, head.id.idiag_src, head.id.idiag_sport);
	end->remote = point_of(head.idiag_family, head.id.idiag_dst, head.id.idiag_dport);
	end->cookie = (uint64_t)head.id.idiag_cookie[1] << 32 | head.id.idiag_cookie[0];
	end->inode = head.idiag_inode;
	end->device = head.id.idiag_if;
	attribute = find_attribute(message, length, INET_DIAG_ULP_INFO, &size);
	if (attribute)
		read_ulp(attribute, size, end);
	if (end->state == LISTENS) {
		attribute = find_attribute(message, length, INET_DIAG_SKV6ONLY, &size);
		end->traits |= attribute && size && *attribute ? ONLY_IPV6 : 0;
		return end->local.port;
	}
	/* What is left of a socket that waits for its time to pass has no tcp_info. */
	attribute = find_attribute(message, length, INET_DIAG_INFO, &size);
	if (!attribute || !end->local.port || !end->remote.port)
		return false;
	read_info(attribute, size, end);
	return true;
}

struct target {
	struct tcp_ends *ends;
	uint16_t space;
	uint16_t traits;
};

static bool take_end(const uint8_t *message, size_t length, void *into)
{
	struct target *target = into;
	struct tcp_end *end = add_end(target->ends);

	if (!end)
		return true;
	if (!read_end(message, length, end)) {
		target->ends->count--;
		return true;
	}
	end->space = target->space;
	end->traits |= target->traits;
	return true;
}

bool list_ends(uint16_t space, struct tcp_ends *ends)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	struct target target = { .ends = ends, .space = space };
	int fd = open_netlink(NETLINK_SOCK_DIAG, 0);
	bool is_done = fd >= 0;

	for (unsigned int i = 0; i < 2 && is_done; i++)
		is_done = list_sockets(fd, families[i], 1 << (INET_DIAG_INFO - 1), STATES, take_end,
				       &target);
	if (fd >= 0)
		close(fd);
	return is_done;
}

int open_ended(void)
{
	int fd = open_netlink(NETLINK_SOCK_DIAG, ENDED_GROUPS);
	int bytes = 8 << 20;

	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	return fd;
}

bool take_ended(int fd, uint16_t space, struct tcp_ends *ends)
{
	struct target target = { .ends = ends, .space = space, .traits = IS_ENDED };
	bool is_whole = true;
	uint8_t buffer[4096];
	ssize_t n;

	while ((n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0 ||
	       (n < 0 && (errno == EINTR || errno == ENOBUFS))) {
		struct nlmsghdr head;

		if (n < 0) {
			is_whole &= errno == EINTR;
			continue;
		}
		/* The kernel sends a message for each socket. */
		memcpy(&head, buffer, sizeof(head));
		if ((size_t)n >= sizeof(head) && head.nlmsg_len >= sizeof(head) &&
		    head.nlmsg_len <= (size_t)n)
			take_end(buffer + sizeof(head), head.nlmsg_len - sizeof(head), &target);
	}
	return is_whole;
}
