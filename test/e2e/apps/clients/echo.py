# SPDX-License-Identifier: Apache-2.0
"""
An echo server, and a client that checks what comes back:
python3 echo.py serve PORT | python3 echo.py ask PORT
"""
import json
import socket
import socketserver
import sys
import threading

from common import NOISE, connect, equal, receive


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := self.request.recv(1 << 16):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 100


def serve(port):
    Server(("127.0.0.1", int(port)), Echo).serve_forever()


def requests(port, times=200):
    """Waits for each reply before the next request, as an interactive protocol does."""
    sock = connect(port, timeout=5)
    done = 0
    try:
        for i in range(times):
            data = NOISE[i * 37 : i * 37 + 1 + i * 13 % 5000]
            sock.sendall(data)
            equal(receive(sock, len(data)), data, f"reply {i}")
            done += 1
    except TimeoutError:
        pass  # the number of replies shows it
    return done


def stream(port, megabytes=16):
    """Streams in both directions at once, until nothing comes for five seconds."""
    sock, block = connect(port, timeout=5), NOISE[: 1 << 18]
    expected = block * (megabytes * 4)

    def send():
        try:
            for _ in range(megabytes * 4):
                sock.sendall(block)
        except TimeoutError:
            pass  # the reader notices it

    threading.Thread(target=send, daemon=True).start()
    found = bytearray()
    try:
        while len(found) < len(expected):
            data = sock.recv(1 << 18)
            equal(bool(data), True, "more to come")
            found += data
    except TimeoutError:
        return {"stuck": True}
    wrong = next((i for i in range(0, len(found), 4096) if found[i : i + 4096] != expected[i : i + 4096]), None)
    equal(wrong, None, "position of the first difference")
    return {"stuck": False}


def ask(port):
    print(json.dumps({"replies": requests(int(port)), **stream(int(port))}))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
