# SPDX-License-Identifier: Apache-2.0
"""Where the two ends are: families, namespaces, NAT, other cgroups."""
import os
import socket
import subprocess

from common import (SLOWNESS, Mailbox, call, connect, exchange, fork, join, leave_cgroup, listen, new_namespace, pair, receive,
                    report_line, serve_echo)


def family(kind):
    client, server = pair(kind)
    exchange(client, server)
    client.close()
    server.close()


def echo_once(listener):
    server, _ = listener.accept()
    server.settimeout(8 * SLOWNESS)
    serve_echo(server)


def ask(client, times=100, size=500):
    for i in range(times):
        data = bytes([i]) * size
        client.sendall(data)
        if receive(client, size) != data:
            raise AssertionError(f"reply {i} is not the request")
    client.shutdown(socket.SHUT_WR)
    if client.recv(1):
        raise AssertionError("bytes after the last reply")
    client.close()


def in_namespace(ready, go, work):
    """A process with a network of its own; work runs when the parent has wired it."""
    new_namespace()
    ready.put()
    go.get()
    work()


def place(work):
    ready, go = Mailbox(), Mailbox()
    pid = fork(in_namespace, ready, go, work)
    ready.get()
    return pid, go


def wire(near, near_address, far, far_address, number):
    """A veth between the networks of two processes."""
    names = (f"a{number}", f"b{number}")
    call(f"ip link add {names[0]} netns {near} type veth peer name {names[1]} netns {far}")
    for pid, name, address in ((near, names[0], near_address), (far, names[1], far_address)):
        enter = f"nsenter -t {pid} -n ip "
        call(f"{enter} addr add {address} dev {name}")
        call(f"{enter} link set {name} up")


def veth(outside=""):
    """outside: which end's process is in another cgroup."""
    listening = Mailbox()

    def backend():
        if outside == "server":
            leave_cgroup()
        listener = listen(address="10.77.0.2", port=7000)
        listening.put()
        echo_once(listener)

    def client():
        if outside == "client":
            leave_cgroup()
        ask(connect(7000, address="10.77.0.2"))

    near, go_near = place(client)
    far, go_far = place(backend)
    wire(near, "10.77.0.1/24", far, "10.77.0.2/24", 1)
    go_far.put()
    listening.get()
    go_near.put()
    join(near, far)


RULES = """table ip t {
  chain c { type nat hook prerouting priority -100; ip daddr 10.96.0.10 tcp dport 80 dnat to 10.78.0.2:7000; }
}
"""


def dnat():
    """A client, a node that rewrites the service's address, and a backend, each in a namespace."""
    listening, routing = Mailbox(), Mailbox()

    def router():
        with open("/proc/sys/net/ipv4/ip_forward", "w") as file:
            file.write("1")
        subprocess.run(["nft", "-f", "-"], input=RULES, text=True, check=True)
        routing.put()
        Mailbox().get()

    def backend():
        call("ip route add default via 10.78.0.1")
        listener = listen(address="10.78.0.2", port=7000)
        listening.put()
        echo_once(listener)

    def client():
        call("ip route add default via 10.77.0.2")
        connection = connect(80, address="10.96.0.10")
        if connection.getpeername() != ("10.96.0.10", 80):
            raise AssertionError("not the service's address")
        ask(connection)

    near, go_near = place(client)
    middle, go_middle = place(router)
    far, go_far = place(backend)
    wire(near, "10.77.0.1/24", middle, "10.77.0.2/24", 1)
    wire(middle, "10.78.0.1/24", far, "10.78.0.2/24", 2)
    go_middle.put()
    routing.get()
    go_far.put()
    listening.get()
    go_near.put()
    join(near, far)
    os.kill(middle, 9)
    os.waitpid(middle, 0)


def mptcp():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
    exchange(client, server)


def ports(first, second):
    """One exchange with a server on each port; the test looks at the counters in between."""
    for port in (first, second):
        with listen(port=int(port)) as listener:
            client = connect(int(port))
            server, _ = listener.accept()
        exchange(client, server)
        client.close()
        server.close()
        report_line(port)


def source(port):
    """A client bound to that port, a server on any."""
    with listen() as listener:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(("127.0.0.1", int(port)))
        client.connect(listener.getsockname())
        server, _ = listener.accept()
    exchange(client, server)


def addresses(client_address, server_address):
    with listen(address=server_address) as listener:
        client = socket.socket()
        client.bind((client_address, 0))
        client.connect(listener.getsockname())
        server, _ = listener.accept()
    exchange(client, server)
