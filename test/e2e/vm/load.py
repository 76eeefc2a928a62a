# SPDX-License-Identifier: Apache-2.0
# Opens connections from this machine to itself, each of which sends, gets the same back, and
# compares every byte. Prints `talking` once all of them do, and the rounds of each for every line
# on stdin. The end of stdin stops them.
import os
import socket
import sys
import threading

CONNECTIONS = 4
listener = socket.create_server(("127.0.0.1", 0))
rounds = [0] * CONNECTIONS
wrong = []
stop = threading.Event()
started = threading.Barrier(CONNECTIONS + 1)


def receive(sock, length):
    got = b""
    while len(got) < length:
        chunk = sock.recv(length - len(got))
        if not chunk:
            raise EOFError("the connection ended")
        got += chunk
    return got


def echo(sock):
    while chunk := sock.recv(65536):
        sock.sendall(chunk)


def talk(number):
    try:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        # The accepted connection may belong to another thread's client, but each is echoed.
        threading.Thread(target=echo, args=(server,), daemon=True).start()
        while not stop.is_set():
            sent = os.urandom(1 + rounds[number] * 397 % 8192)
            client.sendall(sent)
            if receive(client, len(sent)) != sent:
                raise ValueError("other bytes came back")
            rounds[number] += 1
            if rounds[number] == 20:
                started.wait()
    except Exception as error:
        wrong.append(f"{number}: {error}")
        started.abort()


threads = [threading.Thread(target=talk, args=(number,)) for number in range(CONNECTIONS)]
for thread in threads:
    thread.start()
try:
    started.wait()
except threading.BrokenBarrierError:
    pass
print("talking" if not wrong else wrong, flush=True)
for _ in sys.stdin:
    print(*rounds, flush=True)
stop.set()
for thread in threads:
    thread.join()
print(f"{CONNECTIONS} exact" if not wrong else "; ".join(wrong))
