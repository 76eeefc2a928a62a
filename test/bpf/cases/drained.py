# SPDX-License-Identifier: Apache-2.0
"""A client that has sent nothing leaves the map while its server may be about to redirect to it."""
import ctypes
import os
import platform
import select
import socket
import struct
import time

from common import LIBC, NOISE, Mailbox, Thread, equal, fork, join, pair, patiently, receive, report_line
from lock import SleepingPage

BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
MAP_UPDATE_ELEM, OBJ_GET = 2, 7
PAUSE_BYTES = 4321


def call_bpf(command, *words):
    attributes = struct.pack(f"{len(words)}Q", *words)
    result = LIBC.syscall(BPF, command, attributes, len(attributes))
    if result < 0:
        raise OSError(ctypes.get_errno(), "bpf")
    return result


class Knob:
    """
    The drain knob of a generation. It is set from here because bpftool takes longer to start than
    the pause lasts.
    """

    def __init__(self, pin):
        name = ctypes.create_string_buffer(os.fsencode(pin))
        self.fd = call_bpf(OBJ_GET, ctypes.addressof(name), 0)

    def set(self, value):
        key, number = ctypes.c_uint32(0), ctypes.c_uint64(value)
        call_bpf(MAP_UPDATE_ELEM, self.fd, ctypes.addressof(key), ctypes.addressof(number), 0)


def beside_a_redirect(pin="", times=20):
    """
    The server's program decides to redirect and pauses (in a test build). Meanwhile a drain begins
    and the client sends its first byte. Gives how often the server was still paused then. Without a
    pin it plays the same without a drain.
    """
    knob = pin and Knob(pin)

    def leave(client):
        if knob:
            knob.set(1)
        client.sendall(b"x")

    return {"beside": sum(once_beside_a_redirect(leave, b"x", knob) for _ in range(int(times)))}


def shut_beside_a_redirect(times=20):
    """Plays the same, but the client shuts its direction down."""

    def leave(client):
        client.settimeout(None)  # a client that never blocks stays enrolled
        client.shutdown(socket.SHUT_WR)

    return {"beside": sum(once_beside_a_redirect(leave, b"") for _ in range(int(times)))}


def once_beside_a_redirect(leave, heard, knob=None):
    client, server = pair()
    sending, sent = Mailbox(), Mailbox()

    def serve():
        for i in range(5):
            server.sendall(NOISE[i : i + 100])
        sending.put()
        server.sendall(NOISE[:PAUSE_BYTES])
        sent.put()
        equal(patiently(server.recv, 1), heard, "what the client sent")
        server.sendall(NOISE[:1000])

    pid = fork(serve)
    server.close()
    for i in range(5):
        equal(receive(client, 100), NOISE[i : i + 100], f"message {i}")
    sending.get()
    time.sleep(0.01)
    leave(client)
    is_beside = not select.select([sent.reader], [], [], 0)[0]
    sent.get()
    equal(receive(client, PAUSE_BYTES + 1000), NOISE[:PAUSE_BYTES] + NOISE[:1000], "what followed")
    equal(client.recv(1), b"", "end")
    client.close()
    join(pid)
    if knob:
        knob.set(0)
    return is_beside


def fed_by_a_call():
    """
    The server of a client that has sent nothing sends from a page that is not there, so a call that
    may redirect to the client stands still.
    """
    client, server = pair()
    server.sendall(NOISE[:100])
    equal(receive(client, 100), NOISE[:100], "first message")
    page = SleepingPage()
    thread = Thread(LIBC.send, server.fileno(), ctypes.c_void_p(page.address), ctypes.c_size_t(1000), 0)
    page.wait_for_sleeper()
    report_line("standing")
    page.wake()
    equal(thread.end(), 1000, "bytes sent")
    equal(receive(client, 1000), bytes(1000), "what it sent")
    report_line("read")
