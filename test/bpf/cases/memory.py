# SPDX-License-Identifier: Apache-2.0
"""Readers that stop while their own memory, or the host's, is short."""
import errno
import os
import select
import socket
import time

from common import NOISE, PATIENCE, Mailbox, Thread, connect, equal, exchange, fork, join, listen, pair, report_line


def enter(folder):
    with open(os.path.join(folder, "cgroup.procs"), "w") as file:
        file.write(str(os.getpid()))


def fill_all(socks, sent):
    """
    Sends on all sockets until none takes more for a while. Gives all errors but those of a full
    queue.
    """
    errors, idle, end = [], 0, time.monotonic() + PATIENCE
    for sock in socks:
        sock.setblocking(False)
    while idle < 10 and len(errors) < 100 and time.monotonic() < end:
        idle += 1
        for i, sock in enumerate(socks):
            at = sent[i] % (1 << 20)
            try:
                sent[i] += sock.send(NOISE[at : at + 30000])
                idle = 0
            except BlockingIOError:
                pass
            except OSError as error:
                errors.append(errno.errorcode[error.errno])
        if idle:
            time.sleep(0.02)
    return errors


def read_all(socks):
    """Reads all sockets to their end and checks every byte. Gives their lengths."""
    lengths = dict.fromkeys(socks, 0)
    left = set(socks)
    while left:
        for sock in select.select(left, [], [], 8)[0]:
            data = sock.recv(1 << 16)
            at = lengths[sock] % (1 << 20)
            equal(data, NOISE[at : at + len(data)], "bytes")
            lengths[sock] += len(data)
            if not data:
                left.remove(sock)
    return list(lengths.values())


def stalled(folder, count="100"):
    """
    The readers are under the memory limit of a cgroup folder, and do not read until all senders
    have stopped.
    """
    port, go, lengths = Mailbox(), Mailbox(), Mailbox()

    def read():
        enter(folder)
        with listen() as listener:
            port.put(str(listener.getsockname()[1]))
            socks = [listener.accept()[0] for _ in range(int(count))]
        for sock in socks:
            sock.sendall(sock.recv(100))
        go.get()
        lengths.put(" ".join(map(str, read_all(socks))))

    reader, number = fork(read), int(port.get())
    clients = [connect(number) for _ in range(int(count))]
    for client in clients:
        client.sendall(b"x" * 100)
    for client in clients:
        equal(client.recv(100), b"x" * 100, "reply")
    sent = [0] * len(clients)
    errors = fill_all(clients, sent)
    stopped = sum(sent)
    report_line()
    go.put()
    sender = Thread(send_rest, clients, sent)
    received = [int(length) for length in lengths.get().split()]
    sender.end()
    equal(received, sent, "lengths")
    join(reader)
    return {"stopped": stopped, "errors": errors}


def charged_late(folder, count="3"):
    """
    The server is under the memory limit of a cgroup folder, and accepts only when all clients have
    stopped. Gives what they sent, and the folder's memory use before and after.
    """
    port, go, told = Mailbox(), Mailbox(), Mailbox()

    def use():
        with open(os.path.join(folder, "memory.kmem.tcp.usage_in_bytes")) as file:
            return file.read().strip()

    def accept():
        enter(folder)
        with listen() as listener:
            port.put(str(listener.getsockname()[1]))
            go.get()
            before = use()
            socks = [listener.accept()[0] for _ in range(int(count))]
        told.put(f"{before} {use()}")
        told.put(" ".join(map(str, read_all(socks))))

    server, number = fork(accept), int(port.get())
    clients = [connect(number) for _ in range(int(count))]
    sent = [0] * len(clients)
    errors = fill_all(clients, sent)
    stopped = sum(sent)
    go.put()
    before, after = map(int, told.get().split())
    sender = Thread(send_rest, clients, sent)
    received = [int(length) for length in told.get().split()]
    sender.end()
    equal(received, sent, "lengths")
    join(server)
    return {"stopped": stopped, "errors": errors, "before": before, "after": after}


def send_rest(clients, sent):
    """Sends another 300 KB on each connection, once the readers read again."""
    for _ in range(10):
        for i, client in enumerate(clients):
            at = sent[i] % (1 << 20)
            client.settimeout(PATIENCE)
            client.sendall(NOISE[at : at + 30000])
            sent[i] += 30000
    for client in clients:
        client.shutdown(socket.SHUT_WR)


def pressed():
    """A reader stops; the test makes the host's TCP memory short and looks at the queue."""
    client, server = pair()
    exchange(client, server, 5)
    sent = [0]
    report_line()
    errors = fill_all([client], sent)
    report_line()
    reader = Thread(read_all, [server])
    sender = Thread(send_rest, [client], sent)
    sender.end()
    equal(reader.end(), sent, "length")
    return {"errors": errors}
