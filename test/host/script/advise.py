# SPDX-License-Identifier: Apache-2.0
# Long: a function for each case.
"""
advise.py CASE WORD...: makes connections for `advise` to look at. It prints a line of JSON once they
exist, and ends with its stdin. What it shares with test/bpf/cases comes from there.
"""
import http.client
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from common import CLONE_NEWNET, LIBC, PATIENCE, Mailbox, call, connect, fork, listen, new_namespace, receive
from paths import dnat_to, place, route, wire
from services import ask, name, serve, service, setting, talk

# `advise` looks at all namespaces of the machine, where other tests, and other runs of these, have
# services too. So each run of a case has its own port, below those that the kernel gives.
OWN_PORT = 11000 + os.getpid() % 20000

SO_ZEROCOPY, TCP_DEFER_ACCEPT, SYS_EXIT = 60, 9, 60


def ready(**facts):
    print(json.dumps(facts), flush=True)
    sys.stdin.buffer.read()


def options():
    """A service without an option, and one for each option that keeps its connections on TCP."""
    ready(
        plain=service(),
        lowat=service(at_client=setting(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 2)),
        zerocopy=service(at_client=setting(socket.SOL_SOCKET, SO_ZEROCOPY, 1)),
        option=service(at_client=setting(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)),
    )


def deferring():
    """A service whose listener defers."""
    ready(port=service(prepare=setting(socket.IPPROTO_TCP, TCP_DEFER_ACCEPT, 5)))


def named(count):
    """
    So many clients with an option, each by a name of its own, and one that splices. The kernel lists that one last,
    because it lists IPv4 first.
    """
    four = listen()
    port = four.getsockname()[1]
    six = listen("ipv6", port=port)

    def backend():
        threading.Thread(target=serve, args=(four,), daemon=True).start()
        serve(six)

    def splicer():
        name("sing-box")
        ask(connect(port, "ipv6"))

    fork(backend)
    for i in range(int(count)):
        fork(talk, port, 50, 100, f"client-{i}", setting(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 2))
    fork(splicer)
    four.close(), six.close()
    ready(port=port)


def drink(listener):
    name("sink")
    server, _ = listener.accept()
    while server.recv(1 << 20):
        pass


def pour(port):
    name("iperf")
    client = connect(port)
    while True:
        client.sendall(b"s" * (128 << 10))
        time.sleep(0.002)


def traffic():
    """A stream, large answers, a relay, a service that is quiet, and one whose connections are short."""
    listeners = {kind: listen() for kind in ("stream", "large", "relay", "back", "quiet", "short")}
    ports = {kind: listener.getsockname()[1] for kind, listener in listeners.items()}
    quiet = connect(ports["quiet"]), listeners["quiet"].accept()[0]

    def relay(listener):
        name("relay")
        near, far = listener.accept()[0], connect(ports["back"])

        def pass_on(one, other):
            while True:
                other.sendall(one.recv(1 << 20))

        threading.Thread(target=pass_on, args=(near, far), daemon=True).start()
        pass_on(far, near)

    def come_and_go():
        name("briefly")
        while True:
            client = connect(ports["short"])
            client.sendall(b"q")
            receive(client, 100)
            client.close()
            time.sleep(1 / 300)  # at most so many a second

    def close_others(kept):
        for listener in listeners.values():
            if listener not in kept:
                listener.close()

    def alone(function, *words):
        """Whoever holds a listener may be told as its program."""
        close_others(words)
        function(*words)

    for function, *words in (
        (drink, listeners["stream"]), (pour, ports["stream"]), (relay, listeners["relay"]), (come_and_go,),
        (serve, listeners["short"], 100, "short"),
        (serve, listeners["back"]),
        (talk, ports["relay"]),
        (serve, listeners["large"], 512 << 10, "large"),
        (talk, ports["large"], 50, 512 << 10),
    ):
        fork(alone, function, *words)
    close_others([listeners["quiet"]])
    ready(**ports, quiet_ends=len(quiet))


def cluster(kind, port=OWN_PORT):
    """
    A client, a node that rewrites addresses (`dnat`, or `snat` too), and a server on this port, as
    kube-proxy has them.
    """
    masquerade = "type nat hook postrouting priority 100; ip saddr 10.77.0.1 masquerade;"
    talking = Mailbox()

    def frontend():
        name("frontend")
        connection = connect(80, address="10.96.0.10")
        talking.put()
        ask(connection)

    rules = [dnat_to(int(port)), masquerade] if kind == "snat" else [dnat_to(int(port))]
    route(rules, serve, frontend, port=int(port))
    talking.get()
    ready(port=int(port))


def remote(port):
    """
    A server whose client has its socket in a network namespace in which no process lives. Of such a
    socket `advise` sees no more than of one on another machine.
    """
    listening, talking = Mailbox(), Mailbox()

    def backend():
        listener = listen(address="10.77.0.2", port=int(port))
        listening.put()
        serve(listener)

    def client():
        name("frontend")
        connection = connect(int(port), address="10.77.0.2")
        with open(f"/proc/{os.getppid()}/ns/net") as home:
            if LIBC.setns(home.fileno(), CLONE_NEWNET):
                raise OSError("setns")
        talking.put()
        ask(connection)

    near, go_near = place(client)
    far, go_far = place(backend)
    wire(near, "10.77.0.1/24", far, "10.77.0.2/24", 1)
    go_far.put()
    listening.get()
    go_near.put()
    talking.get()
    ready(port=int(port))


def lossy():
    """A client each of whose segments arrives twice, and a server whose answers arrive only when they are sent again."""
    listening, talking = Mailbox(), Mailbox()
    twice = f"type filter hook output priority 0; tcp dport {OWN_PORT} dup to 10.77.0.2;"
    lost = f"type filter hook input priority 0; tcp sport {OWN_PORT} ip length > 100 numgen inc mod 2 0 drop;"

    def backend():
        listener = listen(address="10.77.0.2", port=OWN_PORT)
        listening.put()
        serve(listener)

    def client():
        name("frontend")
        rules = f"table ip t {{\nchain twice {{ {twice} }}\nchain lost {{ {lost} }}\n}}\n"
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
        connection = connect(OWN_PORT, address="10.77.0.2")
        talking.put()
        ask(connection)

    near, go_near = place(client)
    far, go_far = place(backend)
    wire(near, "10.77.0.1/24", far, "10.77.0.2/24", 1)
    go_far.put()
    listening.get()
    go_near.put()
    talking.get()
    ready(port=OWN_PORT)


def held():
    """
    Two listeners that two programs hold: of one, the second program has accepted a connection and not yet another;
    of the other, which systemd has opened for its service, nobody has accepted any.
    """
    busy, fresh = listen(), listen()
    accepted = Mailbox()

    def keep(listener):
        fresh.close()
        name("keeper")
        signal.pause()

    def accept():
        fresh.close()
        name("backend")
        ends = [busy.accept()]
        accepted.put()
        signal.pause()
        del ends

    def activated():
        busy.close()
        name("activated")
        signal.pause()

    def frontend(ports):
        fresh.close()
        name("frontend")
        ends = [connect(port) for port in ports]
        accepted.put()
        signal.pause()
        del ends

    fork(keep, busy)
    fork(accept)
    fork(activated)
    ports = {kind: listener.getsockname()[1] for kind, listener in (("busy", busy), ("fresh", fresh))}
    busy.close()
    name("systemd")
    fork(frontend, (ports["busy"],))
    accepted.get(), accepted.get()
    fork(frontend, (ports["busy"], ports["fresh"], ports["fresh"]))
    accepted.get()
    ready(**ports)


def addresses():
    """
    Programs that listen on one port at several addresses. On the first port, one listens at any address and another
    at 127.0.0.1. On the second, one listens at 127.0.0.2, and another has closed its socket at 127.0.0.1 and keeps
    what it accepted there. Each has a connection that nobody accepts, besides those that are accepted.
    """
    new_namespace()
    shared = ((socket.SOL_SOCKET, socket.SO_REUSEPORT, 1),)
    any_address = listen(address="0.0.0.0", options=shared)
    both = any_address.getsockname()[1]
    exact = listen(port=both, options=shared)
    other = listen(address="127.0.0.2")
    one = other.getsockname()[1]
    closed = listen(port=one)
    listeners = (any_address, exact, other, closed)
    done = Mailbox()

    def hold(program, kept, accepts):
        name(program)
        for listener in listeners:
            if listener is not kept:
                listener.close()
        ends = [kept.accept() for _ in range(accepts)]
        if kept is closed:
            kept.close()
        done.put()
        signal.pause()
        del ends

    def frontend(*places):
        name("frontend")
        ends = [connect(port, address=address) for port, address in places]
        done.put()
        signal.pause()
        del ends

    for program, kept, accepts in (("anywhere", any_address, 1), ("exact", exact, 0), ("other", other, 0),
                                   ("gone", closed, 1)):
        fork(hold, program, kept, accepts)
    for listener in listeners:
        listener.close()
    fork(frontend, (both, "127.0.0.3"), (both, "127.0.0.1"), (one, "127.0.0.2"), (one, "127.0.0.1"))
    for _ in range(5):
        done.get()
    ready(both=both, one=one)


def keep_two(listener, program, others, done):
    """Accepts the first of two connections, and nobody accepts the second."""
    name(program)
    for other in others:
        if other is not listener:
            other.close()
    kept = listener.accept()
    done.put()
    signal.pause()
    del kept


def send_to(places, done):
    """Connects twice to each place. What defers has a connection when its first byte has come."""
    name("frontend")
    kept = []
    for kind, address, port in places * 2:
        kept.append(connect(port, kind, address))
        kept[-1].sendall(b"x")
    done.put()
    signal.pause()


def families():
    """
    Two programs that listen at any address on one port: on the first one, `four` takes IPv4 only and `six`, which
    defers, IPv6 only. On the second one, `wide` takes both, and `narrow` has the connections of IPv4.
    """
    new_namespace()
    shared = ((socket.SOL_SOCKET, socket.SO_REUSEPORT, 1),)
    apart = ((socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1), (socket.IPPROTO_TCP, TCP_DEFER_ACCEPT, 5))
    four, narrow = listen(address="0.0.0.0"), listen(address="0.0.0.0", options=shared)
    split, both = four.getsockname()[1], narrow.getsockname()[1]
    listeners = {
        "four": four, "six": listen("ipv6", "::", split, apart),
        "narrow": narrow, "wide": listen("ipv6", "::", both, shared),
    }
    done = Mailbox()
    for program, listener in listeners.items():
        fork(keep_two, listener, program, listeners.values(), done)
    fork(send_to, [(kind, None, port) for port in (split, both) for kind in ("ipv4", "ipv6")], done)
    for _ in range(5):
        done.get()
    ready(split=split, both=both)


def devices():
    """Two programs that listen at any address on one port, each bound to an interface."""
    listening, done = Mailbox(), Mailbox()

    def bound(device):
        return ((socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device),)

    def servers():
        inner = listen(address="0.0.0.0", port=OWN_PORT, options=bound(b"lo"))
        outer = listen(address="0.0.0.0", port=OWN_PORT, options=bound(b"b1"))
        fork(keep_two, inner, "inner", (inner, outer), done)
        fork(keep_two, outer, "outer", (inner, outer), done)
        fork(send_to, [("ipv4", "127.0.0.1", OWN_PORT)], done)
        inner.close(), outer.close()
        listening.put()
        signal.pause()

    near, go_near = place(lambda: send_to([("ipv4", "10.77.0.2", OWN_PORT)], done))
    far, go_far = place(servers)
    wire(near, "10.77.0.1/24", far, "10.77.0.2/24", 1)
    go_far.put()
    listening.get()
    go_near.put()
    for _ in range(4):
        done.get()
    ready(port=OWN_PORT)


def twins():
    """
    Programs that serve one port in a network namespace each, two of them with one name. Each has two connections, and
    a client that comes and goes.
    """
    done = Mailbox()

    def come_and_go():
        name("briefly")
        while True:
            with connect(OWN_PORT) as client:
                client.sendall(b"q")
            time.sleep(0.02)

    def live(program):
        new_namespace()
        name(program)
        listener = listen(port=OWN_PORT)
        fork(send_to, [("ipv4", None, OWN_PORT)], done)
        kept = [listener.accept(), listener.accept()]
        fork(come_and_go)
        done.put()
        while kept:
            with listener.accept()[0] as server:
                server.recv(10)

    for program in ("first", "second", "alike", "alike"):
        fork(live, program)
    for _ in range(8):
        done.get()
    ready(port=OWN_PORT)


def renewed():
    """
    A socket at a port of its own is connected, moves a megabyte, and at the first line from stdin it is dissolved and
    connected again: with its old addresses, and new counts. The listener is closed, so the lower port is the service's.
    """
    new_namespace()
    first = listen()
    port, done = first.getsockname()[1], Mailbox()

    def backend():
        name("backend")
        listener = first
        while True:
            server = listener.accept()[0]
            listener.close()
            done.put()
            try:
                while server.recv(1 << 20):
                    server.sendall(b"a" * 100)
            except OSError:
                listener = listen(port=port)

    fork(backend)
    name("frontend")
    first.close()
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.bind(("127.0.0.1", OWN_PORT))
    client.connect(("127.0.0.1", port))
    done.get()
    client.sendall(bytes(1 << 20))
    print(json.dumps({"port": OWN_PORT}), flush=True)
    sys.stdin.readline()
    if LIBC.connect(client.fileno(), bytes(16), 16):  # AF_UNSPEC
        raise OSError("connect")
    while client.connect_ex(("127.0.0.1", port)):
        time.sleep(0.01)
    ask(client)


def leaderless():
    """A process alone in its network namespace, whose first thread has ended. A service and its client go on in it."""
    reader, writer = os.pipe()
    done = Mailbox()

    def end_with_parent():
        os.read(reader, 1)
        os._exit(0)

    def live():
        new_namespace()
        os.close(writer)
        listener = listen(port=OWN_PORT)
        for function, *words in ((end_with_parent,), (serve, listener, 100, "headless"),
                                 (talk, OWN_PORT, 50, 100, "headless")):
            threading.Thread(target=function, args=words).start()
        done.put()
        LIBC.syscall(SYS_EXIT, 0)

    fork(live)
    os.close(reader)
    done.get()
    ready(port=OWN_PORT, writer=writer)


def many(count):
    """So many services of one program, each of which answers two messages a second."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    listeners = [listen() for _ in range(int(count))]
    ports = [listener.getsockname()[1] for listener in listeners]

    def backend():
        name("backend")
        servers = [listener.accept()[0] for listener in listeners]
        while True:
            for server in servers:
                server.sendall(receive(server, 50) + b"a" * 50)

    def frontend():
        name("frontend")
        clients = [connect(port) for port in ports]
        while True:
            for client in clients:
                client.sendall(b"q" * 50)
            for client in clients:
                receive(client, 100)
            time.sleep(0.2)

    fork(backend)
    fork(frontend)
    for listener in listeners:
        listener.close()
    ready(count=len(ports))


def replaced():
    """Network namespaces without end, one after the other, each of which has accepted fewer connections."""
    def live(connections):
        new_namespace()
        listener = listen()
        for _ in range(connections):
            connect(listener.getsockname()[1]).close()
            listener.accept()[0].close()
        time.sleep(0.5)
        os._exit(0)

    def churn():
        for connections in range(3000, 0, -200):
            os.waitpid(fork(live, connections), 0)
        signal.pause()

    for _ in range(24):
        place(signal.pause)
    for _ in range(4):
        fork(churn)
    time.sleep(0.5)
    ready()


def again(count):
    """A client at one port connects so many times, and resets each connection by an answer that it does not read."""
    new_namespace()
    listener = listen(port=OWN_PORT)

    def backend():
        name("backend")
        while True:
            with listener.accept()[0] as server:
                try:
                    server.sendall(server.recv(10))
                    server.recv(10)
                except OSError:
                    pass

    def frontend():
        name("frontend")
        for _ in range(int(count)):
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                client.bind(("127.0.0.1", OWN_PORT + 1))
                client.connect(("127.0.0.1", OWN_PORT))
                client.sendall(b"q")
                client.recv(1, socket.MSG_PEEK)
        signal.pause()

    fork(backend)
    listener.close()
    print(json.dumps({"port": OWN_PORT}), flush=True)
    sys.stdin.readline()
    fork(frontend)
    sys.stdin.buffer.read()


def spaces(count):
    """So many processes, each in a network namespace of its own; in the last one a client talks to a server."""
    done = Mailbox()

    def live():
        done.put(LIBC.unshare(CLONE_NEWNET))
        signal.pause()

    def last():
        new_namespace()
        done.put(service())
        signal.pause()

    for _ in range(int(count) - 1):
        fork(live)
        if done.get() != "0":
            raise OSError("unshare")
    fork(last)
    ready(port=int(done.get()))


def elsewhere(*command):
    """
    Runs a command in a pid namespace whose /proc shows a server and not its client, which is in another network
    namespace, as if it were on another host. Prints how the command ended.
    """
    listening = Mailbox()

    def host():
        listener = listen(address="10.77.0.2", port=OWN_PORT)
        listening.put()
        inside = 'mount -t proc proc /proc; "$1" -B "$2" server "$3" & shift 3; sleep 1; "$@"; code=$?; kill $!; exit $code'
        words = ["sh", "-c", inside, "sh", sys.executable, __file__, str(listener.fileno()), *command]
        run = subprocess.run(["unshare", "--mount", "--pid", "--fork", *words], pass_fds=[listener.fileno()],
                             capture_output=True, text=True, stdin=subprocess.DEVNULL)
        ready(port=OWN_PORT, code=run.returncode, stdout=run.stdout, stderr=run.stderr)

    def client():
        name("frontend")
        connection = connect(OWN_PORT, address="10.77.0.2")
        try:
            ask(connection)
        except (OSError, AssertionError):
            pass  # the server ends with the command

    near, go_near = place(client)
    far, go_far = place(host)
    wire(near, "10.77.0.1/24", far, "10.77.0.2/24", 1)
    go_far.put()
    listening.get()
    go_near.put()
    os.waitpid(far, 0)


def server(fd):
    serve(socket.socket(fileno=int(fd)))


def names():
    """Programs whose names would end a line, a string, or a terminal's patience."""
    listener = listen()
    fork(serve, listener, 100, 'a"b\\\x1b[2J\n')
    fork(talk, listener.getsockname()[1], 50, 100, '{"}\x07\xc3')
    ready(port=listener.getsockname()[1])


def vanish():
    """Processes with namespaces, connections and names of their own come and go without end."""
    def live():
        new_namespace()
        listener = listen()
        client = connect(listener.getsockname()[1])
        other = listener.accept()[0]
        client.sendall(b"x" * 1000)
        receive(other, 1000)
        os._exit(0)

    def churn():
        while True:
            os.waitpid(fork(live), 0)

    for _ in range(4):
        fork(churn)
    ready()


def crowd(count):
    """Idle connections, a thousand to a process."""
    listener = listen()
    port, done = listener.getsockname()[1], Mailbox()

    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))

    def hold(many):
        ends = []
        for _ in range(many):
            client = connect(port)
            ends += [client, listener.accept()[0]]
        done.put()
        signal.pause()

    for left in range(int(count), 0, -1000):
        fork(hold, min(left, 1000))
        done.get()
    ready(port=port)


def talk_to(port):
    def begin(client):
        client.sendall(b"q" * 50)
        receive(client, 100)
        print("talking", flush=True)

    talk(int(port), prepare=begin)


def fetch_from(port):
    """A client of HTTP that says when its first answer has come."""
    name("frontend")
    client = http.client.HTTPConnection("127.0.0.1", int(port), timeout=PATIENCE)
    while True:
        client.request("GET", "/10/100")
        client.getresponse().read()
        print("talking", flush=True)
        time.sleep(0.005)


def serve_at(port):
    serve(listen(port=int(port)))


def ask_memcached(port):
    name("frontend")
    client = connect(int(port))
    while True:
        client.sendall(b"get key\r\n")
        receive(client, len("END\r\n"))
        time.sleep(0.005)


def drink_at(port):
    drink(listen(port=int(port)))


def pour_to(port):
    pour(int(port))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
