# SPDX-License-Identifier: Apache-2.0
# Long: a function for each case.
"""
Other ways to send and receive than send() and recv(). Where a limit of the kernel breaks one, the
case says how.
"""
import array
import ctypes
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import tempfile
import termios
import time

from common import LIBC, NOISE, Thread, connect, equal, exchange, listen, new_namespace, pair, receive
from uring import OP_SEND_ZC, Ring

MSG_ZEROCOPY, SO_ZEROCOPY, MSG_ERRQUEUE = 0x4000000, 60, 0x2000
SO_ATTACH_FILTER = 26


def enrolled():
    client, server = pair()
    exchange(client, server, 5)
    client.settimeout(None)
    server.settimeout(None)
    return client, server


def ways():
    """Ways that must bring every byte in order."""
    sendfile()
    splice_in()
    io_uring()


def limits():
    return {case.__name__: case() for case in (splice_out, zerocopy, out_of_band, lowat, fionread, waitall, interrupted,
                                               reset_blocked, shutdown_write, half_closed, truncation, zerocopy_send, filtered)}


def sendfile():
    client, server = enrolled()
    with tempfile.TemporaryFile() as file:
        file.write(NOISE[: 1 << 20])
        file.flush()
        reader = Thread(receive, server, 5 << 20)
        for _ in range(5):
            at = 0
            while at < 1 << 20:
                at += os.sendfile(client.fileno(), file.fileno(), at, (1 << 20) - at)
        equal(reader.end(), NOISE[: 1 << 20] * 5, "file")
    exchange(client, server)


def splice_in():
    """Splices from a pipe into the socket, as proxies do to send."""
    client, server = enrolled()
    reader = Thread(receive, server, 1 << 20)
    source, sink = os.pipe()
    for at in range(0, 1 << 20, 1 << 15):
        os.write(sink, NOISE[at : at + (1 << 15)])
        left = 1 << 15
        while left:
            left -= os.splice(source, client.fileno(), left)
    equal(reader.end(), NOISE[: 1 << 20], "spliced")
    exchange(client, server)


def splice_out():
    """
    Splices from the socket. What came through the bypass is not there for splice, although poll
    says readable; recv still gets it.
    """
    client, server = enrolled()
    source, sink = os.pipe()
    client.sendall(NOISE[:1000])
    equal(bool(select.select([server], [], [], 2)[0]), True, "readable")
    server.setblocking(False)
    try:
        found = {"nonblock": os.splice(server.fileno(), sink, 1000)}
    except BlockingIOError:
        found = {"nonblock": "EAGAIN"}
    server.setblocking(True)
    blocked = Thread(os.splice, server.fileno(), sink, 1000)
    blocked.join(0.3)
    found["blocking"] = "hangs" if blocked.is_alive() else blocked.value
    if not blocked.is_alive():
        return found
    equal(receive(server, 1000), NOISE[:1000], "what splice did not see")
    client.shutdown(socket.SHUT_WR)
    found["at_end"] = blocked.end()
    return found


def zerocopy():
    """
    The data arrives. Gives whether the completion, before which the buffer must not be used again,
    also arrives before the next check finds the option.
    """
    client, server = enrolled()
    client.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    for i in range(5):
        data = NOISE[i : i + 20000]
        sent = client.send(data, MSG_ZEROCOPY)
        equal(receive(server, sent), data[:sent], "data")
    poll = select.poll()
    poll.register(client, 0)
    found = {"completion": "none"}
    if poll.poll(300):
        client.recvmsg(0, 512, MSG_ERRQUEUE)
        found["completion"] = "arrives"
    exchange(client, server)
    return found


def out_of_band():
    client, server = enrolled()
    client.send(b"AB", socket.MSG_OOB)
    poll = select.poll()
    poll.register(server, select.POLLPRI | select.POLLIN)
    urgent = bool(poll.poll(2000)[0][1] & select.POLLPRI)
    found = receive(server, 2)
    exchange(client, server)
    return {"urgent": urgent, "inband": found.decode()}


def lowat():
    """Gives whether the socket is readable before SO_RCVLOWAT bytes are there."""
    client, server = enrolled()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 8)
    client.send(b"1234")
    poll = select.poll()
    poll.register(server, select.POLLIN)
    found = {"readable": bool(poll.poll(200)), "recv": len(server.recv(100))}
    client.send(b"12345678")
    equal(bool(poll.poll(2000)), True, "readable with all of them")
    equal(receive(server, 8), b"12345678", "all of them")
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
    exchange(client, server)
    return found


def count_unread(sock):
    number = array.array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, number)
    return number[0]


def fionread():
    """
    Gives what FIONREAD says of bytes that came through the bypass, and of the first ones, which
    came over TCP.
    """
    with listen(options=[(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)]) as listener:
        client = connect(listener.getsockname()[1])
        client.sendall(NOISE[:700])
        server, _ = listener.accept()
    by_tcp = count_unread(server)
    equal(receive(server, 700), NOISE[:700], "what came over TCP")
    exchange(client, server, 5)
    client.sendall(NOISE[:900])
    client.sendall(NOISE[900:1000])
    found = {"by_tcp": by_tcp, "redirected": count_unread(server)}
    equal(receive(server, 1000), NOISE[:1000], "redirected")
    found["nothing"] = count_unread(server)
    return found


def waitall():
    """recv(MSG_WAITALL) returns what one message brought; a reader that loops gets all."""
    client, server = enrolled()
    reader = Thread(server.recv, 8, socket.MSG_WAITALL)
    time.sleep(0.05)
    client.send(b"ABCD")
    time.sleep(0.05)
    client.send(b"EFGH")
    first = reader.end()
    equal(first + receive(server, 8 - len(first)), b"ABCDEFGH", "both messages")
    return {"first": len(first)}


def interrupted():
    """A signal ends a blocked recv with EAGAIN, with and without SA_RESTART; nothing is lost."""
    client, server = enrolled()
    outcomes = []
    for restart in (False, True):
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.siginterrupt(signal.SIGALRM, not restart)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        sender = Thread(lambda: (time.sleep(0.4), client.send(b"late")))
        buffer = ctypes.create_string_buffer(10)
        size = LIBC.recv(server.fileno(), buffer, 10, 0)
        outcomes.append(errno.errorcode[ctypes.get_errno()] if size < 0 else "data")
        if size < 0:
            equal(receive(server, 4), b"late", "after the signal")
        sender.end()
    return {"interrupt": outcomes[0], "restart": outcomes[1]}


def reset_blocked():
    """Gives the errors of a recv() that blocks while the peer resets, and of the next one."""
    client, server = enrolled()
    first = Thread(error_of, server)
    time.sleep(0.1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    found = {"first": first.end()}
    if found["first"] == "EAGAIN":
        found["next"] = error_of(server)
    return found


def error_of(sock):
    buffer = ctypes.create_string_buffer(1)
    size = LIBC.recv(sock.fileno(), buffer, 1, 0)
    return errno.errorcode[ctypes.get_errno()] if size < 0 else str(size)


def shutdown_write():
    """Sends after a shutdown(SHUT_WR) of the same end."""
    client, server = enrolled()
    client.shutdown(socket.SHUT_WR)
    time.sleep(0.05)
    try:
        client.send(b"x")
        return {"send": "sent"}
    except BrokenPipeError:
        return {"send": "EPIPE"}


def half_closed():
    """
    An end shuts its direction down, with or without something unread, and waits for an answer that
    comes later than the ACK of its FIN. Whether that ACK comes before recv() sleeps is up to the
    kernel, so one EAGAIN in twenty connections counts.
    """
    return {name: wait_after_shutdown(*args) for name, *args in (("client", 0, 0), ("server", 1, 0), ("unread", 0, 1))}


def wait_after_shutdown(one, unread, count=20):
    connections = [enrolled() for _ in range(count)]
    for socks in connections if unread else ():
        socks[1 - one].send(NOISE[:unread])
    # An ACK of earlier bytes that is still due would also acknowledge the FIN.
    time.sleep(0.1)
    waiting = []
    for socks in connections:
        socks[one].shutdown(socket.SHUT_WR)
        if unread:
            equal(socks[one].recv(unread), NOISE[:unread], "unread")
        waiting.append(Thread(error_of, socks[one]))
    time.sleep(0.3)
    for socks in connections:
        socks[1 - one].send(b"x")
    found = {thread.end() for thread in waiting}
    for socks in connections:
        socks[1 - one].close()
    equal(found - {"1", "EAGAIN"}, set(), "other results of recv()")
    return "EAGAIN" if "EAGAIN" in found else "1"


def truncation():
    """
    Over TCP, recv(MSG_TRUNC) discards bytes, needs no buffer, and leaves one that is given
    unchanged.
    """
    client, server = enrolled()
    client.sendall(NOISE[:100])
    buffer = ctypes.create_string_buffer(100)
    found = {"no_buffer": "discards", "buffer": "unchanged"}
    if LIBC.recv(server.fileno(), None, 100, socket.MSG_TRUNC) < 0:
        found["no_buffer"] = errno.errorcode[ctypes.get_errno()]
        equal(LIBC.recv(server.fileno(), buffer, 100, socket.MSG_TRUNC), 100, "with a buffer")
        found["buffer"] = "overwritten" if buffer.raw == NOISE[:100] else "unchanged"
    exchange(client, server)
    return found


def zerocopy_send():
    """
    Sends without a copy by io_uring. The kernel marks a socket as unable to do so when it is
    enrolled, unless accept() comes later.
    """
    client, server = enrolled()
    return {"connecting": send_uncopied(client, server), "accepting": send_uncopied(server, client)}


def send_uncopied(writer, reader):
    ring = Ring()
    ring.send(writer, NOISE[:1000], OP_SEND_ZC)
    try:
        ring.wait(1)
    except OSError as error:
        return errno.errorcode[error.errno]
    equal(receive(reader, 1000), NOISE[:1000], "sent without a copy")
    return "works"


def filtered():
    """Gives what arrives through a filter that drops every packet."""
    client, server = enrolled()
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
    server.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HxxxxxxP", 1, ctypes.addressof(drop_all)))
    client.send(b"1234")
    return {"recv": len(server.recv(10)) if select.select([server], [], [], 1)[0] else 0}


def syn_cookies():
    """
    A server that sends SYN cookies, as under a SYN flood, keeps no state of a connection before it
    is established.
    """
    new_namespace()
    with open("/proc/sys/net/ipv4/tcp_syncookies", "w") as file:
        file.write("2")
    client, server = pair()
    exchange(client, server)


def io_uring():
    """Some receive requests wait in the ring before there are bytes, and some find bytes."""
    client, server = pair()
    ring = Ring()
    for i in range(300):
        size = 1 + i * 97 % 9000
        data = NOISE[i : i + size]
        reader, writer = (server, client) if i % 2 else (client, server)
        buffer = bytearray(size)
        if i % 3:
            ring.receive(reader, buffer)
        ring.send(writer, data)
        if not i % 3:
            ring.receive(reader, buffer)
        results = ring.wait(2)
        equal(results["send"], size, "sent by io_uring")
        got = results["receive"]
        while got < size:
            part = bytearray(size - got)
            ring.receive(reader, part)
            count = ring.wait(1)["receive"]
            buffer[got : got + count] = part[:count]
            got += count
        equal(bytes(buffer), data, f"message {i}")
    last = bytearray(10)
    ring.receive(server, last)
    client.close()
    equal(ring.wait(1)["receive"], 0, "end of the stream")
