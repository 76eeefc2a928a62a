# SPDX-License-Identifier: Apache-2.0
"""A client and a server in one process: tap.py HOST. Prints the port, then obeys lines on stdin:

talk FILE SIZE…    a new connection, on which each end sends a message of each size in turn; what they
                   sent goes into FILE.client and FILE.server; prints the client's port
pile FILE          a new connection, on which the client sends 200,000 bytes before the server reads, and
                   then ten small messages; what it sent goes into FILE.client; prints its port
flood SECONDS      a new connection, on which the client sends 1000 bytes and hears one byte again and
                   again; prints how many messages both ends sent
"""
import random
import socket
import sys
import threading
import time

host = sys.argv[1]
family = socket.AF_INET6 if ":" in host else socket.AF_INET
listener = socket.create_server(("::" if host == "mapped" else host, 0), family=socket.AF_INET6 if host == "mapped" else family, dualstack_ipv6=host == "mapped")
address = ("127.0.0.1" if host == "mapped" else host, listener.getsockname()[1])
print(address[1], flush=True)


def connect():
    client = socket.create_connection(address)
    server = listener.accept()[0]
    return client, server


def receive(end, count):
    while count:
        try:
            count -= len(end.recv(min(count, 1 << 20)))
        except BlockingIOError:  # a limit of the kernel: docs/reference/behaviour.md
            pass


def give(sender, receiver, size):
    message = random.randbytes(size)
    thread = threading.Thread(target=receive, args=(receiver, size))
    thread.start()
    sender.sendall(message)
    thread.join()
    return message


def talk(path, *sizes):
    client, server = connect()
    with open(path + ".client", "wb") as asked, open(path + ".server", "wb") as answered:
        for size in map(int, sizes):
            asked.write(give(client, server, size))
            answered.write(give(server, client, size))
    print(client.getsockname()[1], flush=True)


def pile(path):
    client, server = connect()
    for end in client, server:
        end.sendall(b"x")  # the first message of each end finds the peer
    receive(server, 1), receive(client, 1)
    messages = [random.randbytes(20_000) for _ in range(10)] + [random.randbytes(10) for _ in range(10)]
    for message in messages[:10]:
        client.sendall(message)
    receive(server, 200_000)
    for message in messages[10:]:
        client.sendall(message)
        receive(server, len(message))
    with open(path + ".client", "wb") as sent:
        sent.write(b"x" + b"".join(messages))
    print(client.getsockname()[1], flush=True)


def flood(seconds):
    client, server = connect()
    end = time.monotonic() + float(seconds)
    count = 0
    while time.monotonic() < end:
        client.send(bytes(1000))
        receive(server, 1000)
        server.send(b"x")
        receive(client, 1)
        count += 2
    print(count, flush=True)


for line in sys.stdin:
    word, *words = line.split()
    {"talk": talk, "pile": pile, "flood": flood}[word](*words)
