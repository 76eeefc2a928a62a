# SPDX-License-Identifier: Apache-2.0
# Long: a function for each case.
"""
Sockets that end one connection by connect(AF_UNSPEC) and begin another, or listen. Each case gives
what it saw. With "plain" its processes are in a cgroup that nothing is attached to, so that the
test can compare the two.
"""
import ctypes
import errno
import os
import socket
import struct
import time

from common import LIBC, NOISE, SLOWNESS, Thread, connect, equal, exchange, leave_cgroup, listen, new_namespace, pair, receive, report_line
from forger import TCP_REPAIR
from hostile import outside
from paths import bound, leave_note

OLD, NEW = b"old" * 300, b"new" * 200


def choose(way):
    if way == "plain":
        leave_cgroup()


def disconnect(sock):
    """Calls connect(AF_UNSPEC), which Python's connect() cannot do."""
    address = struct.pack("H14x", socket.AF_UNSPEC)
    if LIBC.connect(sock.fileno(), address, len(address)):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def vanish(sock):
    """Disconnects without a reset, so that the other end learns of it only when it sends."""
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    disconnect(sock)
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, -1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def attempt(function, *args):
    """
    Gives the result of a call: a count, the length and kind of bytes, or the name of the error.
    """
    try:
        result = function(*args)
    except TimeoutError:
        return "nothing"
    except OSError as error:
        return errno.errorcode[error.errno]
    if not isinstance(result, bytes):
        return result
    kind = "old" if result[:3] == OLD[:3] else "new" if result[:3] == NEW[:3] else "other" if result else "end"
    return f"{len(result)} {kind}"


def at_once(sock):
    """Gives what recv() gives without waiting."""
    timeout = sock.gettimeout()
    sock.setblocking(False)
    seen = attempt(sock.recv, 2000)
    sock.settimeout(timeout)
    return seen


def send_old(sock):
    """
    Sends, and gives "refused" for either error of a reset. It is a limit of the kernel: plain TCP
    gives ECONNRESET once and EPIPE from then on, the bypass ECONNRESET until somebody asks for the
    error.
    """
    seen = attempt(sock.send, OLD, socket.MSG_NOSIGNAL)
    return "refused" if seen in ("ECONNRESET", "EPIPE") else seen


def accept(listener):
    server, _ = listener.accept()
    server.settimeout(8 * SLOWNESS)
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server


def again(client, listener):
    client.settimeout(8 * SLOWNESS)
    client.connect(listener.getsockname())
    return accept(listener)


def talk(client, server, times=20):
    """Exchanges in both directions, and checks that nothing else arrives."""
    exchange(client, server, times, 500)
    for sock in (client, server):
        equal(at_once(sock), "EAGAIN", "more than was sent")


def begin(way, end):
    """Gives a way to disconnect, two listeners, and a used connection to the first of them."""
    choose(way)
    if end == "vanish":
        new_namespace()
    leave = {"disconnect": disconnect, "vanish": vanish}[end]
    first, second = listen(), listen()
    client = connect(first.getsockname()[1])
    old = accept(first)
    talk(client, old)
    return leave, first, second, client, old


def unread(way, target="another", end="disconnect"):
    """
    The old server's bytes are unread when the client ends the connection and makes the next one.
    """
    leave, first, second, client, old = begin(way, end)
    old.sendall(OLD)
    leave(client)
    seen = {"disconnected": at_once(client)}
    new = again(client, first if target == "same" else second)
    new.sendall(NEW)
    seen["first"] = attempt(client.recv, 2000)
    seen["then"] = at_once(client)
    talk(client, new)
    return seen


def injected(way, end="disconnect", rounds=5):
    """The old server goes on sending after its client has another connection."""
    leave, first, second, client, old = begin(way, end)
    leave(client)
    new = again(client, second)
    seen = {"sent": []}
    for _ in range(rounds):
        seen["sent"].append(send_old(old))
        seen.setdefault("reader", at_once(client))
        new.sendall(NEW)
        seen.setdefault("reply", attempt(client.recv, 2000))
        equal(at_once(client), "EAGAIN", "more than was sent")
    talk(client, new)
    return seen


def many(way, rounds="200"):
    """One client makes connection after connection; the old servers stay open and go on sending."""
    choose(way)
    listeners, client, olds = [listen() for _ in range(3)], socket.socket(), []
    for i in range(int(rounds)):
        server = again(client, listeners[i % 3])
        talk(client, server, 1 + i % 4)
        if i % 3 != 1:
            server.sendall(OLD)
        if i % 5 == 1:
            client.sendall(OLD)
        disconnect(client)
        olds.append(server)
        for old in olds[-4:]:
            send_old(old)
        if len(olds) > 8:
            olds.pop(0).close()


def listens(way):
    """The socket listens after its connection, and the old server goes on sending."""
    choose(way)
    client, old = pair()
    talk(client, old)
    old.sendall(OLD)
    disconnect(client)
    client.bind(("127.0.0.1", 0))
    client.listen(8)
    seen = {"listener": at_once(client)}
    seen["sent"] = [send_old(old) for _ in range(3)]
    for _ in range(3):
        near = connect(client.getsockname()[1])
        far = accept(client)
        talk(near, far)
    return seen


def server_side(way):
    """
    A client ends the connection; the accepted socket reads what there is, and then itself connects
    elsewhere.
    """
    choose(way)
    client, server = pair()
    talk(client, server)
    client.sendall(OLD)
    disconnect(client)
    seen = {"unread": attempt(server.recv, 2000), "then": attempt(server.recv, 2000)}
    seen["sent"] = [send_old(server) for _ in range(2)]
    disconnect(server)
    with listen() as listener:
        far = again(server, listener)
    talk(server, far)
    with listen() as listener:
        near = again(client, listener)
    talk(client, near)
    return seen


def reset_first(way):
    """
    The old server resets with bytes unread. The client reads them in the first round, and reuses
    the socket with them unread in the second.
    """
    choose(way)
    seen = {}
    for is_read in (True, False):
        client, server = pair()
        talk(client, server)
        server.sendall(OLD)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.close()
        if is_read:
            seen["unread"] = [attempt(client.recv, 2000) for _ in range(3)]
        disconnect(client)
        with listen() as listener:
            new = again(client, listener)
        new.sendall(NEW)
        seen[f"first {is_read}"] = attempt(client.recv, 2000)
        talk(client, new)
    return seen


def orderly(way):
    """Bytes stay readable after the connection has ended in order, whoever ends first."""
    choose(way)
    seen = {}
    client, server = pair()
    talk(client, server)
    client.shutdown(socket.SHUT_WR)
    server.sendall(OLD)
    server.close()
    time.sleep(0.05)
    seen["closed second"] = [attempt(client.recv, 2000) for _ in range(2)]
    client, server = pair()
    talk(client, server)
    server.sendall(OLD)
    server.shutdown(socket.SHUT_WR)
    client.shutdown(socket.SHUT_WR)
    time.sleep(0.05)
    seen["closed first"] = [attempt(client.recv, 2000) for _ in range(2)]
    return seen


def asleep(way):
    """Another thread sleeps in recv() when the connection is ended, and again in the next one."""
    choose(way)
    client, server = pair()
    talk(client, server)
    reader = Thread(attempt, client.recv, 2000)
    time.sleep(0.1)
    disconnect(client)
    reader.end()
    with listen() as listener:
        new = again(client, listener)
    reader = Thread(attempt, client.recv, 2000)
    time.sleep(0.1)
    new.sendall(NEW)
    seen = {"found": reader.end()}
    talk(client, new)
    return seen


def step_by_step(way="enrolled"):
    """The test changes something before the disconnect."""
    choose(way)
    client, old = pair()
    talk(client, old)
    report_line("open")
    talk(client, old, 3)
    old.sendall(OLD)
    disconnect(client)
    report_line("disconnected")
    with listen() as listener:
        new = again(client, listener)
    new.sendall(NEW)
    equal(attempt(client.recv, 2000), f"{len(NEW)} new", "the first bytes of the next connection")
    talk(client, new)
    report_line("again")
    talk(client, new)


def queue_full(way):
    """
    The client is so far behind that its server sends over TCP, after a queue of redirected bytes.
    """
    choose(way)
    client, old = pair()
    talk(client, old)
    old.setblocking(False)
    sent = 0
    try:
        while sent < 64 << 20:
            sent += old.send(NOISE[: 1 << 16])
    except BlockingIOError:
        pass
    disconnect(client)
    with listen() as listener:
        new = again(client, listener)
    new.sendall(NEW)
    equal(attempt(client.recv, 2000), f"{len(NEW)} new", "the first bytes of the next connection")
    talk(client, new)


def unclaimed():
    """
    Nobody takes the claims of the first connections, because their server is in another cgroup.
    """
    pid, port = outside()
    client = bound(21000)
    for _ in range(5):
        leave_note(21000)
        client.connect(("127.0.0.1", port))
        client.send(OLD)
        disconnect(client)
    with listen() as listener:
        server = again(client, listener)
    talk(client, server)
    os.kill(pid, 9)
    os.waitpid(pid, 0)


def half(way):
    """
    A send after shutdown() reaches nobody, and the other direction works until its own shutdown().
    """
    choose(way)
    client, server = pair()
    talk(client, server)
    client.shutdown(socket.SHUT_WR)
    seen = {"sent": send_old(client), "read": attempt(server.recv, 2000)}
    server.sendall(NEW)
    seen["answer"] = attempt(client.recv, 2000)
    server.shutdown(socket.SHUT_WR)
    seen["again"] = [send_old(server), attempt(client.recv, 2000)]
    return seen


def dumped(way):
    """
    A socket is in TCP_REPAIR, as when CRIU dumps it. What arrives then must be in TCP's receive
    queue, where CRIU looks for it.
    """
    choose(way)
    client, server = pair()
    talk(client, server)
    client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    for i in range(50):
        server.sendall(NOISE[i : i + 100])
    client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, -1)
    for i in range(50):
        equal(receive(client, 100), NOISE[i : i + 100], f"message {i}")


def at_port(port):
    """Makes one connection to a service on this port, in a network namespace of its own."""
    new_namespace()
    with listen(port=int(port)) as listener:
        client = connect(int(port))
        server = accept(listener)
    talk(client, server)
