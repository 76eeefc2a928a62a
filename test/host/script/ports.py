# SPDX-License-Identifier: Apache-2.0
"""
Plays the traffic that a test asks for, one command a line: listen COUNT, open PORT, close,
talk PORT TIMES SIZE, flood PORT TIMES SIZE. Each is answered by one line of JSON.
"""
import json
import socket
import sys
import threading
import time

listeners, standing = {}, []


def connect(port):
    client = socket.create_connection(("127.0.0.1", port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client, listeners[port].accept()[0]


def receive(sock, size):
    while size > 0:
        size -= len(sock.recv(size)) or sys.exit("the stream has ended")


def end(client, server):
    client.close()
    server.recv(1)
    server.close()


def listen(count):
    made = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    listeners.update((sock.getsockname()[1], sock) for sock in made)
    return [sock.getsockname()[1] for sock in made]


def open_one(port):
    standing.append(connect(port))


def close():
    while standing:
        end(*standing.pop())


def talk(port, times, size):
    """Exchanges messages, each read before the next one is sent."""
    client, server = connect(port)
    for _ in range(times):
        for sender, reader in ((client, server), (server, client)):
            sender.sendall(b"x" * size)
            receive(reader, size)
    end(client, server)


def flood(port, times, size):
    """Sends to a server that begins to read only when much more waits than may."""
    client, server = connect(port)
    sender = threading.Thread(target=lambda: [client.sendall(b"x" * size) for _ in range(times)])
    sender.start()
    time.sleep(0.3)
    receive(server, times * size)
    sender.join()
    end(client, server)


verbs = {"listen": listen, "open": open_one, "close": close, "talk": talk, "flood": flood}
for line in sys.stdin:
    verb, *words = line.split()
    print(json.dumps(verbs[verb](*map(int, words))), flush=True)
