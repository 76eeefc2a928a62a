# SPDX-License-Identifier: Apache-2.0
"""
python3 memory.py idle COUNT | queue SIZE BYTES    kernel memory of COUNT idle connections, or of BYTES unread in messages of SIZE, in bytes.

Counted are slabs, page tables of the kernel and pages that nobody else counts: what is missing from MemFree and not in user pages or page cache.
"""
import gc
import resource
import socket
import sys
import time


def used():
    gc.collect()
    time.sleep(0.3)
    info = {}
    with open("/proc/meminfo") as file:
        for line in file:
            name, value = line.split(":")
            info[name] = int(value.split()[0]) * 1024
    user = sum(info[name] for name in ("Active", "Inactive", "Unevictable", "Buffers"))
    return info["MemTotal"] - info["MemFree"] - user


def allow(files):
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))


def pairs(count):
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    made = []
    for _ in range(count):
        client = socket.create_connection(listener.getsockname())
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
