# SPDX-License-Identifier: Apache-2.0
"""
A Redis client that checks every answer:
python3 keys.py use PORT | same PORT REPLICA | publish PORT
"""
import os
import random
import sys
import time

from common import NOISE, Thread, connect, equal


class Redis:
    def __init__(self, port):
        self.sock = connect(int(port))
        self.file = self.sock.makefile("rb")

    def send(self, *words):
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.sock.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))

    def answer(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:].strip()
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.answer() for _ in range(int(rest))]
        if kind == b":":
            return int(rest)
        equal(kind, b"+", f"kind of answer {rest}")
        return rest

    def ask(self, *words):
        self.send(*words)
        return self.answer()


def make(count, size, rng):
    return {os.urandom(12).hex(): NOISE[(at := rng.randrange(1000)) : at + rng.randint(1, size)] for _ in range(count)}


def use(port):
    """Sets and gets values of 1 byte to 1 MB one by one, then sends 3000 pipelined pairs of commands."""
    redis, rng = Redis(port), random.Random()
    for count, size in ((500, 200), (200, 20_000), (6, 1_000_000)):
        values = make(count, size, rng)
        for key, value in values.items():
            equal(redis.ask("SET", key, value), b"OK", "SET")
        for key, value in values.items():
            equal(redis.ask("GET", key), value, f"GET {key}")
    values = make(3000, 2000, rng)

    def send_all():
        for key, value in values.items():
            redis.send("SET", key, value)
            redis.send("GET", key)

    sender = Thread(send_all)
    for key, value in values.items():
        equal([redis.answer(), redis.answer()], [b"OK", value], f"pipelined {key}")
    sender.end()


def same(port, other):
    """Checks that a replica gets what was written before and after it was connected."""
    primary, replica, rng = Redis(port), Redis(other), random.Random()
    values = make(300, 20_000, rng)
    for key, value in values.items():
        primary.ask("SET", key, value)
    equal(replica.ask("REPLICAOF", "127.0.0.1", port), b"OK", "REPLICAOF")
    end = time.monotonic() + 60
    while b"master_link_status:up" not in replica.ask("INFO", "replication"):
        equal(time.monotonic() < end, True, "the replica in time")
        time.sleep(0.05)
    more = make(1000, 20_000, rng)
    for key, value in more.items():
        primary.ask("SET", key, value)
    equal(primary.ask("WAIT", 1, 5000), 1, "replicas that have it all")
    for key, value in {**values, **more}.items():
        equal(replica.ask("GET", key), value, f"GET {key} of the replica")


def publish(port):
    """Sends 5000 messages to a subscriber and checks their order."""
    subscriber, publisher = Redis(port), Redis(port)
    equal(subscriber.ask("SUBSCRIBE", "news"), [b"subscribe", b"news", 1], "SUBSCRIBE")
    messages = [NOISE[i : i + 1 + i % 3000] for i in range(5000)]

    def send_all():
        for message in messages:
            equal(publisher.ask("PUBLISH", "news", message), 1, "subscribers")

    sender = Thread(send_all)
    for i, message in enumerate(messages):
        equal(subscriber.answer(), [b"message", b"news", message], f"message {i}")
    sender.end()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
