# SPDX-License-Identifier: Apache-2.0
# Long: a function for each case.
"""
Many threads on one socket, many sockets, and sockets in use while something is attached or drained.
"""
import os
import signal
import socket
import struct
import threading
import time

import common
from common import NOISE, Thread, connect, equal, exchange, fork, join, listen, pair, patiently, receive, report_line

RECORD = struct.Struct(">II")
BODY = 248


def several_senders(senders="4", records="2000"):
    """
    Several threads send records on one socket in both directions. Each record arrives whole, and
    each thread's arrive in order.
    """
    client, server = pair()
    senders, records = int(senders), int(records)
    # While a send waits for room, TCP itself lets another thread's bytes in between. So the
    # semaphores keep at most 64 KiB under way, for which there is always room.
    room = {(sock, thread): threading.Semaphore(64) for sock in (client, server) for thread in range(senders)}

    def send(sock, thread):
        for i in range(records):
            room[sock, thread].acquire()
            sock.sendall(RECORD.pack(thread, i) + NOISE[i % 5000 : i % 5000 + BODY])

    def read(sock):
        expected = [0] * senders
        for _ in range(senders * records):
            data = receive(sock, RECORD.size + BODY)
            thread, i = RECORD.unpack_from(data)
            equal(i, expected[thread], f"number of a record of thread {thread}")
            equal(data[RECORD.size :], NOISE[i % 5000 : i % 5000 + BODY], "record")
            expected[thread] += 1
            room[server if sock is client else client, thread].release()

    for sock in (client, server):
        sock.settimeout(None)
    readers = [Thread(read, sock) for sock in (client, server)]
    writers = [Thread(send, sock, i) for sock in (client, server) for i in range(senders)]
    for thread in readers + writers:
        thread.end()
    exchange(client, server, 20)
    return {"spurious": common.spurious}


def several_readers(readers="4", records="2000"):
    """
    Each byte reaches exactly one of the readers that sleep on one socket, and all of them wake at
    the end.
    """
    client, server = pair()
    server.settimeout(None)
    exchange(client, server, 3)

    def read():
        found = []
        while data := patiently(server.recv, 8):
            found.append(data)
        return found

    threads = [Thread(read) for _ in range(int(readers))]
    numbers = [i.to_bytes(8, "big") for i in range(int(records))]
    for i, number in enumerate(numbers):
        client.sendall(number)
        if i % 100 == 0:
            time.sleep(0.003)
    client.shutdown(socket.SHUT_WR)
    found = [data for thread in threads for data in thread.end()]
    equal(sorted(b"".join(found)), sorted(b"".join(numbers)), "bytes of all readers")
    return {"spurious": common.spurious}


def storm(times="2000", workers="4"):
    """Connections carry nothing, one message or a few, and are closed by either side or reset."""
    with listen() as listener:
        port = listener.getsockname()[1]

        def serve():
            while True:
                server, _ = listener.accept()
                try:
                    data = server.recv(1000)
                    if data:
                        server.sendall(data)
                        server.recv(1000)
                except OSError:
                    pass
                server.close()

        def ask(worker):
            for i in range(worker, int(times), int(workers)):
                client = connect(port)
                if i % 3:
                    data = NOISE[i : i + 100]
                    client.sendall(data)
                    if i % 3 == 2:
                        equal(receive(client, 100), data, "echo")
                if i % 7 == 0:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()

        servers = [fork(serve) for _ in range(2)]
        join(*[fork(ask, worker) for worker in range(int(workers))])
        for pid in servers:
            os.kill(pid, signal.SIGKILL)


def idle_pairs(count="100"):
    """Pairs are used once and then idle; after the test's answer all must still work."""
    pairs = [pair() for _ in range(int(count))]
    for ends in pairs:
        exchange(*ends, 3, 200)
    report_line()
    for ends in pairs:
        exchange(*ends, 10, 200)
    report_line("used")


def with_unread():
    """Both ends have unread bytes while the map is drained."""
    client, server = pair()
    exchange(client, server, 5)
    client.sendall(NOISE[:30000])
    server.sendall(NOISE[500:20500])
    report_line()
    equal(receive(server, 30000), NOISE[:30000], "unread bytes of the server")
    equal(receive(client, 20000), NOISE[500:20500], "unread bytes of the client")
    exchange(client, server)
    report_line("read")


def established_before():
    client, server = pair()
    exchange(client, server, 5)
    report_line()
    exchange(client, server)
    report_line("used")
    client.close()
    server.close()


def many(count="10"):
    """Opens more connections than the map has room for."""
    pairs = [pair() for _ in range(int(count))]
    for _ in range(3):
        for ends in pairs:
            exchange(*ends, 10)
    report_line()


def ulp(name="tls"):
    client, server = pair()
    exchange(client, server, 5)
    client.setsockopt(socket.IPPROTO_TCP, 31, name.encode())
    exchange(client, server, 50)


def mixed_threads(pairs="4"):
    """
    On half of the connections several threads send records and one reads; on the others several
    read. This lasts until the test answers.
    """
    ends, stop = [pair() for _ in range(2 * int(pairs))], threading.Event()
    for socks in ends:
        for sock in socks:
            sock.settimeout(None)
        exchange(*socks, 3)
    talks = [Thread(several_talk, *socks, stop) for socks in ends[::2]]
    shares = [Thread(several_share, *socks, stop) for socks in ends[1::2]]
    report_line("running")
    stop.set()
    total = sum(thread.end(30) for thread in talks + shares)
    for socks in ends:
        exchange(*socks, 3)
    return {"spurious": common.spurious, "bytes": total}


def several_talk(client, server, stop, senders=3):
    """Several threads send records in both directions, and each marks its last one."""
    size = RECORD.size + BODY

    def send(sock, thread):
        i = 0
        while not stop.is_set():
            sock.sendall(RECORD.pack(thread, i) + NOISE[i % 5000 : i % 5000 + BODY])
            i += 1
            if i % 50 == 0:
                time.sleep(0.001)
        sock.sendall(RECORD.pack(thread, 0xFFFFFFFF) + NOISE[:BODY])

    def read(sock):
        expected, count = [0] * senders, 0
        while any(number is not None for number in expected):
            data = receive(sock, size)
            thread, i = RECORD.unpack_from(data)
            if i == 0xFFFFFFFF:
                expected[thread] = None
                continue
            equal(i, expected[thread], f"number of a record of thread {thread}")
            equal(data[RECORD.size :], NOISE[i % 5000 : i % 5000 + BODY], "record")
            expected[thread] += 1
            count += size
        return count

    readers = [Thread(read, sock) for sock in (client, server)]
    writers = [Thread(send, sock, thread) for sock in (client, server) for thread in range(senders)]
    for thread in writers:
        thread.end(30)
    return sum(thread.end(30) for thread in readers)


def several_share(client, server, stop, readers=3):
    """Several threads read numbers from one socket, each byte once. A zero byte ends a reader."""
    sent = 0

    def read():
        found = []
        while True:
            data = patiently(server.recv, 1 + len(found) % 64)
            found.append(data)
            if b"\0" in data:
                return b"".join(found)

    threads = [Thread(read) for _ in range(readers)]
    counts = [0] * 256
    while not stop.is_set():
        data = bytes(1 + (sent + i) % 255 for i in range(1 + sent % 1000))
        client.sendall(data)
        for byte in data:
            counts[byte] += 1
        sent += len(data)
        if sent % 7 == 0:
            time.sleep(0.001)
    while any(thread.is_alive() for thread in threads):
        client.sendall(b"\0")
        time.sleep(0.005)
    found = b"".join(thread.end(30) for thread in threads)
    server.setblocking(False)
    try:
        while server.recv(1000):
            pass
    except BlockingIOError:
        pass
    server.setblocking(True)
    equal([found.count(byte) for byte in range(1, 256)], counts[1:], "how often each byte was read")
    return sent
