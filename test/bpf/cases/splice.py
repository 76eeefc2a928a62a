# SPDX-License-Identifier: Apache-2.0
"""Readers that splice from the first byte on, as a TCP proxy in Go does, and one that begins to after it has received."""
import os

from common import NOISE, Thread, equal, exchange, pair, receive


def spliced(sock, size):
    """Moves so many bytes into a pipe and gives them."""
    sock.setblocking(True)
    source, sink = os.pipe()
    data = bytearray()
    while len(data) < size:
        moved = os.splice(sock.fileno(), sink, min(size - len(data), 1 << 15))
        if moved == 0:
            break
        while moved:
            part = os.read(source, moved)
            moved -= len(part)
            data += part
    os.close(source)
    os.close(sink)
    return bytes(data)


def send_pieces(sock, size, piece=3000):
    for at in range(0, size, piece):
        sock.sendall(NOISE[at : min(at + piece, size)])


def from_the_first(size=300000):
    """The other direction is read by recv."""
    client, server = pair()
    reader = Thread(spliced, server, size)
    sender = Thread(send_pieces, client, size)
    equal(reader.end(), NOISE[:size], "spliced")
    sender.end()
    answer = Thread(send_pieces, server, size)
    equal(receive(client, size), NOISE[:size], "answer")
    answer.end()
    return {}


def after_a_header(size=300000):
    """It has received, and redirected bytes with it; what is sent once it splices goes by TCP."""
    client, server = pair()
    exchange(client, server)
    reader = Thread(spliced, server, size)
    reader.join(0.5)
    sender = Thread(send_pieces, client, size)
    equal(reader.end(), NOISE[:size], "spliced")
    sender.end()
    return {}


def receiving():
    client, server = pair()
    exchange(client, server, 500)
    return {}
