# SPDX-License-Identifier: Apache-2.0
# Long: a function for each kind of danger.
"""
A service for each kind of danger of which `advise` warns. A case tells its port, and ends when the
test has looked.
"""
import array
import errno
import os
import re
import socket
import struct
import time

from common import CLONE_NEWNS, LIBC, PATIENCE, Mailbox, call, connect, fork, listen, new_namespace, receive, report_line
from services import ask, name, serve, service, setting, talk

SO_ZEROCOPY, TCP_DEFER_ACCEPT, TCP_ULP, IPPROTO_MPTCP = 60, 9, 31, 262
SOL_TLS, TLS_TX, TLS_RX = 282, 1, 2


def at_client(level, option, value):
    report_line(service(at_client=setting(level, option, value)))


def lowat():
    at_client(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 2)


def zerocopy():
    at_client(socket.SOL_SOCKET, SO_ZEROCOPY, 1)


def option():
    at_client(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)


def deferred():
    report_line(service(prepare=setting(socket.IPPROTO_TCP, TCP_DEFER_ACCEPT, 5)))


def mptcp():
    """What a listener of MPTCP accepts from a client of TCP."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    fork(serve, listener)
    port = listener.getsockname()[1]
    fork(talk, port)
    listener.close()
    report_line(port)


def plain():
    report_line(service())


def named(program):
    """A service of a program with this name."""
    report_line(service(program=program))


def ktls():
    """Both ends leave encryption to the kernel, with keys that nobody has agreed on."""
    def encrypt(sock):
        sock.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
        # TLS 1.2 with AES-128-GCM: initial vector, key, salt, number of the record.
        keys = struct.pack("HH8s16s4s8s", 0x0303, 51, bytes(8), bytes(16), bytes(4), bytes(8))
        for direction in (TLS_TX, TLS_RX):
            sock.setsockopt(SOL_TLS, direction, keys)

    report_line(service(at_client=encrypt, at_server=encrypt))


def on_port(port):
    """A service of programs on a port of this number, in a network namespace of its own."""
    new_namespace()
    report_line(service(port=int(port)))


def urgent():
    """A client of telnet interrupts by urgent data."""
    new_namespace()

    def interrupt(client):
        client.sendall(b"q" * 50)
        receive(client, 100)
        client.send(b"\xf2", socket.MSG_OOB)

    report_line(service(port=23, at_client=interrupt))


def in_flight():
    """A socket that is on its way to another process, so that no process has it open."""
    listener = listen()
    port = listener.getsockname()[1]
    fork(serve, listener)
    listener.close()
    near, far = socket.socketpair()
    client = connect(port)
    client.sendall(b"q" * 50)
    receive(client, 100)
    near.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [client.fileno()]))])
    client.close()
    report_line(port)
    far.close()


def nbd():
    """
    The kernel reads blocks from a server in Python. The process that gave it the socket has closed
    its own descriptor, as those do that connect by netlink.
    """
    set_sock, set_size, clear, do_it = 0xAB00, 0xAB02, 0xAB04, 0xAB03
    listener = listen()

    def answer_reads():
        name("backend")
        server, _ = listener.accept()
        while True:
            magic, kind, handle, _, size = struct.unpack(">II8sQI", receive(server, 28))
            assert magic == 0x25609513, "a request of NBD"
            server.sendall(struct.pack(">II8s", 0x67446698, 0 if kind == 0 else errno.EPERM, handle))
            server.sendall(bytes(size if kind == 0 else 0))

    def attach():
        device = os.open("/dev/nbd0", os.O_RDWR)
        client = connect(listener.getsockname()[1])
        for request, word in ((set_size, 1 << 20), (clear, 0), (set_sock, client.fileno())):
            if LIBC.ioctl(device, request, word):
                raise OSError(f"ioctl {request:#x}")
        client.close()
        LIBC.ioctl(device, do_it, 0)

    def read():
        while True:
            device = os.open("/dev/nbd0", os.O_RDONLY)
            os.read(device, 4096)
            os.posix_fadvise(device, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(device)
            time.sleep(0.05)

    fork(answer_reads)
    fork(attach)
    wait_until(lambda: open("/sys/block/nbd0/pid").read(), "a device of NBD")
    fork(read)
    report_line(listener.getsockname()[1])


def nfs():
    """The kernel's own server of NFS answers calls of the procedure that does nothing."""
    new_namespace()
    LIBC.unshare(CLONE_NEWNS)
    call("mount --make-rprivate /")
    call("mount -t nfsd nfsd /proc/fs/nfsd")
    listener = listen(port=2049)

    def ask_for_nothing():
        name("frontend")
        client = connect(2049)
        for number in range(1 << 30):
            # A last fragment of 40 bytes: number, call, RPC 2, NFS 4, procedure 0, no credentials.
            client.sendall(struct.pack(">11I", 1 << 31 | 40, number, 0, 2, 100003, 4, 0, 0, 0, 0, 0))
            size = struct.unpack(">I", receive(client, 4))[0] & ~(1 << 31)
            receive(client, size)
            time.sleep(0.01)

    # Older versions would be registered with rpcbind. Linux 6.12 knows no version 2 any more.
    for file, texts in (("versions", ("-2", "-3")), ("portlist", (listener.fileno(),)), ("threads", (1,))):
        for text in texts:
            write_to(f"/proc/fs/nfsd/{file}", text, may_fail=text == "-2")
    # The kernel's threads do not end with this process.
    try:
        listener.close()
        fork(ask_for_nothing)
        report_line(2049)
    finally:
        write_to("/proc/fs/nfsd/threads", 0)


def iscsi():
    """An initiator has logged in to the kernel's own target."""
    base = "/sys/kernel/config/target/iscsi"
    target = "iqn.2026-01.test:one"
    group = f"{base}/{target}/tpgt_1"
    portal = f"{group}/np/127.0.0.1:3260"

    def is_disabled():
        with open(f"{group}/enable") as file:
            return file.read().strip() == "0" or not write_to(f"{group}/enable", 0)

    def remove():
        if os.path.exists(group):
            wait_until(is_disabled, "an end of the session")
        for folder in (portal, group, os.path.dirname(group), base):
            if os.path.exists(folder):
                os.rmdir(folder)

    remove()  # what a run that was killed has left
    try:
        for folder in (base, group, portal):
            os.makedirs(folder, exist_ok=True)
        write_to(f"{group}/attrib/authentication", 0)
        write_to(f"{group}/attrib/generate_node_acls", 1)
        write_to(f"{group}/enable", 1)
        with connect(3260) as client:
            log_in(client, target)
            report_line(3260)
    finally:
        remove()


def log_in(client, target):
    keys = f"InitiatorName=iqn.2026-01.test:me\0TargetName={target}\0SessionType=Normal\0".encode()
    is_in = False
    while not is_in:
        # An immediate login from the operational stage to the last one, with a session of its own.
        head = struct.pack(">BBBBI6sHIHHII16x", 0x43, 0x87, 0, 0, len(keys), b"\x80test1", 0, 1, 0, 0, 1, 0)
        client.sendall(head + keys + bytes(-len(keys) % 4))
        answer = receive(client, 48)
        assert answer[0] == 0x23 and answer[36:38] == b"\0\0", f"a login that goes on, not {answer.hex()}"
        length = int.from_bytes(answer[5:8], "big")
        # What the target proposes is accepted as it is; of several choices, the last one. What it
        # says of itself is no proposal.
        proposed = receive(client, length + 3 & ~3)[:length].split(b"\0")
        keys = b"\0".join(re.sub(b"=.*,", b"=", key) for key in proposed if not key.startswith(b"Target"))
        is_in = answer[1] & 0x80


def write_to(path, text, may_fail=False):
    """A file of the kernel takes what is written in one call."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, f"{text}\n".encode())
    except OSError:
        if not may_fail:
            raise
    finally:
        os.close(fd)


def wait_until(is_so, what):
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if is_so():
                return
        except OSError:
            pass
        if time.monotonic() > end:
            raise AssertionError(f"expected {what}")
        time.sleep(0.05)
