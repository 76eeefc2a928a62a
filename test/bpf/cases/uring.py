# SPDX-License-Identifier: Apache-2.0
"""
As much of io_uring as the cases need. A system call is a full barrier, so one thread can use plain
loads and stores.
"""
import ctypes
import mmap
import select
import struct

from common import LIBC

SETUP, ENTER = 425, 426  # the same numbers on every architecture
ENTER_GETEVENTS = 1
OP_POLL_ADD, OP_SEND, OP_RECV, OP_SPLICE, OP_SEND_ZC = 6, 26, 27, 30, 47
POLL_ADD_MULTI = 1
CQE_MORE = 2
OFFSET_SQES = 0x10000000
NO_OFFSET = (1 << 64) - 1
SPLICE_SOURCE = 44  # in the request: splice_fd_in
SQE = struct.Struct("<BBHiQQIIQ24x")


class Ring:
    """Needs IORING_FEAT_SINGLE_MMAP (Linux 5.4)."""

    def __init__(self, entries=8):
        params = (ctypes.c_uint32 * 30)()
        self.fd = LIBC.syscall(SETUP, entries, params)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "io_uring_setup")
        sq, cq = params[10:20], params[20:30]
        self.sq_tail, self.sq_mask, self.sq_array = sq[1], sq[2], sq[6]
        self.cq_head, self.cq_tail, self.cq_mask, self.cqes = cq[0], cq[1], cq[2], cq[5]
        size = max(self.sq_array + params[0] * 4, self.cqes + params[1] * 16)
        self.rings = mmap.mmap(self.fd, size, mmap.MAP_SHARED | mmap.MAP_POPULATE)
        self.sqes = mmap.mmap(self.fd, params[0] * SQE.size, mmap.MAP_SHARED | mmap.MAP_POPULATE, offset=OFFSET_SQES)
        self.kept = []

    def read(self, at):
        return struct.unpack_from("<I", self.rings, at)[0]

    def submit(self, operation, sock, buffer, size, number, flags=0):
        tail = self.read(self.sq_tail)
        index = tail & self.read(self.sq_mask)
        SQE.pack_into(self.sqes, index * SQE.size, operation, 0, 0, sock.fileno(), 0, buffer, size, flags, number)
        struct.pack_into("<I", self.rings, self.sq_array + index * 4, index)
        struct.pack_into("<I", self.rings, self.sq_tail, tail + 1)
        if LIBC.syscall(ENTER, self.fd, 1, 0, 0, None, 0) != 1:
            raise OSError(ctypes.get_errno(), "io_uring_enter")

    def send(self, sock, data, operation=OP_SEND):
        kept = ctypes.create_string_buffer(data, len(data))
        self.kept.append(kept)
        self.submit(operation, sock, ctypes.addressof(kept), len(data), 1)

    def receive(self, sock, buffer):
        kept = (ctypes.c_char * len(buffer)).from_buffer(buffer)
        self.kept.append(kept)
        self.submit(OP_RECV, sock, ctypes.addressof(kept), len(buffer), 2)

    def splice(self, source, sink, size):
        """Splices, waits for the end, and gives how many bytes it moved."""
        tail = self.read(self.sq_tail)
        index = tail & self.read(self.sq_mask)
        # Neither end has an offset. The field of the file holds the sink.
        SQE.pack_into(self.sqes, index * SQE.size, OP_SPLICE, 0, 0, sink, NO_OFFSET, NO_OFFSET, size, 0, 4)
        struct.pack_into("<i", self.sqes, index * SQE.size + SPLICE_SOURCE, source)
        struct.pack_into("<I", self.rings, self.sq_array + index * 4, index)
        struct.pack_into("<I", self.rings, self.sq_tail, tail + 1)
        LIBC.syscall(ENTER, self.fd, 1, 1, ENTER_GETEVENTS, None, 0)
        while (head := self.read(self.cq_head)) == self.read(self.cq_tail):
            LIBC.syscall(ENTER, self.fd, 0, 1, ENTER_GETEVENTS, None, 0)
        _, result = struct.unpack_from("<Qi", self.rings, self.cqes + (head & self.read(self.cq_mask)) * 16)
        struct.pack_into("<I", self.rings, self.cq_head, head + 1)
        if result < 0:
            raise OSError(-result, "io_uring")
        return result

    def poll(self, sock, events):
        """Asks for one completion at each wake-up from now on."""
        self.submit(OP_POLL_ADD, sock, 0, POLL_ADD_MULTI, 3, events)

    def take_polls(self, seconds):
        """
        Gives how many completions of poll() come within this time, and whether the poll stays
        armed.
        """
        if not select.select([self.fd], [], [], seconds)[0]:
            return 0, True
        head, tail = self.read(self.cq_head), self.read(self.cq_tail)
        last = self.cqes + (tail - 1 & self.read(self.cq_mask)) * 16
        struct.pack_into("<I", self.rings, self.cq_head, tail)
        return tail - head, bool(struct.unpack_from("<I", self.rings, last + 12)[0] & CQE_MORE)

    def wait(self, count):
        """Waits for this many requests and gives their results."""
        results = {}
        while len(results) < count:
            head = self.read(self.cq_head)
            if head == self.read(self.cq_tail):
                LIBC.syscall(ENTER, self.fd, 0, 1, ENTER_GETEVENTS, None, 0)
                continue
            number, result = struct.unpack_from("<Qi", self.rings, self.cqes + (head & self.read(self.cq_mask)) * 16)
            struct.pack_into("<I", self.rings, self.cq_head, head + 1)
            if result < 0:
                raise OSError(-result, "io_uring")
            results["send" if number == 1 else "receive"] = result
        self.kept.clear()
        return results
