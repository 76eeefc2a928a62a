# SPDX-License-Identifier: Apache-2.0
# Long: a function for each case.
"""
Connections that are already open when the test adopts them, which it does before its first answer.
"""
import resource
import select
import socket
import struct
import time

import stream
from common import NOISE, Mailbox, Thread, connect, equal, exchange, fork, join, leave_cgroup, listen, new_namespace, pair, patiently, receive, report_line

# Longer than ADOPT_JIFFIES at 250 ticks a second.
SETTLED = 1.2


def count_segments(sock):
    """Gives how many segments with data TCP has sent."""
    return struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160), 156)[0]


def expect_bypass(socks, function, *args):
    """
    Runs the function and checks that these sockets send next to nothing over TCP. The few segments
    allow for a spill now and then.
    """
    before = [count_segments(sock) for sock in socks]
    function(*args)
    sent = [count_segments(sock) - segments for sock, segments in zip(socks, before)]
    if max(sent) > 20:
        raise AssertionError(f"expected redirected messages, found {sent} segments of TCP")


def echo(server):
    while data := patiently(server.recv, 65536):
        server.sendall(data)


def echo_by_poll(server):
    server.setblocking(False)
    poll = select.poll()
    poll.register(server, select.POLLIN)
    while True:
        poll.poll()
        try:
            data = server.recv(65536)
        except BlockingIOError:
            continue
        if not data:
            return
        server.setblocking(True)
        server.sendall(data)
        server.setblocking(False)


def echo_after_waitall(server):
    data = server.recv(8, socket.MSG_WAITALL)
    equal(data, b"ABCDEFGH", "MSG_WAITALL")
    server.sendall(data)
    echo(server)


def ask(client, times, size=900):
    for i in range(times):
        data = NOISE[i : i + size]
        client.sendall(data)
        equal(receive(client, size), data, f"answer {i}")


def answered(way):
    """A server thread sleeps when its socket is adopted."""
    client, server = pair()
    serve = {"recv": echo, "poll": echo_by_poll, "waitall": echo_after_waitall}[way]
    client.settimeout(None)
    server.settimeout(None)
    if way == "waitall":
        client.sendall(b"ABCD")
    thread = Thread(serve, server)
    time.sleep(0.1)
    report_line()
    if way == "waitall":
        client.sendall(b"EFGH")
        equal(receive(client, 8), b"ABCDEFGH", "first answer")
    ask(client, 3)
    time.sleep(SETTLED)
    ask(client, 3)
    expect_bypass((client, server), ask, client, 500)
    client.shutdown(socket.SHUT_WR)
    thread.end()
    server.close()
    equal(client.recv(1), b"", "end")


def load(way, connections="20"):
    """
    Each connection has a busy process at each end. Both must have read exactly what the other end
    sent.
    """
    stop, pids, ends = stream.End(), [], []
    for i in range(int(connections)):
        socks = pair()
        for end, sock in enumerate(socks):
            sock.settimeout(None)
            results = Mailbox()
            if way == "requests":
                pids.append(fork(stream.talk, sock, results, end == 0, stop, i))
            else:
                function = stream.event_loop if way == "loops" else stream.both_ways
                pids.append(fork(function, sock, results, stop, 30000, i * 4 + end * 2, 1 << 60))
            ends.append(results)
        for sock in socks:
            sock.close()
    report_line("running")
    stop.tell()
    answers = []
    for end in ends:
        answers.append((end.get(), end.get()))
        if way != "requests":
            end.get()
    join(*pids)
    for i in range(0, len(answers), 2):
        equal(answers[i], answers[i + 1][::-1], f"connection {i // 2}: sent and received")
    return {"bytes": sum(int(answer[0].split()[0]) for answer in answers)}


def option():
    """The server has set an option that only TCP obeys."""
    client, server = pair(server_options=[(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 8)])
    report_line()
    for _ in range(5):
        client.send(b"1234")
        equal(bool(select.select([server], [], [], 0.1)[0]), False, "readable with half of what it asks for")
        client.send(b"5678")
        equal(receive(server, 8), b"12345678", "all of them")


def idle(count="1"):
    """Pairs that nobody uses during the adoption, and this thread uses afterwards."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(most, 2 * int(count) + 100),) * 2)
    with listen() as listener:
        pairs = []
        for _ in range(int(count)):
            client = connect(listener.getsockname()[1])
            pairs.append((client, listener.accept()[0]))
    for ends in pairs[:10]:
        exchange(*ends, 3, 200)
    report_line()
    for ends in pairs:
        exchange(*ends, 2, 200)
    time.sleep(SETTLED)
    for ends in pairs:
        exchange(*ends, 5, 200)
    report_line("used")
    for ends in pairs:
        exchange(*ends, 3, 200)
    report_line("used again")


def family(kind):
    client, server = pair(kind)
    report_line()
    exchange(client, server, 2)
    time.sleep(SETTLED)
    exchange(client, server, 2)
    expect_bypass((client, server), exchange, client, server)


def unread():
    """Both ends have unread bytes, some sent before the adoption and some after it."""
    client, server = pair()
    client.sendall(NOISE[:3000])
    server.sendall(NOISE[7:2007])
    report_line()
    client.sendall(NOISE[3000:5000])
    time.sleep(SETTLED)
    client.sendall(NOISE[5000:6000])
    equal(receive(server, 6000), NOISE[:6000], "unread by the server")
    equal(receive(client, 2000), NOISE[7:2007], "unread by the client")
    exchange(client, server, 2)
    expect_bypass((client, server), exchange, client, server)


def queued():
    """The connection holds bytes, but the server has not accepted it yet."""
    with listen() as listener:
        client = connect(listener.getsockname()[1])
        client.sendall(NOISE[:2000])
        report_line()
        client.sendall(NOISE[2000:3000])
        server, _ = listener.accept()
    equal(receive(server, 3000), NOISE[:3000], "bytes sent before accept()")
    exchange(client, server, 2)
    time.sleep(SETTLED)
    exchange(client, server, 2)
    expect_bypass((client, server), exchange, client, server)


def full_send():
    """A sender sleeps inside send() because the reader does not read."""
    client, server = pair()
    client.settimeout(None)
    size = 12_000_000
    data = (NOISE * 6)[:size]
    sender = Thread(client.sendall, data)
    time.sleep(0.2)
    report_line()
    time.sleep(SETTLED)
    equal(receive(server, size), data, "what one send() brought")
    sender.end()
    exchange(client, server, 2)
    expect_bypass((client, server), exchange, client, server, 200)


def split():
    """
    At each end one thread reads and another one sends; the readers sleep when their sockets are
    adopted.
    """
    client, server = pair()
    total = 3_000_000

    def send(sock):
        for at in range(0, total, 1500):
            start = at % (len(NOISE) // 2)
            sock.sendall(NOISE[start : start + 1500])
            if at % 150_000 == 0:
                time.sleep(0.02)

    def read(sock):
        for at in range(0, total, 1500):
            start = at % (len(NOISE) // 2)
            equal(receive(sock, 1500), NOISE[start : start + 1500], f"bytes from {at}")

    for sock in (client, server):
        sock.settimeout(None)
    readers = [Thread(read, sock) for sock in (client, server)]
    time.sleep(0.1)
    report_line()
    senders = [Thread(send, sock) for sock in (client, server)]
    for thread in senders + readers:
        thread.end()
    exchange(client, server, 50)


def apart(where):
    """The server is in another network namespace, or in a cgroup that nothing is attached to."""
    to_client, to_server = Mailbox(), Mailbox()

    def serve():
        if where == "cgroup":
            leave_cgroup()
        with listen() as listener:
            to_client.put(listener.getsockname()[1])
            server, _ = listener.accept()
        echo(server)

    def both():
        new_namespace()
        with listen() as listener:
            client = connect(listener.getsockname()[1])
            server, _ = listener.accept()
        to_client.put("there")
        to_server.get()
        exchange(client, server, 2)
        time.sleep(SETTLED)
        exchange(client, server, 2)
        expect_bypass((client, server), exchange, client, server)

    if where == "namespace":
        pid = fork(both)
        to_client.get()
        report_line()
        to_server.put()
    else:
        pid = fork(serve)
        client = connect(int(to_client.get()))
        ask(client, 3)
        report_line()
        ask(client, 3)
        time.sleep(SETTLED)
        ask(client, 100)
        client.close()
    join(pid)
