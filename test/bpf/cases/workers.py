# SPDX-License-Identifier: Apache-2.0
"""
Two workers block in recv() on one socket. One of them is held on its way into plain tcp_recvmsg(),
where nothing of it can be seen: it waited for the lock of the socket while the other one took the
last byte that came over TCP, and gets no CPU.
"""
import ctypes
import os
import select
import socket
import threading
import time

from common import (LIBC, NOISE, SLOWNESS, Mailbox, Thread, connect, equal, exchange, fork, join, listen, report_line,
                    serve_echo)
from lock import SleepingPage

HANG = 4 * SLOWNESS
CPUS = sorted(os.sched_getaffinity(0))


def receive_late(server, page):
    """
    Receives one byte into a page that is not there, so the socket stays locked until the page is.
    """
    return LIBC.recv(server.fileno(), ctypes.c_void_p(page.address), ctypes.c_size_t(1), 0)


def spin(running):
    os.sched_setaffinity(0, CPUS[-1:])
    running.put()
    while True:
        pass


def become_idle():
    """Makes this thread run hardly ever, because it shares its CPU with spin()."""
    os.sched_setaffinity(0, CPUS[-1:])
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def wait_for_lock(pid, thread):
    """
    Waits until the thread sleeps uninterruptibly, which means that it waits for the lock of the
    socket.
    """
    end = time.monotonic() + HANG
    while time.monotonic() < end:
        with open(f"/proc/{pid}/task/{thread}/stat") as file:
            if file.read().rpartition(")")[2].split()[0] == "D":
                return
    raise AssertionError("the second worker does not wait for the lock")


def start_pair():
    """Gives a pair whose first byte came over TCP, because that byte established the connection."""
    with listen(options=[(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)]) as listener:
        client = connect(listener.getsockname()[1])
        client.sendall(b"1")
        server, _ = listener.accept()
    server.settimeout(None)
    return client, server


def hand_over(client, wake, first_has, second_has):
    """
    Sends the second job while the second worker is on its way. The first worker stays busy with the
    first job until the second one is taken.
    """
    running = Mailbox()
    hog = fork(spin, running)
    running.get()
    try:
        wake()
        equal(first_has(HANG), True, "the first worker has the first job")
        client.sendall(b"2")
    finally:
        os.kill(hog, 9)
        os.waitpid(hog, 0)
    return second_has(HANG)


def by_threads():
    client, server = start_pair()
    page = SleepingPage()
    taken, started = threading.Event(), Mailbox()

    def work():
        become_idle()
        started.put(str(threading.get_native_id()))
        data = server.recv(1)
        taken.set()
        return data

    first = Thread(receive_late, server, page)
    page.wait_for_sleeper()
    second = Thread(work)
    wait_for_lock(os.getpid(), started.get())

    def first_has(seconds):
        first.join(seconds)
        return not first.is_alive()

    is_taken = hand_over(client, page.wake, first_has, taken.wait)
    if is_taken:
        equal(second.end(), b"2", "second job")
        exchange(client, server)
    return {"lost": int(not is_taken)}


def by_processes():
    client, server = start_pair()
    ours, theirs = socket.socketpair()
    read, written = os.pipe()
    started = Mailbox()

    def first():
        page = SleepingPage()
        socket.send_fds(theirs, [page.address.to_bytes(8, "big")], [page.faults])
        receive_late(server, page)
        theirs.send(b"1")
        theirs.recv(1)

    def second():
        become_idle()
        started.put("now")
        os.write(written, server.recv(1))

    pids = [fork(first)]
    address, fds, _, _ = socket.recv_fds(ours, 8, 1)
    page = SleepingPage(fds[0], int.from_bytes(address, "big"))
    page.wait_for_sleeper()
    pids.append(fork(second))
    server.close()
    started.get()
    wait_for_lock(pids[1], pids[1])

    def has(file):
        return lambda seconds: bool(select.select([file], [], [], seconds)[0])

    is_taken = hand_over(client, page.wake, has(ours), has(read))
    ours.send(b"x")
    if is_taken:
        equal(os.read(read, 1), b"2", "second job")
        join(*pids)
    return {"lost": int(not is_taken)}


def busy(messages):
    """
    A child answers without a pause, and sleeps before the next request comes. Its parent keeps a
    descriptor that it never reads from.
    """
    os.sched_setaffinity(0, CPUS[:1])
    client, server = start_pair()
    client.settimeout(None)
    child = fork(serve_echo, server)
    equal(client.recv(1), b"1", "first answer")
    for i in range(int(messages)):
        client.sendall(NOISE[i : i + 100])
        equal(client.recv(100), NOISE[i : i + 100], f"answer {i}")
    report_line()
    client.shutdown(socket.SHUT_WR)
    join(child)


def duplicated():
    """One reader, whose socket has a second descriptor, sleeps in recv() at each message."""
    client, server = start_pair()
    other = server.dup()
    equal(server.recv(1), b"1", "first message")
    for i in range(5):
        reader = Thread(server.recv, 1)
        time.sleep(0.1)
        client.sendall(b"x")
        equal(reader.end(), b"x", f"message {i}")
    other.close()
