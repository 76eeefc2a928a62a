# SPDX-License-Identifier: Apache-2.0
"""Opens connections and compares every byte with what was sent.

talk.py serve PORT         sends back what it gets, over IPv4 and IPv6; prints "serving" first
talk.py talk HOST PORT N   sends records of 1 to 20000 bytes on N connections and receives them back,
                           until stdin ends; prints "talking" once each connection has done so, and
                           at the end the numbers of rounds as JSON; fails at the first byte that is
                           missing, wrong or too many
"""

import json
import os
import random
import socket
import sys
import threading
import time

ENOUGH = 60  # seconds without a byte are a loss


def serve(port):
    listener = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    print("serving", flush=True)
    while True:
        accepted, _ = listener.accept()
        threading.Thread(target=send_back, args=(accepted,), daemon=True).start()


def send_back(accepted):
    with accepted:
        while got := accepted.recv(65536):
            accepted.sendall(got)


class Talk(threading.Thread):
    def __init__(self, host, port, seed):
        super().__init__(daemon=True)
        self.connection = socket.create_connection((host, port), timeout=ENOUGH)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.random = random.Random(seed)
        self.rounds = self.bytes = 0
        self.wanted = True
        self.fault = None

    def run(self):
        try:
            while self.wanted:
                self.exchange()
            self.connection.shutdown(socket.SHUT_WR)
            if self.connection.recv(1):
                raise AssertionError("a byte too many")
        except (OSError, AssertionError) as fault:
            self.fault = f"round {self.rounds}: {fault!r}"

    def exchange(self):
        sent = self.random.randbytes(self.random.choice((1, 64, 64, 64, 1000, 20000)))
        self.connection.sendall(sent)
        found = b""
        while len(found) < len(sent):
            got = self.connection.recv(len(sent) - len(found))
            if not got:
                raise AssertionError(f"the end after {len(found)} of {len(sent)} bytes")
            found += got
        if found != sent:
            raise AssertionError("other bytes")
        # Leaves the processors to others for a moment.
        time.sleep(0.002)
        self.rounds += 1
        self.bytes += len(sent)


def talk(host, port, count):
    talks = [Talk(host, port, seed) for seed in range(count)]
    for one in talks:
        one.exchange()
        one.start()
    print("talking", flush=True)
    sys.stdin.read()
    for one in talks:
        one.wanted = False
    for one in talks:
        one.join(ENOUGH)
    faults = [one.fault or "no end" for one in talks if one.fault or one.is_alive()]
    rounds = [one.rounds for one in talks]
    print(json.dumps({"faults": faults, "least": min(rounds), "rounds": sum(rounds), "bytes": sum(one.bytes for one in talks)}), flush=True)
    os._exit(1 if faults else 0)


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    talk(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
