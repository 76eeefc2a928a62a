# SPDX-License-Identifier: Apache-2.0
# Long: the scenes share few lines, and each is read beside the others.
"""
Traffic for a recording: `traffic.py SCENE`, in a cgroup and a network namespace of its own. Each
line on stdin begins the next phase of the scene; the end of stdin ends it.
"""
import errno
import os
import signal
import socket
import sys
import threading
import time

PACE = 0.02  # seconds between two requests of a connection
TAKE = 1 << 16
IPPROTO_MPTCP = 262  # Python knows the name from 3.10 on
phase = 1


def listen(port, options=()):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for level, name, value in options:
        listener.setsockopt(level, name, value)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


def echo(server):
    while data := server.recv(TAKE):
        server.sendall(data)


def serve(port, options=(), answer=echo):
    def accept(listener):
        while True:
            threading.Thread(target=answer, args=listener.accept()[:1], daemon=True).start()

    threading.Thread(target=accept, args=(listen(port, options),), daemon=True).start()


def splice_back(server):
    """Answers like a relay, which does not read what it sends on."""
    out, into = os.pipe()
    try:
        while size := os.splice(server.fileno(), into, TAKE):
            os.splice(out, server.fileno(), size)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        echo(server)  # as programs do whose splice is refused
    finally:
        os.close(out)
        os.close(into)
        server.close()


def connect(port):
    client = socket.create_connection(("127.0.0.1", port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def ask(client, size=64):
    """Sends a request and takes the whole answer."""
    client.sendall(b"x" * size)
    left = size
    while left:
        left -= len(client.recv(left)) or sys.exit("expected an answer, found the end")


def converse(port, is_on=lambda: True, size=64):
    client = connect(port)
    while True:
        if is_on():
            ask(client, size)
        time.sleep(PACE)


def start(function, *args):
    threading.Thread(target=function, args=args, daemon=True).start()


def works():
    """Request and response at two services that take the bypass, and at one that may not."""
    for port, size in ((6379, 64), (5432, 2000), (9999, 64)):
        serve(port)
        start(converse, port, lambda: True, size)
    start(converse, 6379)


def quiet():
    """The connections stay open, but from the second phase on nothing is sent."""
    serve(6379)
    for _ in range(3):
        start(converse, 6379, lambda: phase == 1)


def crowded():
    """Nine connections, and from the second phase on a new one every second."""
    serve(6379)
    for _ in range(9):
        start(converse, 6379)
    while phase == 1:
        time.sleep(0.1)
    while True:
        start(converse, 6379)
        time.sleep(1)


def comes():
    """Connections that come and go."""
    serve(6379)
    come_and_go()


def come_and_go(port=6379):
    def one():
        while True:
            client = connect(port)
            for _ in range(150):
                ask(client)
                time.sleep(PACE)
            client.close()

    for _ in range(3):
        start(one)


def splices():
    """Beside good connections those of a server that splices."""
    works()
    serve(6380, answer=splice_back)
    come_and_go(6380)


def deferred():
    """The listener hands over a connection when its first bytes are there."""
    serve(6379, [(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)])
    come_and_go()


def multipath():
    """Connections of MPTCP, whose sockets no map takes."""
    listener = socket.socket(proto=IPPROTO_MPTCP)
    listener.bind(("127.0.0.1", 6379))
    listener.listen(128)

    def one():
        while True:
            client = socket.socket(proto=IPPROTO_MPTCP)
            client.connect(("127.0.0.1", 6379))
            server = listener.accept()[0]
            for _ in range(50):
                client.sendall(b"x" * 64)
                server.sendall(server.recv(TAKE))
                client.recv(TAKE)
                time.sleep(PACE)
            client.close()
            server.close()

    start(one)


def mixed():
    """Beside good connections a reader that falls behind, and a service with an option for TCP."""
    serve(5432, [(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 2)])
    start(converse, 5432)
    comes()
    with listen(6380) as listener:
        client = connect(6380)
        server = listener.accept()[0]
    server.sendall(b"x")
    client.recv(1)
    client.setblocking(False)
    while True:
        try:
            client.sendall(b"x" * (8 << 20))
        except BlockingIOError:
            pass
        time.sleep(0.5)
        server.recv(16 << 20)


def shared():
    """From the second phase on, each socket has a second descriptor, and its reader polls."""
    serve(6379)
    start(converse, 6379, lambda: phase == 1)
    while phase == 1:
        time.sleep(0.1)
    while True:
        share(5432)


def share(port):
    """One connection, for six seconds."""
    with listen(port) as listener:
        client = connect(port)
        server = listener.accept()[0]
    children = [fork(take, end) for end in (server, client)]
    for _ in range(300):
        client.sendall(b"x" * 64)
        server.sendall(b"x" * 64)
        time.sleep(PACE)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def take(end):
    while True:
        time.sleep(0.003)
        try:
            if not end.recv(TAKE, socket.MSG_DONTWAIT):
                return
        except BlockingIOError:
            pass


def doubtful():
    """From the second phase on, a child answers whose parent keeps a descriptor of the socket."""
    serve(6379)
    start(converse, 6379, lambda: phase == 1)
    while phase == 1:
        time.sleep(0.1)
    while True:
        hand_over(5432)


def hand_over(port):
    """One connection, with too few requests to tell that the parent never reads."""
    with listen(port) as listener:
        client = connect(port)
        server = listener.accept()[0]
    child = fork(echo, server)
    for _ in range(60):
        ask(client)
        time.sleep(PACE)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def fork(function, *args):
    child = os.fork()
    if child == 0:
        function(*args)
        os._exit(0)
    return child


def main():
    global phase
    start(globals()[sys.argv[1]])
    for _ in sys.stdin:
        phase += 1


main()
