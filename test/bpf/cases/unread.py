# SPDX-License-Identifier: Apache-2.0
"""Programs that ask FIONREAD how much there is to read, and what reaches them over TCP."""
import ctypes
import os
import select
import signal
import socket
import time

from common import (NOISE, PATIENCE, connect, equal, exchange, fork, listen, new_namespace_that_hands_packets_to_cpu_1, pair,
                    receive)
from limits import count_unread

TCP = socket.IPPROTO_TCP


def deferred(count, size=3000):
    """
    Counts how often FIONREAD is right before each end reads: for the server, of a request that came
    before its socket existed; for the client, of the answer.
    """
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
    """
    Clients of an ordinary listener send as soon as they can, each before its connection is
    accepted.
    """
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


class Believer:
    """
    Reads by edges, and less than there may be. When FIONREAD says that nothing is left, it waits
    for the next edge, as nginx does.
    """

    def __init__(self, sock, how=select.EPOLLET):
        self.sock, self.poll = sock, select.epoll()
        sock.setblocking(False)
        self.poll.register(sock, select.EPOLLIN | select.EPOLLRDHUP | how)

    def receive(self, size, part=1000):
        data = bytearray()
        while len(data) < size and self.poll.poll(3):
            while True:
                try:
                    data += self.sock.recv(part)
                except BlockingIOError:
                    break
                if not count_unread(self.sock):
                    break
        return bytes(data)


def believed(times, pause, kind="edges"):
    """
    Sends requests that are longer than one read, with a pause between them. Gives how many did not
    arrive whole.
    """
    client, server = pair()
    reader = None if kind == "blocks" else Believer(server, 0 if kind == "levels" else select.EPOLLET)
    if not reader:
        # With a timeout, Python makes the socket non-blocking, and it may count as edge-triggered.
        server.settimeout(None)
    behind = 0
    for i in range(int(times)):
        data = NOISE[i : i + 3500]
        client.sendall(data)
        found = reader.receive(3500) if reader else receive(server, 3500)
        behind += found != data
        if found != data:
            break
        time.sleep(float(pause))
    return {"behind": behind}


def count_behind(listener, serve, count, prepare=lambda client: None):
    """
    Connects so many clients on CPU 0, one after the other, to a server on CPU 1 that answers with
    the number of bytes that it got. Gives how many requests did not arrive whole.
    """

    def serve_on_cpu_1():
        os.sched_setaffinity(0, {1})
        while True:
            server = serve()
            server.sendall(b"%d" % len(Believer(server).receive(3500)))
            server.close()

    pid = fork(serve_on_cpu_1)
    os.sched_setaffinity(0, {0})
    behind = 0
    for i in range(int(count)):
        with connect(listener.getsockname()[1]) as client:
            prepare(client)
            client.sendall(NOISE[i : i + 3500])
            behind += client.recv(10) != b"3500"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return {"behind": behind}


def sent_before_enrolment(count):
    """Clients send while another CPU still makes their server's socket."""
    new_namespace_that_hands_packets_to_cpu_1()
    with listen() as listener:
        return count_behind(listener, lambda: listener.accept()[0], count)


def attended_late(count):
    """Clients send between their server's accept() and its epoll_ctl()."""
    libc = ctypes.CDLL(None, use_errno=True)
    accepted, tell = os.pipe()
    with listen() as listener:

        def serve():
            # Python's own accept() would set O_NONBLOCK in a separate call.
            server = socket.socket(fileno=libc.accept4(listener.fileno(), None, None, socket.SOCK_NONBLOCK))
            os.write(tell, b"1")
            registers = time.monotonic() + 0.0003
            while time.monotonic() < registers:
                pass
            return server

        def prepare(client):
            client.settimeout(None)  # so that nobody takes it for one that may be read by edges
            os.read(accepted, 1)

        return count_behind(listener, serve, count, prepare)
