# SPDX-License-Identifier: Apache-2.0
"""
Options that only TCP obeys, set by either end before there is a connection, before there is data,
or in the middle of it.
"""
import array
import ctypes
import fcntl
import select
import socket
import struct
import time

from common import NOISE, connect, equal, exchange, listen, receive

SO_ATTACH_FILTER, SO_PEEK_OFF, SO_MAX_PACING_RATE, SO_TIMESTAMPING, SO_ZEROCOPY = 26, 42, 47, 37, 60
TCP_INQ, MSG_ZEROCOPY, MSG_ERRQUEUE, SIOCATMARK = 36, 0x4000000, 0x2000, 0x8905
RX_SOFTWARE, REPORT_SOFTWARE = 1 << 3, 1 << 4
SOL, TCP = socket.SOL_SOCKET, socket.IPPROTO_TCP
WHOLE, HEADERS = 0x40000, 1  # what a filter leaves of a packet


def set_filter(sock, amount):
    code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, amount))
    sock.setsockopt(SOL, SO_ATTACH_FILTER, struct.pack("HxxxxxxP", 1, ctypes.addressof(code)))


def is_readable(sock, seconds):
    return bool(select.select([sock], [], [], seconds)[0])


def waits(writer, reader):
    writer.send(b"1234")
    found = "readable" if is_readable(reader, 0.1) else "waits"
    writer.send(b"12345678")
    equal(receive(reader, 12), b"123412345678", "all of them")
    return found


def goes_on(writer, reader):
    reader.setsockopt(SOL, SO_PEEK_OFF, 0)
    writer.send(b"ABCD")
    is_readable(reader, 5)
    peeks = [reader.recv(2, socket.MSG_PEEK | socket.MSG_DONTWAIT) for _ in range(2)]
    equal(receive(reader, 4), b"ABCD", "after MSG_PEEK")
    return "goes on" if peeks == [b"AB", b"CD"] else "begins anew"


def brings(writer, reader):
    """Gives whether ancillary data comes with the bytes."""
    writer.send(b"ABCD")
    is_readable(reader, 5)
    data, beside, _, _ = reader.recvmsg(2, 512)
    equal(data + receive(reader, 2), b"ABCD", "data")
    return "tells" if beside else "silent"


def is_urgent(writer, reader):
    writer.send(b"AB", socket.MSG_OOB)
    poll = select.poll()
    poll.register(reader, select.POLLPRI | select.POLLIN)
    poll.poll(2000)
    equal(receive(reader, 1), b"A", "before the mark")
    at_mark = array.array("i", [0])
    fcntl.ioctl(reader, SIOCATMARK, at_mark)
    equal(receive(reader, 1), b"B", "at the mark")
    return "marked" if at_mark[0] else "unmarked"


def cuts(writer, reader):
    """Comes last, because TCP retransmits for ever what the filter cuts off."""
    set_filter(reader, HEADERS)
    writer.send(b"1234")
    return "arrives" if is_readable(reader, 0.2) else "cut"


def completes(writer, reader):
    sent = writer.send(NOISE[:20000], MSG_ZEROCOPY)
    equal(receive(reader, sent), NOISE[:sent], "data")
    poll = select.poll()
    poll.register(writer, 0)
    return "told" if poll.poll(1000) else "not told"


def passes(writer, reader):
    """Only timing would show a rate, so the test looks at the counters."""
    exchange(writer, reader, 5)
    return "passes"


def option(*words):
    return lambda sock: sock.setsockopt(*words)


# By name: which end sets the option, how it sets it, and what shows that it is obeyed.
OPTIONS = {
    "SO_RCVLOWAT": ("reader", option(SOL, socket.SO_RCVLOWAT, 8), waits),
    "SO_PEEK_OFF": ("reader", option(SOL, SO_PEEK_OFF, 0), goes_on),
    "TCP_INQ": ("reader", option(TCP, TCP_INQ, 1), brings),
    "SO_TIMESTAMPNS": ("reader", option(SOL, 35, 1), brings),
    "SO_TIMESTAMPING": ("reader", option(SOL, SO_TIMESTAMPING, RX_SOFTWARE | REPORT_SOFTWARE), brings),
    "SO_OOBINLINE": ("reader", option(SOL, socket.SO_OOBINLINE, 1), is_urgent),
    "SO_ATTACH_FILTER": ("reader", lambda sock: set_filter(sock, WHOLE), cuts),
    "SO_ZEROCOPY": ("writer", option(SOL, SO_ZEROCOPY, 1), completes),
    "SO_MAX_PACING_RATE": ("writer", option(SOL, SO_MAX_PACING_RATE, 100 << 20), passes),
}


def open_pair(options):
    """
    Opens a pair with the options of each end set before there is a connection. An accepted socket
    has those of its listener.
    """
    ends = []
    with listen() as listener:
        for set_option in options.get("server", ()):
            set_option(listener)
        client = socket.socket()
        for set_option in options.get("client", ()):
            set_option(client)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
    for end in (client, server):
        end.settimeout(20)
        end.setsockopt(TCP, socket.TCP_NODELAY, 1)
        ends.append(end)
    return ends


def try_option(name, owner, when):
    who, set_option, look = OPTIONS[name]
    client, server = open_pair({owner: [set_option]} if when == "before" else {})
    own, other = (client, server) if owner == "client" else (server, client)
    if when == "after":
        exchange(client, server, 5)
    if when != "before":
        set_option(own)
    exchange(client, server, 50)  # every 32 messages the sender checks the reader
    found = look(other, own) if who == "reader" else look(own, other)
    client.close()
    server.close()
    return found


def obey(when):
    """
    Tries each option at each end. The kernel timestamps packets only some moments after the first
    socket asks for it, so an early socket asks.
    """
    early = socket.socket()
    early.setsockopt(SOL, 35, 1)
    time.sleep(0.1)
    return {f"{name} {owner}": try_option(name, owner, when) for name in OPTIONS for owner in ("client", "server")}


def defaults():
    """Sets options to their defaults."""
    client, server = open_pair({"server": [option(SOL, socket.SO_RCVLOWAT, 1)], "client": [option(SOL, SO_PEEK_OFF, -1)]})
    for sock in (client, server):
        sock.setsockopt(SOL, SO_MAX_PACING_RATE, struct.pack("I", 0xFFFFFFFF))
        sock.setsockopt(SOL, socket.SO_RCVLOWAT, 0)
    exchange(client, server, 50)
