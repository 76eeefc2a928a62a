# SPDX-License-Identifier: Apache-2.0
# Exchanges a hundred messages each way between two sockets of this machine, and prints whether each
# byte was right.
import os
import socket

v2 = next(line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "cgroup2")
with open(v2 + "/cgroup.procs", "w") as procs:
    procs.write(str(os.getpid()))
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
exact = True
for number in range(100):
    sent = os.urandom(1 + number * 17)
    for one, other in ((client, server), (server, client)):
        one.sendall(sent)
        got = b""
        while len(got) < len(sent):
            got += other.recv(len(sent) - len(got))
        exact = exact and got == sent
print("exact" if exact else "wrong")
