# SPDX-License-Identifier: Apache-2.0
# Long: a function for each case.
"""
Programs that splice from a socket. Real ones (Go, HAProxy) fall back to recv() where a splice is
refused. Those that cannot fall back get everything only if they splice before anything was
redirected to them.
"""
import array
import ctypes
import errno
import os
import socket
import threading
import time

from common import LIBC, NOISE, PATIENCE, Stream, Thread, connect, equal, exchange, fork, join, leave_cgroup
from common import listen, pair, patiently, receive, report_line

REFUSALS = (errno.EINVAL, errno.ENOSYS)
PR_SET_NAME = 15


class Pipe:
    """A pipe that is read as soon as something was spliced into it."""

    def __init__(self):
        self.source, self.sink = os.pipe()

    def take(self, moved):
        data = bytearray()
        while len(data) < moved:
            data += os.read(self.source, moved - len(data))
        return bytes(data)

    def close(self):
        os.close(self.source)
        os.close(self.sink)


def by_splice(sock, pipe, size):
    return os.splice(sock.fileno(), pipe.sink, size)


def by_sendfile(sock, pipe, size):
    return os.sendfile(pipe.sink, sock.fileno(), None, size)


def by_ring(sock, pipe, size):
    from uring import Ring

    if not hasattr(pipe, "ring"):
        pipe.ring = Ring()
    return pipe.ring.splice(sock.fileno(), pipe.sink, size)


MOVES = {"splice": by_splice, "sendfile": by_sendfile, "ring": by_ring}


class Reader:
    """
    Reads by splice. If it `falls_back`, it reads by recv() from the first refusal on, as Go does;
    if it also `mixes`, it tries splice again after each.
    """

    def __init__(self, sock, move="splice", blocks=True, falls_back=False, mixes=False):
        self.sock, self.move, self.blocks = sock, MOVES[move], blocks
        self.falls_back, self.mixes = falls_back, mixes
        self.refused = self.taken = 0
        self.pipe = Pipe()
        sock.setblocking(blocks)

    def wait(self):
        import select

        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        poll.poll(PATIENCE * 1000)

    def some(self, most):
        while True:
            if not self.refused or self.mixes:
                try:
                    return self.pipe.take(self.move(self.sock, self.pipe, most))
                except BlockingIOError:
                    self.wait()
                    continue
                except OSError as error:
                    if error.errno not in REFUSALS or not self.falls_back:
                        raise
                    self.refused += 1
            try:
                return patiently(self.sock.recv, most) if self.blocks else self.sock.recv(most)
            except BlockingIOError:
                self.wait()

    def read(self, size):
        data = bytearray()
        turn = 0
        while len(data) < size:
            turn += 1
            if self.mixes and turn % 2:
                try:
                    part = self.sock.recv(min(size - len(data), 5000))
                except BlockingIOError:
                    self.wait()
                    continue
            else:
                part = self.some(min(size - len(data), 1 << 15))
            if not part:
                break
            data += part
            self.taken = len(data)
        self.pipe.close()
        return bytes(data)


def send_pieces(sock, size, piece=3000, start=0):
    sock.settimeout(PATIENCE)
    for at in range(start, size, piece):
        sock.sendall(NOISE[at : min(at + piece, size)])


def converse(client, reader, size):
    """Reads one direction by splice, then the other by recv."""
    reading = Thread(reader.read, size)
    # At first each message waits until the one before it was read, because only then may it be
    # redirected.
    for at in range(0, 5000, 100):
        client.sendall(NOISE[at : at + 100])
        while reader.taken < at + 100 and reading.is_alive():
            time.sleep(0.001)
    sending = Thread(send_pieces, client, size, 3000, 5000)
    equal(reading.end(), NOISE[:size], "spliced")
    sending.end()
    reader.sock.settimeout(PATIENCE)
    answer = Thread(send_pieces, reader.sock, size)
    equal(receive(client, size), NOISE[:size], "answer")
    answer.end()


def from_the_first(move="splice", blocks="blocks", size=300000):
    """The reader knows no other way to read."""
    client, server = pair()
    converse(client, Reader(server, move, blocks == "blocks"), size)
    return {}


def asleep(move="splice", size=300000):
    """The reader sleeps in a splice when the first byte comes."""
    client, server = pair()
    reader = Reader(server, move)
    reading = Thread(reader.read, size)
    reading.join(0.5)
    send_pieces(client, size)
    equal(reading.end(), NOISE[:size], "spliced")
    return {}


def after_the_end(move="splice"):
    """
    The connection has ended, and nothing will tell the bypass when the reader closes its socket.
    """
    client, server = pair()
    client.shutdown(socket.SHUT_WR)
    equal(server.recv(1), b"", "end")
    server.close()
    time.sleep(0.1)
    pipe = Pipe()
    equal(pipe.take(MOVES[move](client, pipe, 1)), b"", "spliced")
    pipe.close()
    client.close()
    return {}


def after_a_header(move="splice", blocks="blocks", mixes="", size=300000):
    """The reader has received bytes before it splices, and redirected ones among them."""
    client, server = pair()
    exchange(client, server)
    reader = Reader(server, move, blocks == "blocks", falls_back=True, mixes=mixes == "mixes")
    converse(client, reader, size)
    return {"refused": reader.refused}


def again_and_again(size=1000000):
    """
    The reader has received; from then on it splices at each read, and receives where that is
    refused.
    """
    client, server = pair()
    exchange(client, server)
    reader = Reader(server, falls_back=True, mixes=True)
    sending = Thread(send_pieces, client, size)
    data = bytearray()
    while len(data) < size:
        data += reader.some(1 << 15)
    equal(bytes(data), NOISE[:size], "received and spliced")
    sending.end()
    before = reader.refused
    server.settimeout(PATIENCE)
    exchange(client, server, 5)
    reader.sock.setblocking(True)
    client.sendall(NOISE[:1000])
    equal(reader.some(1000), NOISE[:1000], "spliced at the end")
    return {"refused": before, "refused_at_the_end": reader.refused - before}


def several(size=300000):
    """One thread receives and one splices, and each byte reaches one of them."""
    client, server = pair()
    exchange(client, server)
    found = [bytearray(), bytearray()]
    reader = Reader(server, blocks=False, falls_back=True, mixes=False)
    done = threading.Event()

    def splice_some():
        while not done.is_set():
            reader.refused = 0
            reader.wait = lambda: done.wait(0.001) and exit_thread()
            try:
                found[0] += reader.some(1 << 14)
            except SystemExit:
                return
            count()

    def exit_thread():
        raise SystemExit

    def receive_some():
        while not done.is_set():
            try:
                found[1] += server.recv(1 << 14)
            except BlockingIOError:
                done.wait(0.001)
            count()

    def count():
        if len(found[0]) + len(found[1]) >= size:
            done.set()

    threads = [Thread(splice_some), Thread(receive_some)]
    send_pieces(client, size)
    for thread in threads:
        thread.end()
    equal(sorted(found[0] + found[1]), sorted(NOISE[:size]), "bytes")
    return {}


def forked(size=300000):
    """A parent receives, and then its child splices."""
    client, server = pair()
    exchange(client, server)

    def child():
        equal(Reader(server, falls_back=True).read(size), NOISE[:size], "spliced")

    pid = fork(child)
    send_pieces(client, size)
    join(pid)
    exchange(client, server)
    return {}


def passed(size=300000):
    """The process that accepts passes the socket to one that only splices."""
    client, server = pair()
    ours, theirs = socket.socketpair()

    def child():
        _, messages, _, _ = theirs.recvmsg(1, 100)
        sock = socket.socket(fileno=array.array("i", messages[0][2][:4])[0])
        equal(Reader(sock).read(size), NOISE[:size], "spliced")

    pid = fork(child)
    ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [server.fileno()]))])
    server.close()
    send_pieces(client, size)
    join(pid)
    return {}


def named(name):
    """Gives the error that a program of this name gets for a splice."""
    LIBC.prctl(PR_SET_NAME, name.encode(), 0, 0, 0)
    client, server = pair()
    exchange(client, server)
    try:
        by_splice(server, Pipe(), 100)
    except OSError as error:
        return {"error": error.errno}
    return {"error": 0}


def left(falls_back="", size=100000):
    """
    The reader is redirected to, and then splices; in between the test may make its socket leave the
    bypass.
    """
    client, server = pair()
    exchange(client, server)
    report_line()
    exchange(client, server)
    reader = Reader(server, falls_back=falls_back == "falls_back")
    converse(client, reader, size)
    return {"refused": reader.refused}


def reset_unread(size=20000):
    """After a reset, the reader gets what was redirected before, but not by splice."""
    client, server = pair()
    exchange(client, server)
    client.sendall(NOISE[:size])
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    threading.Event().wait(0.3)
    reader = Reader(server, falls_back=True)
    equal(reader.read(size), NOISE[:size], "rest")
    return {"refused": reader.refused}


def elsewhere(size=100000):
    """Sockets in another cgroup are not enrolled."""
    leave_cgroup()
    client, server = pair()
    exchange(client, server)
    converse(client, Reader(server), size)
    return {}


def adopted(wait, size=200000):
    """
    An open connection is adopted whose reader has spliced by then (`early`), sleeps in a splice
    meanwhile (`asleep`), or splices later (`late`).
    """
    client, server = pair()
    reader = Reader(server, falls_back=wait == "late")
    if wait == "early":
        reading = Thread(reader.read, 5000)
        send_pieces(client, 5000)
        equal(reading.end(), NOISE[:5000], "before")
        reader = Reader(server)
    elif wait == "late":
        exchange(client, server)
    if wait == "asleep":
        reading = Thread(reader.read, 5000)
        reading.join(0.5)
    report_line()
    if wait == "asleep":
        send_pieces(client, 5000)
        equal(reading.end(), NOISE[:5000], "asleep")
        reader = Reader(server)
    if wait == "late":
        for _ in range(30):
            exchange(client, server, 10)
            threading.Event().wait(0.1)
    converse(client, reader, size)
    return {"refused": reader.refused}


def relayed(falls_back="falls_back", early="early", size=2000000):
    """
    A proxy splices each way between two connections; each end sends, ends its direction and reads
    to the end.
    """
    size = int(size)
    front, back = listen(), listen()
    client = connect(front.getsockname()[1])
    inside, _ = front.accept()
    outside = connect(back.getsockname()[1])
    server, _ = back.accept()
    for sock in (inside, outside, server):
        sock.settimeout(PATIENCE)

    def carry(source, sink):
        reader = Reader(source, falls_back=falls_back == "falls_back")
        while data := reader.some(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)

    def speak(sock, seed):
        stream = Stream()
        sock.settimeout(PATIENCE)
        for at in range(0, size, 8000):
            data = NOISE[(at + seed) % (1 << 20) :][: min(8000, size - at)]
            stream.add(data)
            sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return stream.result()

    def hear(sock):
        stream = Stream()
        while data := patiently(sock.recv, 1 << 16):
            stream.add(data)
        return stream.result()

    if early != "early":
        for writer, reader in ((client, inside), (inside, outside), (outside, server), (server, outside), (inside, client)):
            for _ in range(20):
                if (writer, reader) != (inside, outside):
                    writer.sendall(b"x" * 100)
                    equal(receive(reader, 100), b"x" * 100, "header")
    carriers = [Thread(carry, inside, outside), Thread(carry, outside, inside)]
    hearing = [Thread(hear, server), Thread(hear, client)]
    speaking = [Thread(speak, client, 0), Thread(speak, server, 77)]
    for thread in carriers + speaking:
        thread.end(60)
    equal([one.end() for one in hearing], [one.value for one in speaking], "streams")
    return {}


def receiving():
    client, server = pair()
    exchange(client, server, 500)
    return {}


def records(when, rounds=400, size=1000):
    """
    Each record is sent in two pieces and read by one recv(MSG_WAITALL). A `late` reader has been
    redirected to before, and may find some records short until its sender checks it.
    """
    client, server = pair()
    if when == "late":
        exchange(client, server)
    server.setblocking(True)  # with a timeout, Python polls and then receives without blocking
    short = []

    def read():
        for i in range(rounds):
            data = patiently(server.recv, size, socket.MSG_WAITALL)
            if len(data) < size:
                short.append(i)
            equal(data + receive(server, size - len(data)), NOISE[i : i + size], f"record {i}")
            server.sendall(b"x")

    reading = Thread(read)
    for i in range(rounds):
        client.sendall(NOISE[i : i + 400])
        time.sleep(0.001)
        client.sendall(NOISE[i + 400 : i + size])
        receive(client, 1)
    reading.end()
    return {"short": len(short), "last": max(short, default=-1)}
