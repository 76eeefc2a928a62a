# SPDX-License-Identifier: Apache-2.0
"""Redirected bytes must not overtake bytes sent over TCP before them or beside them."""
import select
import socket
import time

from common import NOISE, PATIENCE, SLOWNESS, Thread, connect, equal, exchange, listen, pair, receive, report_line

TCP = socket.IPPROTO_TCP


def deferred_waitall(rounds=20):
    """
    The listener gets a connection with its first bytes. A reader that wants more bytes than TCP
    brought must still wake.
    """
    with listen(options=[(TCP, socket.TCP_DEFER_ACCEPT, 5)]) as listener:
        for i in range(rounds):
            client = connect(listener.getsockname()[1])
            client.sendall(b"ABCD")
            server, _ = listener.accept()
            server.settimeout(None)
            reader = Thread(server.recv, 8, socket.MSG_WAITALL)
            time.sleep(0.01 if i % 2 else 0)
            client.sendall(b"EFGH")
            equal(reader.end(), b"ABCDEFGH", f"round {i}")
            exchange(client, server, 5)
            client.close()
            server.close()


def waitall_beside_a_sender(rounds=20):
    """
    The same while another thread sends on the reader's socket, and so holds references that belong
    to no sleeper.
    """
    with listen(options=[(TCP, socket.TCP_DEFER_ACCEPT, 5)]) as listener:
        for i in range(rounds):
            client = connect(listener.getsockname()[1])
            client.sendall(b"ABCD")
            server, _ = listener.accept()
            client.settimeout(None)
            server.settimeout(None)

            def send_noise():
                for _ in range(100):
                    server.sendall(NOISE[:999])

            reader = Thread(server.recv, 8, socket.MSG_WAITALL)
            sender = Thread(send_noise)
            drain = Thread(receive, client, 99900)
            client.sendall(b"EFGH")
            equal(reader.end(), b"ABCDEFGH", f"round {i}")
            sender.end()
            equal(drain.end(), NOISE[:999] * 100, "the other direction")
            exchange(client, server, 5)
            client.close()
            server.close()


def early_server(rounds=50):
    """The server sends at once and in pieces, and the client reads late."""
    with listen() as listener:
        for i in range(rounds):
            client = connect(listener.getsockname()[1])
            server, _ = listener.accept()
            for at in range(0, 5000, 100):
                server.sendall(NOISE[at : at + 100])
            equal(receive(client, 5000), NOISE[:5000], f"round {i}")
            exchange(client, server, 5)
            client.close()
            server.close()


def early_client(rounds=50):
    """The client sends before the server has accepted, and while it accepts."""
    with listen() as listener:
        for i in range(rounds):
            client = connect(listener.getsockname()[1])
            for at in range(0, 2500, 100):
                client.sendall(NOISE[at : at + 100])

            def send_rest():
                for at in range(2500, 5000, 100):
                    client.sendall(NOISE[at : at + 100])

            sender = Thread(send_rest)
            server, _ = listener.accept()
            equal(receive(server, 5000), NOISE[:5000], f"round {i}")
            sender.end()
            exchange(client, server, 5)
            client.close()
            server.close()


def fast_open(rounds=20):
    """The SYN carries bytes, and a thread is inside sendmsg() when its socket is enrolled."""
    fast = [(TCP, socket.TCP_FASTOPEN, 16)]
    with listen(options=fast) as listener:
        for i in range(rounds):
            client = socket.socket()
            client.sendto(b"A" * 1000, socket.MSG_FASTOPEN, listener.getsockname())
            client.sendall(b"B" * 1000)
            server, _ = listener.accept()
            equal(receive(server, 2000), b"A" * 1000 + b"B" * 1000, f"round {i}")
            exchange(client, server, 5)
            client.close()
            server.close()


def lowat():
    """
    The option keeps a value that the application has set. Otherwise it is ours while enrolled, and
    0 again after leaving.
    """
    name = socket.TCP_NOTSENT_LOWAT
    plain, plain_server = pair()
    kept, kept_server = pair(options=[(TCP, name, 4096)], server_options=[(TCP, name, 8192)])
    exchange(plain, plain_server)
    exchange(kept, kept_server)
    found = {"plain": plain.getsockopt(TCP, name), "kept": kept.getsockopt(TCP, name),
             "kept_server": kept_server.getsockopt(TCP, name)}
    later, later_server = pair()
    later.setsockopt(TCP, name, 5000)
    exchange(later, later_server)
    report_line()
    end = time.monotonic() + PATIENCE
    while plain.getsockopt(TCP, name) and time.monotonic() < end:
        for ends in ((plain, plain_server), (kept, kept_server), (later, later_server)):
            exchange(*ends, 1)
    found |= {"left": plain.getsockopt(TCP, name), "left_kept": kept.getsockopt(TCP, name),
              "left_kept_server": kept_server.getsockopt(TCP, name), "left_later": later.getsockopt(TCP, name)}
    return found


def leave_asleep(count=10):
    """
    Readers that sleep while their sockets leave the map are woken only by the reply, which comes
    long after the ACK.
    """
    pairs = [pair() for _ in range(count)]
    for client, server in pairs:
        exchange(client, server, 5)
        client.settimeout(None)
        server.setsockopt(TCP, socket.TCP_QUICKACK, 0)
    report_line()

    def ask(client, request):
        client.sendall(request)
        return client.recv(1000)

    readers = [Thread(ask, client, NOISE[i : i + 100]) for i, (client, _) in enumerate(pairs)]
    time.sleep(0.5)
    for i, (_, server) in enumerate(pairs):
        equal(receive(server, 100), NOISE[i : i + 100], "request")
        server.sendall(NOISE[i : i + 200])
    for i, reader in enumerate(readers):
        equal(reader.end(), NOISE[i : i + 200], "reply")
    for client, server in pairs:
        exchange(client, server)


def peek():
    client, server = pair()
    exchange(client, server, 5)
    for i in range(50):
        data = NOISE[i * 100 : i * 100 + 3000]
        client.sendall(data)
        peeked = server.recv(1000, socket.MSG_PEEK)
        equal(peeked, data[: len(peeked)], "MSG_PEEK")
        equal(server.recv(1000, socket.MSG_PEEK), peeked, "MSG_PEEK again")
        equal(receive(server, 3000), data, "what was peeked at")


def polling():
    """
    poll and epoll, by level and by edge, report nothing while there is nothing, and wake when there
    is something.
    """
    client, server = pair()
    exchange(client, server, 5)
    server.setblocking(False)
    poll = select.poll()
    poll.register(server, select.POLLIN)
    level, edge = select.epoll(), select.epoll()
    level.register(server, select.EPOLLIN)
    edge.register(server, select.EPOLLIN | select.EPOLLET)
    edge.poll(0)
    for i in range(100):
        equal(poll.poll(0), [], "poll of nothing")
        equal(level.poll(0), [], "epoll of nothing")
        equal(edge.poll(0), [], "edge of nothing")
        waiter = Thread((poll.poll, level.poll, edge.poll)[i % 3], (5000 if i % 3 == 0 else 5) * SLOWNESS)
        time.sleep(0.002 if i % 5 == 0 else 0)
        data = NOISE[i : i + 700]
        client.sendall(data)
        equal(len(waiter.end()), 1, "wake-ups")
        equal(len(poll.poll(0)), 1, "poll of something")
        equal(len(level.poll(0)), 1, "epoll of something")
        edge.poll(0)
        equal(server.recv(300), data[:300], "first part")
        equal(len(poll.poll(0)), 1, "poll of the rest")
        equal(server.recv(1000), data[300:], "rest")
        try:
            server.recv(1)
            raise AssertionError("bytes from nowhere")
        except BlockingIOError:
            pass
