# SPDX-License-Identifier: Apache-2.0
"""
Talks over COUNT connections in requests of 100 and answers of 50 bytes, about 200 a second all
together, in a process whose name moves the cursor. Prints the port of its listener.
"""
import socket
import sys
import time

with open("/proc/self/comm", "wb") as comm:
    comm.write(b"a\nb\x1b[2J\xc2\x9b")
listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
pairs = []
for _ in range(int(sys.argv[1])):
    client = socket.create_connection(listener.getsockname())
    pairs.append((client, listener.accept()[0]))
print(listener.getsockname()[1], flush=True)
while True:
    for client, server in pairs:
        client.sendall(b"c" * 100)
        server.recv(100)
        server.sendall(b"s" * 50)
        client.recv(50)
        time.sleep(0.005)
