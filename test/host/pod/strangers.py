# SPDX-License-Identifier: Apache-2.0
"""
strangers.py SECONDS: sends requests to a pod's metrics server at 127.0.0.1:8080 in every way that
could cost it something.

Prints "answered" at the first answer, and at the end how many answers came whole and how many
broken.
"""

import json
import socket
import sys
import threading
import time

ADDRESS = ("127.0.0.1", 8080)
end = time.monotonic() + float(sys.argv[1])
counts = {"whole": 0, "broken": 0}
lock = threading.Lock()


def go_on():
    return time.monotonic() < end


def connect():
    one = socket.create_connection(ADDRESS, 2)
    one.settimeout(3)
    return one


def ask():
    """Asks as fast as it can. A server that takes no more connections is no fault."""
    while go_on():
        answer = b""
        try:
            with connect() as one:
                one.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
                while piece := one.recv(65536):
                    answer += piece
        except OSError:
            pass
        if not answer:
            continue
        is_whole = answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"# EOF\n")
        with lock:
            if is_whole and counts["whole"] == 0:
                print("answered", flush=True)
            counts["whole" if is_whole else "broken"] += 1


def crowd():
    """Keeps many silent connections open."""
    kept = []
    while go_on():
        try:
            kept.append(connect())
        except OSError:
            time.sleep(0.05)
        if len(kept) > 100:
            kept.pop(0).close()


def dribble():
    """Sends an endless request byte by byte, and then one that is too long."""
    while go_on():
        try:
            with connect() as one:
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while go_on():
                    one.sendall(b"G")
        except OSError:
            pass
        try:
            with connect() as one:
                one.sendall(b"x" * 1000000)
        except OSError:
            pass


def never_read():
    while go_on():
        try:
            with connect() as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                one.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
                time.sleep(1)
        except OSError:
            pass


threads = [threading.Thread(target=work) for work in (ask, ask, ask, crowd, dribble, never_read)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(counts))
