# SPDX-License-Identifier: Apache-2.0
"""
What a local user may do to the maps: fill them, choose sequence numbers, come and go. Also sockets
whose memory is reused.
"""
import os
import resource
import signal
import socket
import struct
import time

from common import (NOISE, PATIENCE, Mailbox, connect, equal, exchange, fork, join, leave_cgroup, listen, new_namespace,
                    new_namespace_that_hands_packets_to_cpu_1, receive, report_line)
from forger import TCP_REPAIR, choose_sequence
from paths import bound, leave_note, place, reset_close, wire


def churn(port, first, count=200):
    """
    Fills `claims` again and again with claims that nobody takes: their clients look local, but
    their server is in another cgroup.
    """
    socks = []
    while True:
        for i in range(count):
            leave_note(first + i)
            sock = bound(first + i)
            sock.connect(("127.0.0.1", port))
            socks.append(sock)
        for sock in socks:
            reset_close(sock)
        socks.clear()


def outside():
    """
    Starts a server in another cgroup that accepts and sends nothing. Gives its PID and its port.
    """
    port = Mailbox()

    def serve():
        leave_cgroup()
        listener = listen()
        port.put(str(listener.getsockname()[1]))
        while True:
            listener.accept()[0].close()

    pid = fork(serve)
    return pid, int(port.get())


def evicted(connections="60", rounds="400"):
    """
    Connections between two namespaces are made while `claims` overflows. A connection to a listener
    that defers is established only by its first bytes, so there is time for its claim to be pushed
    out.
    """
    outsider, port = outside()
    churners = [fork(churn, port, first) for first in (20000, 21000)]
    listening, connections, rounds = Mailbox(), int(connections), int(rounds)

    def backend():
        deferring = [(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)]
        listener = listen(address="10.77.0.2", port=7000, options=deferring)
        listening.put()
        for i in range(connections):
            server, _ = listener.accept()
            server.settimeout(PATIENCE)
            server.sendall(NOISE[i : i + 3000])
            equal(receive(server, 3000), NOISE[i + 5 : i + 3005], "what the client sent")
            for _ in range(rounds):
                server.sendall(receive(server, 50))
            server.close()

    def client():
        for i in range(connections):
            sock = connect(7000, address="10.77.0.2")
            time.sleep(0.01 if i % 2 else 0)
            sock.sendall(NOISE[i + 5 : i + 3005])
            equal(receive(sock, 3000), NOISE[i : i + 3000], "what the server sent")
            for at in range(rounds):
                sock.sendall(NOISE[at : at + 50])
                equal(receive(sock, 50), NOISE[at : at + 50], "echo")
            equal(sock.recv(1), b"", "end of the stream")
            sock.close()

    near, go_near = place(client)
    far, go_far = place(backend)
    wire(near, "10.77.0.1/24", far, "10.77.0.2/24", 1)
    go_far.put()
    listening.get()
    go_near.put()
    join(near, far)
    for pid in (outsider, *churners):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def repaired():
    """
    A socket in TCP_REPAIR claims to be established; one whose first sequence number was chosen
    makes an ordinary connection.
    """

    def play():
        leave_note(7001)
        sock = bound(7001)
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        sock.connect(("127.0.0.1", 9))
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, -1)

        with listen() as listener:
            client = socket.socket()
            choose_sequence(client)
            client.connect(listener.getsockname())
            server, _ = listener.accept()
        exchange(client, server)

    new_namespace()
    play()


def used_again(rounds=30, count=40):
    """
    New sockets get the memory of closed ones. What is sent to a closed one must reach nobody else.
    """
    with listen() as listener:
        port = listener.getsockname()[1]

        def open_some():
            pairs = []
            for _ in range(count):
                client = connect(port)
                pairs.append((client, listener.accept()[0]))
            for ends in pairs:
                exchange(*ends, 2, 100)
            return pairs

        for _ in range(rounds):
            old = open_some()
            for _, server in old:
                server.close()
            new = open_some()
            for client, _ in old:
                for _ in range(3):
                    try:
                        client.send(b"OLD" * 100)
                    except (ConnectionResetError, BrokenPipeError):
                        pass
                client.close()
            for i, ends in enumerate(new):
                exchange(*ends, 3, 100 + i)
            for ends in new:
                expect_silence(*ends)


def expect_silence(*socks):
    for sock in socks:
        sock.setblocking(False)
        try:
            raise AssertionError(f"bytes from nowhere: {sock.recv(100)!r}")
        except BlockingIOError:
            pass
    for sock in socks:
        sock.close()


def crowd(count="10000", processes="4"):
    """Several processes hold this many connections at once; the test drains them in between."""
    steps = [(Mailbox(), Mailbox()) for _ in range(int(processes))]
    pids = [fork(keep_open, int(count) // int(processes), *boxes) for boxes in steps]
    for name in ("open", "used", "closed"):
        for done, _ in steps:
            equal(done.get(), name, "step")
        report_line(name)
        for _, go in steps:
            go.put()
    join(*pids)


def keep_open(count, done, go):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    pairs = []
    with listen() as listener:
        for _ in range(count):
            client = socket.socket()
            client.connect(listener.getsockname())
            pairs.append((client, listener.accept()[0]))
    for name in ("open", "used"):
        speak(pairs)
        done.put(name)
        go.get()
    for ends in pairs:
        for sock in ends:
            sock.close()
    done.put("closed")
    go.get()


def speak(pairs):
    for i, (client, server) in enumerate(pairs):
        data = i.to_bytes(4, "big") * 25
        for writer, reader in ((client, server), (server, client)):
            writer.send(data)
            found = reader.recv(200)
            if found != data:
                raise AssertionError(f"connection {i}: found {found!r}")


def reset_at_once(count):
    """
    Clients reset their connection as soon as they have it, while another CPU still makes the
    server's socket: the loopback device of this network namespace hands its packets to CPU 1.
    """
    new_namespace_that_hands_packets_to_cpu_1()
    with listen() as listener:
        address = listener.getsockname()

        def accept():
            os.sched_setaffinity(0, {1})
            while True:
                listener.accept()[0].close()

        server = fork(accept)
        os.sched_setaffinity(0, {0})
        for _ in range(int(count)):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.connect(address)
            sock.close()
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
