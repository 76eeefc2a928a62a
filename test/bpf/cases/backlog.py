# SPDX-License-Identifier: Apache-2.0
# Long: a function for each case.
"""Readers that are slow or stop, and connections that end with bytes unread."""
import errno
import os
import select
import signal
import socket
import struct
import time

from common import (NOISE, PATIENCE, SLOWNESS, Mailbox, Stream, Thread, connect, equal, exchange, fork, join, leave_cgroup,
                    listen, new_namespace, pair, receive, report_line)


def fill(sock):
    """Sends until the socket takes no more for a while."""
    sent, idle = 0, 0
    sock.setblocking(False)
    while idle < 20:
        try:
            sent += sock.send(NOISE[sent % 65536 : sent % 65536 + 60000])
            idle = 0
        except BlockingIOError:
            idle += 1
            time.sleep(0.01)
    sock.setblocking(True)
    return sent


TCP_RTO_MAX_MS = 44


def get_longest_timer(sock):
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, TCP_RTO_MAX_MS)
    except OSError:
        return 0


def take(sock):
    """Takes what there is, which is nothing if an edge announced bytes that are taken already."""
    try:
        return sock.recv(40000)
    except BlockingIOError:
        return b""


def paused_edges(size=1000, total=6000):
    """An edge-triggered reader that takes a short read for the end pauses until TCP has no room."""
    client, server = pair(server_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)])
    exchange(client, server, 20, size=100)
    before = get_longest_timer(client)
    edges = select.epoll()
    edges.register(server, select.EPOLLIN | select.EPOLLET)
    client.settimeout(None)

    def send():
        for _ in range(total):
            client.sendall(NOISE[:size])

    sender = Thread(send)
    time.sleep(1.5 * SLOWNESS)
    timer = get_longest_timer(client)
    server.setblocking(False)
    received = bytearray()
    while len(received) < size * total:
        assert edges.poll(PATIENCE * 4), f"no edge after {len(received)} bytes"
        while len(data := take(server)) == 40000:
            received += data
        received += data
    equal(bytes(received), NOISE[:size] * total, "stream")
    sender.end(30)
    server.settimeout(PATIENCE)
    exchange(client, server, 20)
    return {"before": before, "meanwhile": timer, "afterwards": get_longest_timer(client)}


def never_reads():
    """The sender stops, the test looks at the queue, the reader closes, and the sender is told."""
    client, server = pair()
    exchange(client, server, 5)
    sent = fill(client)
    report_line()
    server.close()
    client.settimeout(PATIENCE)
    try:
        while True:
            client.sendall(NOISE[:60000])
    except (ConnectionResetError, BrokenPipeError):
        pass
    return {"sent": sent}


def accepted_late():
    """A client fills its connection before the server accepts it; then everything arrives."""
    with listen() as listener:
        client = connect(listener.getsockname()[1])
        sent = fill(client)
        report_line()
        server, _ = listener.accept()
    server.settimeout(PATIENCE)
    data = receive(server, sent)
    equal(data, expected_of_fill(sent), "what came before accept()")
    exchange(client, server, 20)
    return {"sent": sent}


def expected_of_fill(size):
    data = bytearray()
    while len(data) < size:
        data += NOISE[len(data) % 65536 : len(data) % 65536 + 60000][: size - len(data)]
    return bytes(data)


def slow_reader(total="20000000", buffer="0"):
    options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, int(buffer))] if int(buffer) else []
    client, server = pair(server_options=options)
    exchange(client, server, 5)
    sent, received, total = Stream(), Stream(), int(total)

    def send():
        while sent.length < total:
            data = NOISE[sent.length % 99991 : sent.length % 99991 + 50000]
            client.sendall(data)
            sent.add(data)
        client.shutdown(socket.SHUT_WR)

    sender = Thread(send)
    time.sleep(0.3)
    report_line()
    while data := server.recv(30000):
        received.add(data)
        if received.length < total // 4:
            time.sleep(0.001)
    sender.end()
    equal(received.result(), sent.result(), "stream")


def half_close():
    """A reply of one megabyte comes after the client has closed its direction, and is read late."""
    for _ in range(10):
        client, server = pair()
        exchange(client, server, 5)
        client.sendall(b"request")
        client.shutdown(socket.SHUT_WR)
        equal(receive(server, 7), b"request", "request")
        equal(server.recv(1), b"", "after the request")

        def reply():
            for at in range(0, 1 << 20, 1 << 14):
                server.sendall(NOISE[at : at + (1 << 14)])
            server.close()

        sender = Thread(reply)
        time.sleep(0.05)
        equal(receive(client, 1 << 20), NOISE[: 1 << 20], "reply")
        equal(client.recv(1), b"", "after the reply")
        sender.end()
        client.close()


def close_at_once():
    """What was sent before close() arrives, and then the end of the stream."""
    for size in (1, 100, 20000, 60000):
        for _ in range(10):
            client, server = pair()
            exchange(client, server, 3)
            client.sendall(NOISE[:size])
            client.close()
            time.sleep(0.002)
            equal(receive(server, size), NOISE[:size], "last message")
            equal(server.recv(1), b"", "end of the stream")
            server.close()


def close_unread():
    """
    An end that closes with bytes unread does not hang, nor does its peer, for which the connection
    is over.
    """
    outcomes = {}
    for i in range(20):
        client, server = pair()
        exchange(client, server, 3)
        client.sendall(NOISE[:50000])
        if i % 2:
            receive(server, 100)
        server.close()
        outcome = end_of(client)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        client.close()
    return outcomes


def end_of(sock):
    """Gives how a connection ends for a reader that then writes."""
    sock.settimeout(PATIENCE)
    try:
        if sock.recv(1):
            raise AssertionError("bytes from nowhere")
        for _ in range(100):
            sock.sendall(NOISE[:1000])
            time.sleep(0.001)
        raise AssertionError("sends to a closed socket keep succeeding")
    except ConnectionResetError:
        return "reset"
    except BrokenPipeError:
        return "closed"


def reset():
    for _ in range(20):
        client, server = pair()
        exchange(client, server, 3)
        reader = Thread(read_error, server)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        equal(reader.end(), errno.ECONNRESET, "error of a blocked reader")
        server.close()


def read_error(sock):
    try:
        sock.recv(1)
        return 0
    except OSError as error:
        return error.errno


def killed(victim):
    """
    After SIGKILL under load the other end reads a prefix of what was sent, then an end or a reset,
    and does not hang.
    """
    for _ in range(10):
        client, server = pair()
        exchange(client, server, 3)
        ours, its = (client, server) if victim == "server" else (server, client)

        def load(sock=its, other=ours):
            other.close()
            while True:
                sock.sendall(NOISE[: 1 << 20])

        pid = fork(load)
        its.close()
        data = receive(ours, 3 << 20)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        try:
            while part := ours.recv(1 << 18):
                data += part
        except ConnectionResetError:
            pass
        equal(data, (NOISE[: 1 << 20] * (len(data) // (1 << 20) + 1))[: len(data)], "prefix")
        ours.close()


def forked():
    """
    Parent and child read and write one socket in turns; the connection ends when the last of them
    closes it.
    """
    client, server = pair()
    exchange(client, server, 5)
    turn, back = Mailbox(), Mailbox()

    def child():
        client.close()
        for i in range(50):
            turn.get()
            data = NOISE[i : i + 800]
            equal(receive(server, 800), data, "what the child reads")
            server.sendall(data[::-1])
            back.put()

    pid = fork(child)
    for i in range(50):
        data = NOISE[i : i + 800]
        client.sendall(data)
        turn.put()
        equal(receive(client, 800), data[::-1], "what the child wrote")
        back.get()
        client.sendall(data)
        equal(receive(server, 800), data, "what the parent reads")
        server.sendall(data)
        equal(receive(client, 800), data, "what the parent wrote")
    join(pid)
    exchange(client, server, 20)
    server.close()
    equal(client.recv(1), b"", "end of the stream")


def hand_over():
    """A process passes its listener to another one and ends; that one accepts."""
    mine, its = socket.socketpair(socket.AF_UNIX)
    port = Mailbox()

    def maker():
        listener = listen()
        port.put(str(listener.getsockname()[1]))
        socket.send_fds(mine, [b"x"], [listener.fileno()])

    def taker():
        _, fds, _, _ = socket.recv_fds(its, 1, 1)
        listener = socket.socket(fileno=fds[0])
        port.put("taken")
        for _ in range(10):
            server, _ = listener.accept()
            while data := server.recv(65536):
                server.sendall(data)
            server.close()

    makes, takes = fork(maker), fork(taker)
    number = int(port.get())
    early = connect(number)
    join(makes)
    equal(port.get(), "taken", "listener")
    for i in range(10):
        client = early if i == 0 else connect(number)
        for j in range(20):
            client.sendall(NOISE[j : j + 500])
            equal(receive(client, 500), NOISE[j : j + 500], "echo")
        client.close()
    join(takes)


def count_dropped():
    """Gives how many segments the receivers of this network namespace had no room for."""
    with open("/proc/net/netstat") as file:
        lines = [line.split() for line in file]
    counters = dict(zip(lines[0][1:], lines[1][1:]))
    return int(counters["TCPRcvQDrop"]) + int(counters["RcvPruned"])


def paused(way, buffer, size):
    """
    A reader pauses while its sender goes on, and then reads. Gives how often TCP had no room for
    what its window had allowed.
    """
    new_namespace()
    if way == "plain":
        leave_cgroup()
    options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, int(buffer))] if int(buffer) else []
    client, server = pair(server_options=options)
    exchange(client, server, 20, size=100)
    size, total = int(size), 12_000_000 // int(size)
    client.settimeout(None)
    sender = Thread(lambda: [client.sendall(NOISE[:size]) for _ in range(total)])
    time.sleep(1.5 * SLOWNESS)
    for i in range(total):
        equal(receive(server, size), NOISE[:size], f"message {i}")
    sender.end(30)
    exchange(client, server, 20)
    return {"dropped": count_dropped()}
