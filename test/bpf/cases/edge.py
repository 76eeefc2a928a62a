# SPDX-License-Identifier: Apache-2.0
"""
Readers by edge-triggered epoll or by polls of io_uring that take a short read for the end of what
is there, as epoll(7) allows.
"""
import select
import time

from common import NOISE, Thread, equal, exchange, pair, report_line
from uring import Ring

BUFFER = 1 << 16


class EdgeReader:
    def __init__(self, sock):
        self.sock, self.epoll = sock, select.epoll()
        sock.setblocking(False)
        self.epoll.register(sock, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)
        self.wait(0)

    def wait(self, seconds):
        return self.epoll.poll(seconds)

    def read(self, size):
        """Reads up to this many bytes, and gives up when nothing wakes it for a second."""
        data = bytearray()
        while len(data) < size and self.wait(1):
            while True:
                try:
                    part = self.sock.recv(BUFFER)
                except BlockingIOError:
                    break
                data += part
                if len(part) < BUFFER:
                    break
        return bytes(data)


class RingReader(EdgeReader):
    """Waits by a poll of io_uring that stays armed and completes once for each wake-up."""

    def __init__(self, sock):
        self.sock, self.ring = sock, Ring(2048)
        sock.setblocking(False)
        self.ring.poll(sock, select.POLLIN)
        self.wait(0)

    def wait(self, seconds):
        count, is_armed = self.ring.take_polls(seconds)
        equal(is_armed, True, "the poll stays armed")
        return count


def late_by_ring(size, *counts):
    return late(size, *counts, kind=RingReader)


def late(size, *counts, kind=EdgeReader):
    """Bursts end before the reader looks at them. Gives how many bytes the reader was behind."""
    size = int(size)
    client, server = pair()
    exchange(client, server, 3)
    reader = kind(server)
    for count in map(int, counts):
        data = b"".join(NOISE[i : i + size] for i in range(count))

        def burst():
            for i in range(count):
                client.sendall(NOISE[i : i + size])

        sender = Thread(burst)
        # Nothing shows when the rest of a burst that TCP holds back has gone as far as it can.
        sender.join(0.3)
        found = reader.read(len(data))
        if found != data:
            equal(found, data[: len(found)], "what came")
            return {"behind": len(data) - len(found)}
        sender.end()
    return {"behind": 0}


def drained():
    """The last messages of a burst go over TCP because a drain began in the middle."""
    client, server = pair()
    exchange(client, server, 3)
    reader = EdgeReader(server)
    client.sendall(NOISE[:5000])
    report_line()
    client.sendall(NOISE[5000:9000])
    found = reader.read(9000)
    equal(found, NOISE[: len(found)], "what came")
    report_line()
    exchange_late(client, reader)
    return {"behind": 9000 - len(found)}


def exchange_late(client, reader):
    for i in range(20):
        client.sendall(NOISE[i : i + 3000])
        client.sendall(NOISE[i + 3000 : i + 4000])
        equal(reader.read(4000), NOISE[i : i + 4000], f"message {i} after it")


def refreshed():
    """Over some seconds of bursts, a message now and then goes over TCP."""
    client, server = pair()
    exchange(client, server, 3)
    reader = EdgeReader(server)
    end, behind = time.monotonic() + 2, 0
    while time.monotonic() < end and not behind:
        for i in range(10):
            client.sendall(NOISE[i * 100 : i * 100 + 100])
        behind = 1000 - len(reader.read(1000))
    return {"behind": behind}
