# SPDX-License-Identifier: Apache-2.0
"""
Opens a connection in each state that `flows` tells apart and prints the ports of both ends as
JSON. Then it sends something for each line on stdin, and ends with stdin.
"""
import json
import os
import socket
import sys

with open("/proc/self/comm", "wb") as comm:
    comm.write(b'a "b\\c\xc3')  # cut inside a character, as the kernel cuts at 15 bytes


def connect(listener, address):
    client = socket.create_connection((address, listener.getsockname()[1]))
    return client, listener.accept()[0]


def exchange(client, server):
    for _ in range(4):
        client.sendall(b"c" * 100)
        assert len(server.recv(200)) == 100
        server.sendall(b"s" * 50)
        assert len(client.recv(200)) == 50


def listen(family, address):
    listener = socket.socket(family)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind((address, 0))
    listener.listen()
    return listener


v4, v6 = listen(socket.AF_INET, "127.0.0.1"), listen(socket.AF_INET6, "::")
pairs = {
    "used": connect(v4, "127.0.0.1"),
    "six": connect(v6, "::1"),
    "mapped": connect(v6, "127.0.0.1"),
    "fresh": connect(v4, "127.0.0.1"),
    "full": connect(v4, "127.0.0.1"),
    "left": connect(v4, "127.0.0.1"),
    "waiting": (socket.create_connection(v4.getsockname()), v4),
}
for name in ("used", "six", "mapped", "full", "left"):
    exchange(*pairs[name])
pairs["six"][0].sendall(b"c" * 300)
# This is more than a reader may leave unread, so the rest goes over TCP until that is full too.
pairs["full"][0].setblocking(False)
try:
    while True:
        pairs["full"][0].send(b"c" * 65536)
except BlockingIOError:
    pass
pairs["left"][1].close()
child = os.fork()
if child == 0:
    for client, server in pairs.values():
        if client is not pairs["used"][0]:
            client.close()
        server.close()
    os.read(0, 1)
    os._exit(0)
ports = {name: [client.getsockname()[1], client.getpeername()[1]] for name, (client, _) in pairs.items()}
print(json.dumps({"pid": os.getpid(), "child": child, "ports": ports}), flush=True)
for line in sys.stdin:
    pairs["used"][0].sendall(b"c" * 7)
    print("sent", flush=True)
