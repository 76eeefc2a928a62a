// SPDX-License-Identifier: Apache-2.0
/* Asks a socket of another process for the options that keep it on TCP. */
#include "advise.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#endif
#ifndef TCP_INQ
#define TCP_INQ 36
#endif

/* The options beside these two that bpf/peer.h finds in the fields of a socket. */
static const struct {
	int level;
	int option;
	/* What the option is if nobody has set it. */
	int usual;
} others[] = {
	{ SOL_SOCKET, SO_OOBINLINE, 0 },	{ SOL_SOCKET, SO_PEEK_OFF, -1 },
	{ SOL_SOCKET, SO_TIMESTAMP, 0 },	{ SOL_SOCKET, SO_TIMESTAMPNS, 0 },
	{ SOL_SOCKET, SO_TIMESTAMPING, 0 },	{ IPPROTO_TCP, TCP_INQ, 0 },
	{ SOL_SOCKET, SO_MAX_PACING_RATE, -1 },
};

static int get_option(int fd, int level, int option, int usual)
{
	int value = usual;
	socklen_t length = sizeof(value);

	return getsockopt(fd, level, option, &value, &length) || length != sizeof(value) ? usual
											 : value;
}

/* The kernel tells how long a filter is if there is no room for it. */
static bool has_filter(int fd)
{
	socklen_t length = 0;

	return !getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &length) && length;
}

bool ask_options(int pidfd, unsigned int fd, struct tcp_end *end)
{
	int own = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	struct stat stat;

	if (own < 0)
		return false;
	/* The process may have closed it meanwhile, and opened another one in its place. */
	if (fstat(own, &stat) || !S_ISSOCK(stat.st_mode) || stat.st_ino != end->inode) {
		close(own);
		return false;
	}
	if (end->state == LISTENS) {
		/* Where FIONREAD misses nothing, the bypass takes what such a listener accepts. */
		if (!is_fionread_exact && get_option(own, IPPROTO_TCP, TCP_DEFER_ACCEPT, 0))
			end->traits |= DEFERS;
	} else {
		end->traits |= get_option(own, SOL_SOCKET, SO_RCVLOWAT, 1) > 1 ? HAS_LOWAT : 0;
		end->traits |= get_option(own, SOL_SOCKET, SO_ZEROCOPY, 0) ? HAS_ZEROCOPY : 0;
		end->traits |= has_filter(own) ? HAS_OPTION : 0;
		for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
			if (get_option(own, others[i].level, others[i].option, others[i].usual) !=
			    others[i].usual)
				end->traits |= HAS_OPTION;
	}
	close(own);
	return true;
}
