# SPDX-License-Identifier: Apache-2.0
"""
A reader that sleeps inside its own recv() holds the lock of its socket. Nobody else may have to
wait for that.
"""
import ctypes
import fcntl
import mmap
import os
import struct

from common import LIBC, NOISE, Thread, equal, exchange, leave_cgroup, pair, receive

SYS_userfaultfd = {"x86_64": 323, "aarch64": 282}[os.uname().machine]
UFFD_API = 0xAA
UFFDIO_API = 0xC018AA3F
UFFDIO_REGISTER = 0xC020AA00
UFFDIO_ZEROPAGE = 0xC020AA04
REGISTER_MISSING = 1


class SleepingPage:
    """
    Memory whose first access sleeps until wake(), like a page of a slow file system or of swap.
    With a descriptor and an address it is a page of another process.
    """

    def __init__(self, faults=None, address=None):
        if faults is not None:
            self.faults, self.address = faults, address
            return
        self.memory = mmap.mmap(-1, mmap.PAGESIZE)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.faults = LIBC.syscall(SYS_userfaultfd, os.O_CLOEXEC)
        if self.faults < 0:
            raise OSError(ctypes.get_errno(), "userfaultfd")
        fcntl.ioctl(self.faults, UFFDIO_API, struct.pack("QQQ", UFFD_API, 0, 0))
        request = struct.pack("QQQQ", self.address, mmap.PAGESIZE, REGISTER_MISSING, 0)
        fcntl.ioctl(self.faults, UFFDIO_REGISTER, request)

    def wait_for_sleeper(self):
        os.read(self.faults, 32)

    def wake(self):
        request = struct.pack("QQQq", self.address, mmap.PAGESIZE, 0, 0)
        fcntl.ioctl(self.faults, UFFDIO_ZEROPAGE, request)


def asleep_in_recv(way, size=100, messages=20):
    """
    A non-blocking sender returns while the reader sleeps on a page, and every byte arrives in
    order.
    """
    if way == "plain":
        leave_cgroup()
    client, server = pair()
    client.settimeout(None)
    exchange(client, server)

    page = SleepingPage()
    reader = Thread(client.recv_into, memoryview(page.memory), size)
    server.sendall(NOISE[:size])
    page.wait_for_sleeper()

    server.setblocking(False)
    sent = Thread(lambda: sum(server.send(NOISE[size * i : size * (i + 1)]) for i in range(1, messages)))
    try:
        equal(sent.end(timeout=3), size * (messages - 1), "bytes sent beside the sleeper")
    finally:
        page.wake()
    equal(reader.end(), size, "bytes that the sleeper got")
    equal(bytes(page.memory[:size]), NOISE[:size], "what the sleeper got")
    equal(receive(client, size * (messages - 1)), NOISE[size : size * messages], "what came behind it")
    server.settimeout(8)
    exchange(client, server)


def asleep_often(times=12):
    """The reader sleeps again and again, and the sender goes to TCP for good."""
    client, server = pair()
    client.settimeout(None)
    for _ in range(times):
        exchange(client, server)
        page = SleepingPage()
        reader = Thread(client.recv_into, memoryview(page.memory), 100)
        server.sendall(NOISE[:100])
        page.wait_for_sleeper()
        sender = Thread(server.sendall, NOISE[100:200])
        sender.end(timeout=3)
        page.wake()
        reader.end()
        equal(receive(client, 100), NOISE[100:200], "what came behind it")
    exchange(client, server)
