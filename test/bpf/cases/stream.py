# SPDX-License-Identifier: Apache-2.0
"""Streams in both directions at once, hash-checked."""
import mmap
import random
import select
import socket
import time

import common
from common import NOISE, SLOWNESS, Mailbox, Stream, Thread, equal, fork, join, pair, patiently, receive, report_line


class End:
    """
    The time to stop: after this many seconds, or with 0 when tell() is called. Processes that are
    forked later share it.
    """

    def __init__(self, seconds=0):
        self.told = mmap.mmap(-1, 1)
        self.time = time.monotonic() + (seconds or 3600) * SLOWNESS

    def tell(self):
        self.told[0] = 1

    def is_over(self):
        return self.told[0] or time.monotonic() > self.time


def send_stream(sock, end, largest, seed, total=None):
    """Sends pieces of random sizes until the end or a length is reached. Gives what was sent."""
    rng, stream = random.Random(seed), Stream()
    noise = memoryview(NOISE)
    while not end.is_over() and (total is None or stream.length < total):
        size = rng.choice((rng.randint(1, 200), rng.randint(1, 8000), rng.randint(1, largest)))
        start = rng.randrange(len(NOISE) // 2)
        data = noise[start : start + size]
        sock.sendall(data)
        stream.add(data)
        if rng.random() < 0.0005:
            time.sleep(rng.random() * 0.02)
    sock.shutdown(socket.SHUT_WR)
    return stream.result()


def receive_stream(sock, seed):
    rng, stream = random.Random(seed), Stream()
    buffer = memoryview(bytearray(1 << 18))
    while size := patiently(sock.recv_into, buffer, rng.choice((100, 5000, 1 << 16, 1 << 18))):
        stream.add(buffer[:size])
        if rng.random() < 0.0005:
            time.sleep(rng.random() * 0.02)
    return stream.result()


def both_ways(sock, results, end, largest, seed, total):
    sock.settimeout(None)
    sender = Thread(send_stream, sock, end, largest, seed, total)
    received = receive_stream(sock, seed + 1)
    results.put(f"{sender.end(60)}\n{received}\n{common.spurious}")
    sock.close()


def event_loop(sock, results, end, largest, seed, total):
    """
    Does the same in one thread that never blocks, which lets the direction return from TCP again
    and again.
    """
    rng, sent, received = random.Random(seed), Stream(), Stream()
    noise, buffer = memoryview(NOISE), memoryview(bytearray(1 << 18))
    sock.setblocking(False)
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLOUT)
    is_sending = is_receiving = True
    while is_sending or is_receiving:
        events = poll.poll(20)
        ready = events[0][1] if events else select.POLLIN | select.POLLOUT
        if is_receiving and ready & (select.POLLIN | select.POLLHUP):
            try:
                size = sock.recv_into(buffer, rng.choice((100, 5000, 1 << 16, 1 << 18)))
                received.add(buffer[:size])
                is_receiving = size > 0
            except BlockingIOError:
                pass
        for _ in range(rng.randint(0, 8) if is_sending and ready & select.POLLOUT else 0):
            start, size = rng.randrange(len(NOISE) // 2), rng.randint(1, rng.choice((200, 8000, largest)))
            try:
                size = sock.send(noise[start : start + size])
                sent.add(noise[start : start + size])
            except BlockingIOError:
                break
        if is_sending and (sent.length >= total or end.is_over()):
            sock.shutdown(socket.SHUT_WR)
            is_sending = False
            poll.modify(sock, select.POLLIN)
    results.put(f"{sent.result()}\n{received.result()}\n0")
    sock.close()


def fork_end(function, socks, end, *args):
    """
    Runs one end in a process of its own that has its only descriptor: with a second one, a busy
    direction stays on TCP.
    """

    def run():
        socks[1 - end].close()
        function(socks[end], *args)

    return fork(run)


def duplex(connections="20", megabytes="300", seconds="7", largest="100000", buffer="0", way="threads"):
    """
    Each connection has a process at each end. Both must have read exactly what the other end sent.
    """
    connections, seed = int(connections), random.randrange(1 << 30)
    total = int(megabytes) * 1_000_000 // connections // 2
    stop = End(float(seconds))
    options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, int(buffer))] if int(buffer) else []
    pids, ends = [], []
    for i in range(connections):
        socks = pair(options=options, server_options=options)
        for end in range(2):
            results = Mailbox()
            function = event_loop if way == "loop" else both_ways
            pids.append(fork_end(function, socks, end, results, stop, int(largest), seed + i * 4 + end * 2, total))
            ends.append(results)
        for sock in socks:
            sock.close()
    report_line("running")
    if seconds == "0":
        report_line("told")
        stop.tell()
    answers = [(end.get(), end.get(), int(end.get())) for end in ends]
    join(*pids)
    length = 0
    for i in range(0, len(answers), 2):
        (sent, received, _), (its_sent, its_received, _) = answers[i], answers[i + 1]
        equal(its_received, sent, f"connection {i // 2} of seed {seed}, client to server")
        equal(received, its_sent, f"connection {i // 2} of seed {seed}, server to client")
        length += int(sent.split()[0]) + int(its_sent.split()[0])
    return {"bytes": length, "spurious": sum(answer[2] for answer in answers)}


def talk(sock, results, is_client, end, seed):
    """Exchanges requests and replies of random sizes, until the client stops."""
    rng, sent, received = random.Random(seed), Stream(), Stream()
    while True:
        if is_client:
            size = rng.randint(1, 30000)
            stop = end.is_over()
            message = (0 if stop else size).to_bytes(4, "big") + NOISE[: 0 if stop else size]
            sock.sendall(message)
            sent.add(message)
            if stop:
                break
        head = receive(sock, 4)
        size = int.from_bytes(head, "big")
        body = receive(sock, size)
        received.add(head + body)
        equal(body, NOISE[:size], "body of a message")
        if not size:
            break
        if not is_client:
            sock.sendall(head + body)
            sent.add(head + body)
    results.put(f"{sent.result()}\n{received.result()}")


def request_reply(connections="10", seconds="4"):
    pids, ends, stop = [], [], End(float(seconds))
    for i in range(int(connections)):
        socks = pair()
        for end, sock in enumerate(socks):
            sock.settimeout(None)
            results = Mailbox()
            pids.append(fork_end(talk, socks, end, results, end == 0, stop, i))
            ends.append(results)
        for sock in socks:
            sock.close()
    report_line("running")
    if seconds == "0":
        report_line("told")
        stop.tell()
    answers = [(end.get(), end.get()) for end in ends]
    join(*pids)
    for i in range(0, len(answers), 2):
        equal(answers[i], answers[i + 1][::-1], f"connection {i // 2}")
    return {"bytes": sum(int(a[0].split()[0]) for a in answers)}
