# SPDX-License-Identifier: Apache-2.0
"""
What the cases share. A case runs inside the private cgroup, and every process that it forks dies
with it.
"""
import ctypes
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
CLONE_NEWNS = 0x20000
PR_SET_PDEATHSIG = 1
NOISE = os.urandom(1 << 20) * 2
SLOWNESS = float(os.environ.get("SLOWNESS", "1"))  # multiplies every timeout
PATIENCE = 30 * SLOWNESS  # whatever takes longer hangs, even on a busy machine
ADDRESS = {"ipv4": "127.0.0.1", "ipv6": "::1", "mapped": "127.0.0.1", "mapped6": "::ffff:127.0.0.1"}


def report_line(text="ready"):
    """Prints a line for the test, and waits for its answer."""
    print(text, flush=True)
    return sys.stdin.readline().strip()


def equal(found, expected, what):
    if found != expected:
        shown = [repr(v)[:80] for v in (found, expected)]
        raise AssertionError(f"{what}: found {shown[0]}, expected {shown[1]}")


def listen(kind="ipv4", address=None, port=0, options=()):
    is_six = kind != "ipv4"
    listener = socket.socket(socket.AF_INET6 if is_six else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_six:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    for level, name, value in options:
        listener.setsockopt(level, name, value)
    wildcard = {"ipv4": "127.0.0.1", "ipv6": "::1"}.get(kind, "::")
    listener.bind((address or wildcard, port))
    listener.listen(512)
    return listener


def connect(port, kind="ipv4", address=None, options=(), timeout=PATIENCE):
    client = socket.socket(socket.AF_INET6 if kind in ("ipv6", "mapped6") else socket.AF_INET)
    for level, name, value in options:
        client.setsockopt(level, name, value)
    client.settimeout(timeout)
    client.connect((address or ADDRESS[kind], port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def pair(kind="ipv4", options=(), server_options=()):
    with listen(kind, options=server_options) as listener:
        client = connect(listener.getsockname()[1], kind, options=options)
        server, _ = listener.accept()
    server.settimeout(PATIENCE)
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client, server


spurious = 0


def patiently(function, *args):
    """
    Repeats a call that returns EAGAIN on a blocking socket, and counts that. It is a limit of the
    kernel: recv() of an enrolled socket returns EAGAIN after any wake-up without data, because
    another reader was first or a sender of the same socket may go on.
    """
    global spurious
    while True:
        try:
            return function(*args)
        except BlockingIOError:
            spurious += 1


def receive(sock, size):
    """Receives exactly this many bytes."""
    data = bytearray()
    while len(data) < size:
        part = patiently(sock.recv, min(size - len(data), 1 << 18))
        if not part:
            raise AssertionError(f"end of stream after {len(data)} of {size} bytes")
        data += part
    return bytes(data)


def exchange(client, server, times=50, size=1000):
    """Exchanges requests and replies and checks each, with both ends in this thread."""
    for i in range(times):
        start = i * 37 % len(NOISE) // 2
        for writer, reader in ((client, server), (server, client)):
            data = NOISE[start : start + size]
            writer.sendall(data)
            equal(receive(reader, size), data, f"message {i}")


def serve_echo(server):
    """Sends back what arrives, until the end of the stream."""
    while data := server.recv(65536):
        server.sendall(data)
    server.close()


class Stream:
    """Length and hash of one direction, as its sender or its reader sees it."""

    def __init__(self):
        self.hash = hashlib.blake2b()
        self.length = 0

    def add(self, data):
        self.hash.update(data)
        self.length += len(data)

    def result(self):
        return f"{self.length} {self.hash.hexdigest()}"


def fork(function, *args):
    """Runs a function in a child process, which dies with its parent. Gives the PID."""
    parent = os.getpid()
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        function(*args)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def join(*pids):
    for pid in pids:
        equal(os.waitpid(pid, 0)[1], 0, f"exit status of process {pid}")


class Thread(threading.Thread):
    """A thread whose end() raises its failure or gives its result."""

    def __init__(self, function, *args):
        super().__init__(daemon=True)
        self.function, self.args = function, args
        self.value = self.error = None
        self.start()

    def run(self):
        try:
            self.value = self.function(*self.args)
        except BaseException as error:
            self.error = error

    def end(self, timeout=30):
        self.join(timeout * SLOWNESS)
        if self.is_alive():
            raise AssertionError(f"{self.function.__name__} did not end in {timeout} s")
        if self.error:
            raise self.error
        return self.value


def new_namespace():
    """Moves this process to a new network namespace, which ends with its last process."""
    if LIBC.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    call("ip link set lo up")


def new_namespace_that_hands_packets_to_cpu_1():
    """There, CPU 1 makes a server's socket while a client on CPU 0 goes on."""
    new_namespace()
    if LIBC.unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    call("mount --make-rprivate /")
    call("mount -t sysfs sysfs /sys")
    with open("/sys/class/net/lo/queues/rx-0/rps_cpus", "w") as file:
        file.write("2")


def call(line, **options):
    subprocess.run(line.split() if isinstance(line, str) else line, check=True, **options)


def leave_cgroup():
    """Moves this process to a cgroup without any program of ours."""
    with open(os.path.join(os.environ["OTHER_CGROUP"], "cgroup.procs"), "w") as file:
        file.write(str(os.getpid()))


class Mailbox:
    """Passes lines from one process to another."""

    def __init__(self):
        self.reader, self.writer = os.pipe()

    def put(self, text=""):
        os.write(self.writer, f"{text}\n".encode())

    def get(self):
        text = b""
        while not text.endswith(b"\n"):
            part = os.read(self.reader, 1)
            if not part:
                raise AssertionError("the other process is gone")
            text += part
        return text.decode().strip()
