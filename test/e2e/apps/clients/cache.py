# SPDX-License-Identifier: Apache-2.0
"""A memcached client that checks every value: python3 cache.py PORT"""
import os
import random
import sys

from common import NOISE, Thread, connect, equal


class Cache:
    def __init__(self, port):
        self.sock = connect(port)
        self.file = self.sock.makefile("rb")

    def line(self):
        return self.file.readline().rstrip(b"\r\n")

    def set_many(self, values):
        """Sends all requests without waiting for an answer."""
        sender = Thread(self.sock.sendall, b"".join(
            b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value) for key, value in values.items()))
        for key in values:
            equal(self.line(), b"STORED", f"answer to set {key}")
        sender.end()

    def get_many(self, keys):
        self.sock.sendall(b"get " + b" ".join(keys) + b"\r\n")
        found = {}
        while (line := self.line()) != b"END":
            _, key, _, size = line.split()
            found[key] = self.file.read(int(size))
            equal(self.file.read(2), b"\r\n", "the end of a value")
        return found


def use(port, seed):
    cache, rng = Cache(port), random.Random(seed)
    for size, count in ((1, 100), (100, 500), (5000, 200), (900_000, 6)):
        values = {os.urandom(12).hex().encode(): NOISE[(at := rng.randrange(1000)) : at + rng.randint(1, size)]
                  for _ in range(count)}
        cache.set_many(values)
        for key, value in values.items():
            equal(cache.get_many([key]), {key: value}, f"value of {key}")
        keys = list(values)
        for i in range(0, count, 50):
            equal(cache.get_many(keys[i : i + 50]), {key: values[key] for key in keys[i : i + 50]}, "many values")


threads = [Thread(use, int(sys.argv[1]), seed) for seed in range(4)]
for thread in threads:
    thread.end(20)
