# SPDX-License-Identifier: Apache-2.0
"""
python3 connect.py SERVER_NS SERVER_CGROUP BIND CLIENT_NS CLIENT_CGROUP DIAL PORT COMMAND…

Connects two sockets, each made in its own network namespace and cgroup, and runs the command with
--fds CLIENT,SERVER. A namespace is a path or a name of `ip netns`.
"""
import ctypes
import os
import socket
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def enter(namespace, cgroup):
    with open(os.path.join(cgroup, "cgroup.procs"), "w") as file:
        file.write(str(os.getpid()))
    with open(os.path.join("/run/netns", namespace)) as file:
        if LIBC.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {namespace}")


server_ns, server_cgroup, bind, client_ns, client_cgroup, dial, port, *command = sys.argv[1:]
enter(server_ns, server_cgroup)
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((bind, int(port)))
listener.listen()
enter(client_ns, client_cgroup)
client = socket.create_connection((dial, int(port)), 5)
client.settimeout(None)
server, _ = listener.accept()
listener.close()
for end in (client, server):
    os.set_inheritable(end.fileno(), True)
os.execv(command[0], [*command, "--fds", f"{client.fileno()},{server.fileno()}"])
