# SPDX-License-Identifier: Apache-2.0
"""
What a recv() that sleeps on a blocking socket gives when the kernel wakes its thread for another
reason than data.
"""
import ctypes
import errno
import os
import signal
import socket
import time

from common import LIBC, Mailbox, Thread, equal, exchange, fork, join, pair, receive
from uring import Ring

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000
SPAWNS = 300


def causes():
    return {cause.__name__: outcome(cause) for cause in (spawned, stopped, frozen, traced, task_work, shut_down)}


def outcome(cause):
    client, server = pair()
    exchange(client, server, 5)
    client.settimeout(None)
    started, ended = Mailbox(), Mailbox()
    reader = fork(cause.reader if hasattr(cause, "reader") else read_once, server, started, ended)
    pid = int(started.get())
    wait_asleep(pid)
    cause(pid, server)
    client.sendall(b"late")
    found = ended.get()
    join(reader)
    if found == "EAGAIN" and cause is not shut_down:
        equal(receive(server, 4), b"late", "what came after EAGAIN")
    return found


def read_once(server, started, ended):
    started.put(os.getpid())
    ended.put(receive_once(server))


def receive_once(server):
    server.settimeout(None)
    buffer = ctypes.create_string_buffer(10)
    size = LIBC.recv(server.fileno(), buffer, 10, 0)
    if size < 0:
        return errno.errorcode[ctypes.get_errno()]
    return "data" if size else "EOF"


def wait_asleep(thread):
    """Waits until the thread was seen asleep three times, or has ended."""
    seen = 0
    while seen < 3:
        time.sleep(0.01)
        with open(f"/proc/{thread}/stat") as file:
            state = file.read().rsplit(")", 1)[1].split()[0]
        seen = seen + 1 if state in "SZ" else 0


def spawned(_pid, _server):
    """The reader itself starts the children."""


def read_beside_spawns(server, started, ended):
    """
    posix_spawn() blocks all signals of its thread. If a child ends meanwhile, SIGCHLD is not
    ignored while it is blocked, so the kernel wakes another thread for it, which finds that it is
    to be ignored.
    """
    reader = Thread(receive_once, server)
    wait_asleep(reader.native_id)
    for _ in range(SPAWNS):
        if not reader.is_alive():
            break
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
    started.put(os.getpid())
    ended.put(reader.end())


spawned.reader = read_beside_spawns


def stopped(pid, _server):
    """
    Stops and continues the reader, as job control, a debugger and `docker pause` with cgroup v1 do.
    """
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)
    os.kill(pid, signal.SIGCONT)
    time.sleep(0.05)


def frozen(pid, _server):
    folder = os.environ["OTHER_CGROUP"].removesuffix("-other")
    cgroup = f"{folder}/frozen"
    os.mkdir(cgroup)
    try:
        write(f"{cgroup}/cgroup.procs", pid)
        write(f"{cgroup}/cgroup.freeze", 1)
        while "frozen 1" not in open(f"{cgroup}/cgroup.events").read():
            time.sleep(0.01)
        write(f"{cgroup}/cgroup.freeze", 0)
        time.sleep(0.05)
        write(f"{folder}/cgroup.procs", pid)
    finally:
        os.rmdir(cgroup)


def write(path, value):
    with open(path, "w") as file:
        file.write(str(value))


def traced(pid, _server):
    ptrace(PTRACE_SEIZE, pid)
    ptrace(PTRACE_INTERRUPT, pid)
    os.waitpid(pid, WALL)
    ptrace(PTRACE_DETACH, pid)
    time.sleep(0.05)


def ptrace(request, pid):
    if LIBC.ptrace(ctypes.c_long(request), ctypes.c_long(pid), None, None):
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")


wakers = socket.socketpair()


def task_work(_pid, _server):
    wakers[0].send(b"x")
    time.sleep(0.05)


def read_beside_ring(server, started, ended):
    """This thread completes its own io_uring request in the middle of its recv()."""
    ring = Ring()
    ring.receive(wakers[1], bytearray(1))
    started.put(os.getpid())
    ended.put(receive_once(server))


task_work.reader = read_beside_ring


def shut_down(_pid, server):
    """Shuts the socket down, as one thread does to make another leave its recv()."""
    server.shutdown(socket.SHUT_RD)
    time.sleep(0.05)
