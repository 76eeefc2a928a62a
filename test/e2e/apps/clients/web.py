# SPDX-License-Identifier: Apache-2.0
"""
An HTTP service and a client that checks every body:
python3 web.py serve PORT | python3 web.py ask PORT WHAT…

The service answers GET /COUNT/SIZE with COUNT writes of SIZE bytes, and POST with the hash of the
body. The client prints what did not come within five seconds. WHAT is one of

  get:COUNT/SIZE          the answer to that path
  file:NAME:FILE          the contents of FILE under the path NAME
  post:SIZE               a body in one write with its header
  posts:COUNT/SIZE        COUNT of these, one after the other
  slow:COUNT/SIZE         like get, with a slow reader
  late:COUNT/SIZE         COUNT requests with answers of SIZE bytes on one connection, with pauses
"""
import hashlib
import http.client
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from common import connect, equal

# The same bytes in every process and language.
NOISE = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(1 << 15)) * 2


def body(count, size):
    return b"".join(NOISE[i : i + size] for i in range(count))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        count, size = map(int, self.path.strip("/").split("/"))
        self.send_response(200)
        self.send_header("Content-Length", str(count * size))
        self.end_headers()
        for i in range(count):
            self.wfile.write(NOISE[i : i + size])

    def do_POST(self):
        found = hashlib.sha256(self.rfile.read(int(self.headers["Content-Length"]))).hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(found)))
        self.end_headers()
        self.wfile.write(found)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 100


def serve(port):
    Server(("127.0.0.1", int(port)), Handler).serve_forever()


def fetch(client, path, slowly=False):
    client.request("GET", path)
    reply = client.getresponse()
    equal(reply.status, 200, path)
    if not slowly:
        return reply.read()
    data = bytearray()
    while part := reply.read(1 << 20):
        data += part
        time.sleep(0.03)
    return bytes(data)


def post(port, size):
    """Writes header and body at once, so that the body has arrived before the header is read."""
    with connect(port, timeout=5) as sock:
        data = NOISE[:size]
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size + data)
        reply = b""
        while part := sock.recv(1 << 16):
            reply += part
    equal(reply.split(b"\r\n\r\n")[-1], hashlib.sha256(data).hexdigest().encode(), f"hash of {size} bytes")


def get_late(port, count, size):
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    for i in range(count):
        client.request("GET", f"/1/{size}", headers={"X-Filler": "x" * min(size, 7000)})
        equal(client.getresponse().read(), NOISE[:size], f"answer {i}")
        time.sleep(0.05)
    client.close()


def ask(port, *what):
    port, missing, client = int(port), [], None
    for one in what:
        kind, *words = one.split(":")
        try:
            if kind == "post":
                post(port, int(words[0]))
                continue
            if kind == "posts":
                count, size = map(int, words[0].split("/"))
                hung = 0
                for _ in range(count):
                    try:
                        post(port, size)
                    except TimeoutError:
                        hung += 1
                if hung > 0:
                    missing.append(f"{one}: {hung}")
                continue
            if kind == "late":
                get_late(port, *map(int, words[0].split("/")))
                continue
            client = client or http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            if kind == "file":
                with open(words[1], "rb") as file:
                    expected = file.read()
                path = words[0]
            else:
                expected = body(*map(int, words[0].split("/")))
                path = "/" + words[0]
            found = fetch(client, path, kind == "slow")
            equal(hashlib.sha256(found).hexdigest(), hashlib.sha256(expected).hexdigest(), one)
        except TimeoutError:
            missing.append(one)
            client = None
    print(json.dumps({"missing": missing}))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
