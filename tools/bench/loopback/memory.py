# SPDX-License-Identifier: Apache-2.0
"""
python3 memory.py idle COUNT | queue SIZE BYTES

Prints the kernel memory, in bytes, of one of COUNT idle connections, or beside one of BYTES unread
bytes in messages of SIZE. It counts the objects in use of all slabs: sockets, heads of buffers,
messages. It does not count pages, and so not the unread byte itself, because their number means
nothing where a hypervisor takes and gives pages.
"""
import gc
import glob
import resource
import socket
import struct
import sys
import time


def used():
    """Waits until the number is stable, because much is freed some time after its release."""
    gc.collect()
    last = now()
    for _ in range(20):
        time.sleep(0.3)
        found, last = last, now()
        if abs(found - last) < 100_000:
            break
    return last


def now():
    # Returns freed objects that the caches keep, which would count as in use otherwise.
    for file in glob.glob("/sys/kernel/slab/*/shrink"):
        with open(file, "w") as control:
            control.write("1")
    objects = 0
    with open("/proc/slabinfo") as file:
        for line in file.readlines()[2:]:
            active, _, size = map(int, line.split()[1:4])
            objects += active * size
    return objects


def allow(files):
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))


def pairs(count):
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    made = []
    for _ in range(count):
        client = socket.create_connection(listener.getsockname())
        # It is closed by a reset, so that nothing of it stays in TIME_WAIT for a minute.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        made.append((client, listener.accept()[0]))
    return made


def idle(count):
    allow(2 * count + 300)
    keep = pairs(50)
    before = used()
    made = pairs(count)
    for client, server in made:
        for sock, other in ((client, server), (server, client)) * 3:
            sock.send(b"x")
            other.recv(1)
    return (used() - before) / count, keep


def queue(size, total):
    allow(1200)
    made = pairs(400)
    for client, server in made:
        for sock, other in ((client, server), (server, client)) * 3:
            sock.send(b"x")
            other.recv(1)
        client.setblocking(False)
    before, sent = used(), 0
    for client, _ in made:
        end = sent + total
        try:
            while sent < end:
                sent += client.send(bytes(size))
        except BlockingIOError:
            pass
    return (used() - before) / sent, made


what, *numbers = sys.argv[1:]
print({"idle": idle, "queue": queue}[what](*map(int, numbers))[0])
