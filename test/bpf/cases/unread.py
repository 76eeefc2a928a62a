# SPDX-License-Identifier: Apache-2.0
"""Programs that ask FIONREAD how much there is to read, and what reaches them by TCP."""
import select
import socket

from common import NOISE, PATIENCE, connect, equal, exchange, listen, receive
from limits import count_unread

TCP = socket.IPPROTO_TCP


def deferred(count, size=3000):
    """What each end is told before it reads: the server of a request that came before it was there, the client of the answer."""
    told = {"server": 0, "client": 0}
    with listen(options=[(TCP, socket.TCP_DEFER_ACCEPT, 5)]) as listener:
        for i in range(int(count)):
            client = connect(listener.getsockname()[1])
            client.sendall(NOISE[i : i + size])
            server, _ = listener.accept()
            server.settimeout(PATIENCE)
            for name, reader in (("server", server), ("client", client)):
                equal(bool(select.select([reader], [], [], PATIENCE)[0]), True, f"{name} readable")
                told[name] += count_unread(reader) == size
                equal(receive(reader, size), NOISE[i : i + size], f"{name} of connection {i}")
                if reader is server:
                    server.sendall(NOISE[i : i + size])
            exchange(client, server, 5)
            client.close()
            server.close()
    return told


def early(count):
    """Clients of an ordinary listener that send as soon as they can, each before its server is there."""
    with listen() as listener:
        for i in range(int(count)):
            client = connect(listener.getsockname()[1])
            client.sendall(NOISE[i : i + 3000])
            server, _ = listener.accept()
            server.settimeout(PATIENCE)
            equal(receive(server, 3000), NOISE[i : i + 3000], f"connection {i}")
            exchange(client, server, 2)
            client.close()
            server.close()
