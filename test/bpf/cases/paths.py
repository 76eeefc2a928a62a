# SPDX-License-Identifier: Apache-2.0
# Long: a function for each case.
"""Where the two ends may be: address families, namespaces, NAT, other cgroups."""
import errno
import os
import socket
import struct
import subprocess
import time

from common import (NOISE, PATIENCE, Mailbox, Thread, call, connect, equal, exchange, fork, join, leave_cgroup, listen, new_namespace,
                    pair, receive, report_line, serve_echo)


def family(kind):
    client, server = pair(kind)
    exchange(client, server)
    client.close()
    server.close()


def echo_once(listener):
    server, _ = listener.accept()
    server.settimeout(PATIENCE)
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
    """Runs work in a network namespace of its own, once the parent has wired that."""
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
    """Connects the network namespaces of two processes by a veth pair."""
    names = (f"a{number}", f"b{number}")
    call(f"ip link add {names[0]} netns {near} type veth peer name {names[1]} netns {far}")
    for pid, name, address in ((near, names[0], near_address), (far, names[1], far_address)):
        enter = f"nsenter -t {pid} -n ip "
        call(f"{enter} addr add {address} dev {name}")
        call(f"{enter} link set {name} up")


def veth(outside=""):
    """
    Connects two namespaces; `outside` names the end whose process is in another cgroup, if any.
    """
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


def dnat_to(port):
    return f"type nat hook prerouting priority -100; ip daddr 10.96.0.10 tcp dport 80 dnat to 10.78.0.2:{port};"


DNAT = dnat_to(7000)
SNAT = "type nat hook postrouting priority 100; ip saddr 10.77.0.1 snat to 10.78.0.1;"


def route(rules, serve, talk, objects="", prepare=None, port=7000):
    """
    A client, a node that rewrites addresses by rules of nft, and a server on 10.78.0.2:`port`, each in
    a namespace. `talk` begins once the others are ready. Gives their PIDs.
    """
    listening, routing = Mailbox(), Mailbox()

    def router():
        with open("/proc/sys/net/ipv4/ip_forward", "w") as file:
            file.write("1")
        chains = "".join(f"chain c{i} {{ {rule} }}\n" for i, rule in enumerate(rules))
        subprocess.run(["nft", "-f", "-"], input=f"table ip t {{\n{objects}{chains}}}\n", text=True, check=True)
        if prepare:
            prepare()
        routing.put()
        Mailbox().get()

    def backend():
        call("ip route add default via 10.78.0.1")
        listener = listen(address="10.78.0.2", port=port)
        listening.put()
        serve(listener)

    def client():
        call("ip route add default via 10.77.0.2")
        talk()

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
    return near, middle, far


def routed(rules, address, port, talk, serve=None, objects=""):
    def call_service():
        connection = connect(port, address=address)
        equal(connection.getpeername(), (address, port), "the address of the service")
        talk(connection)

    prepare = forget_soon if talk is talk_for_long else None
    near, middle, far = route(rules, serve or echo_once, call_service, objects, prepare)
    join(near, far)
    os.kill(middle, 9)
    os.waitpid(middle, 0)


def dnat():
    routed([DNAT], "10.96.0.10", 80, ask)


FTP = 'ct helper ftp { type "ftp" protocol tcp; }\n'
HELP = 'type filter hook prerouting priority -150; tcp dport 21 ct helper set "ftp";'


def lengthened():
    """
    A NAT helper for FTP writes a longer address into an answer. The client leaves as many bytes
    unread as the answer grew by, and then more comes.
    """
    step, taken = Mailbox(), Mailbox()
    greeting, passive = b"220 hello\r\n", b"227 Entering Passive Mode (10,78,0,2,10,10)\r\n"
    longer = passive.replace(b"10,78,0,2", b"10,96,0,10")

    def serve(listener):
        server, _ = listener.accept()
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for data in (b"first\r\n", greeting, passive, b"150 here it comes\r\n"):
            time.sleep(0.1)  # longer than the interval at which a message must go over TCP
            server.sendall(data)
            step.put()
            taken.get()
        server.close()

    def talk(client):
        step.get()
        equal(receive(client, 7), b"first\r\n", "what came through the bypass")
        taken.put()
        step.get()
        equal(receive(client, len(greeting) - 1), greeting[:-1], "all but the last byte, so that the next one goes over TCP")
        taken.put()
        step.get()
        equal(receive(client, len(passive)), (b"\n" + longer)[: len(passive)], "all but two bytes of a message that has grown by one")
        equal(receive(client, 1), b"\r", "all but the one byte that it has grown by")
        time.sleep(0.1)
        taken.put()
        step.get()
        equal(receive(client, 20), b"\n150 here it comes\r\n", "the last byte, and what came after it")
        taken.put()
        equal(client.recv(1), b"", "the end")

    routed([HELP, DNAT.replace("dport 80", "dport 21")], "10.96.0.10", 21, talk, serve, FTP)


def snat():
    routed([SNAT], "10.78.0.2", 7000, ask)


def forget_soon():
    """
    Makes the node forget a connection after 5 s without packets, and ignore connections whose
    beginning it has not seen.
    """
    for name, value in (("tcp_timeout_established", 5), ("tcp_loose", 0)):
        with open(f"/proc/sys/net/netfilter/nf_conntrack_{name}", "w") as file:
            file.write(str(value))


def talk_for_long(client):
    """
    Talks for longer than the node remembers, first often, then seldom. Then it sends more than the
    reader takes, so that the rest goes over TCP, and ends.
    """
    for pause, seconds in ((0.02, 7), (1, 8)):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            client.sendall(NOISE[:500])
            equal(receive(client, 500), NOISE[:500], "reply")
            time.sleep(pause)
    sender = Thread(client.sendall, NOISE[: 1 << 20])
    equal(receive(client, 1 << 20), NOISE[: 1 << 20], "a megabyte through the node")
    sender.end()
    ask(client)


def forgetful():
    routed([DNAT], "10.96.0.10", 80, talk_for_long)


def mptcp():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
    exchange(client, server)


def ports(first, second):
    """Talks to a server on each port; the test looks at the counters in between."""
    for port in (first, second):
        with listen(port=int(port)) as listener:
            client = connect(int(port))
            server, _ = listener.accept()
        exchange(client, server)
        client.close()
        server.close()
        report_line(port)


def source(port):
    """A client bound to this port talks to a server on any port."""
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


def reset_close(sock):
    """Closes without TIME_WAIT, so that the port is free at once."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def bound(port, address="127.0.0.1"):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    return sock


def leave_note(port):
    """
    Lets a listener of this cgroup see a SYN from this port, so that a client there counts as one of
    this host.
    """
    with listen() as listener:
        client = bound(port)
        client.connect(listener.getsockname())
        reset_close(listener.accept()[0])
        reset_close(client)


def simultaneous(noted=""):
    """
    Both ends connect and none listens; the reset that the first SYN provokes is dropped on its way.
    """

    def play():
        call("nft -f -", text=True, input="table ip t { chain c { type filter hook output priority 0; "
                               "tcp flags & rst == rst tcp dport 7001 drop; }\n}\n")
        if noted:
            leave_note(7002)
        early, late = bound(7001), bound(7002)
        early.setblocking(False)
        equal(early.connect_ex(("127.0.0.1", 7002)), errno.EINPROGRESS, "connect() to nobody")
        late.settimeout(PATIENCE)
        late.connect(("127.0.0.1", 7001))
        early.settimeout(PATIENCE)
        exchange(late, early)
        late.close()
        equal(early.recv(1), b"", "end of the stream")

    in_network(play)


def with_itself():
    """A socket that connects to its own port is both ends."""

    def play():
        leave_note(7003)
        sock = bound(7003)
        sock.connect(("127.0.0.1", 7003))
        sock.settimeout(PATIENCE)
        for i in range(200):
            sock.sendall(NOISE[i : i + 1000])
            equal(receive(sock, 1000), NOISE[i : i + 1000], f"message {i}")

    in_network(play)


def in_network(play):
    """Runs play in a network namespace of its own."""
    join(fork(lambda: (new_namespace(), play())))


def never_pairs():
    """
    The clients look local, but their server is in another cgroup: they wait for their peer, then
    leave.
    """
    port = Mailbox()

    def serve():
        leave_cgroup()
        listener = listen()
        port.put(str(listener.getsockname()[1]))
        for _ in range(3):
            echo_once(listener)

    server = fork(serve)
    number = int(port.get())
    for i in range(3):
        leave_note(7010 + i)
        client = bound(7010 + i)
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", number))
        ask(client, 200)
    join(server)
