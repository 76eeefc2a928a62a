// SPDX-License-Identifier: Apache-2.0
/*
 * What must hold on any TCP connection: the steps of each side, with client and server in two
 * processes.
 *
 * a    connect or accept                    F    connect by sendto(MSG_FASTOPEN) of 1000 bytes
 * sN   send N bytes                         rN   receive N bytes
 * S    send three messages                  R    receive three messages
 * cN   N requests and responses             bN   N small ones
 * wN   recv(N, MSG_WAITALL)                 dN   send and receive N bytes at once
 * x    shutdown(SHUT_WR)                    e    the other side has ended, nothing is left
 * zN   sleep N ms                           o    sleep 2 ms on each second connection
 * u    wait for bytes, and leave them       l    send RST on close
 * fN   EOF or ECONNRESET; it is fact N      p q  wake-ups of poll and epoll, of recv
 *
 * Each side closes the connection at the end of its text.
 */
#include "selftest.h"

/* If a redirect is to be in progress, requests and responses come first. */
const struct scene scenes[] = {
	{ "ipv4", "ac200xe", "ac200e", 0, IPV4, 0 },
	{ "ipv6", "ac200xe", "ac200e", 0, IPV6, 0 },
	{ "ipv4_mapped", "ac200xe", "ac200e", 0, IPV4_MAPPED, 0 },
	{ "early_server", "aoRc8xe", "aSc8e", 9, IPV4, 0 },
	{ "early_client", "aSc8xe", "oaRc8e", 9, IPV4, 0 },
	{ "early_both", "aSRc8xe", "aSRc8e", 9, IPV4, 0 },
	{ "deferred_accept", "as4z5s4c8xe", "aw8c8e", 4, IPV4, TCP_DEFER_ACCEPT },
	{ "fast_open", "FSc8xe", "ar1000Rc8e", 4, IPV4, TCP_FASTOPEN },
	{ "slow_reader", "ac8s8388608c8xe", "ac8z150r8388608c8e", 0, IPV4, 0 },
	{ "half_close", "ac8s1000xz20r1048576e", "ac8r1000es1048576", 0, IPV4, 0 },
	{ "reset", "ac8l", "ac8f18", 0, IPV4, 0 },
	{ "close_unread", "ac8s1000f19", "ac8u", 0, IPV4, 0 },
	{ "short_connections", "ab1xe", "ab1e", 199, IPV4, 0 },
	{ "duplex", "ac8d4194304xe", "ac8d4194304e", 0, IPV4, 0 },
	{ "duplex_at_once", "ad4194304xe", "ad4194304e", 0, IPV4, 0 },
	{ "wake_poll", "apxe", "ape", 0, IPV4, 0 },
	{ "wake_recv", "aq", "aq", 0, IPV4, 0 },
};

const unsigned int scene_count = sizeof(scenes) / sizeof(*scenes);
_Static_assert(RESET == 18 && CLOSE_UNREAD == 19, "the facts f18 and f19");
