# SPDX-License-Identifier: Apache-2.0
"""
Connections in a cgroup that has another program beside ours; the sockets show what that one asked
for.
"""
import socket
import struct

from common import call, exchange, fork, join, new_namespace, pair, report_line
from paths import bound

TCP = socket.IPPROTO_TCP


def read_info(sock, offset):
    """Gives a number from struct tcp_info."""
    return struct.unpack_from("I", sock.getsockopt(TCP, socket.TCP_INFO, 256), offset)[0]


def replies():
    """
    Gives the window that the listener offers first, and checks the time after which a SYN is
    retransmitted.
    """
    small = [(TCP, socket.TCP_MAXSEG, 500)]
    client, server = pair(options=small, server_options=small)
    found = {"window": read_info(client, 228)}

    def play():
        call("nft -f -", text=True, input="table ip t { chain c { type filter hook output priority 0; tcp dport 9 drop; }\n}\n")
        lost = bound(0)
        lost.setblocking(False)
        lost.connect_ex(("127.0.0.1", 9))
        if read_info(lost, 8) != 7_000_000:
            raise AssertionError(f"retransmission timeout: {read_info(lost, 8)} us")

    join(fork(lambda: (new_namespace(), play())))
    exchange(client, server)
    report_line("used")
    exchange(client, server)
    report_line("drained")
    exchange(client, server)
    client.close()
    server.close()
    return found


def used_and_idle():
    """A pair redirects, and stays open for the test to look at."""
    client, server = pair()
    exchange(client, server)
    report_line("used")
    exchange(client, server)
    report_line("used again")


def spilling(times="4000"):
    """Messages go over TCP now and then, so that there are round trips to measure."""
    client, server = pair()
    exchange(client, server, int(times), 3000)
