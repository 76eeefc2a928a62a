# SPDX-License-Identifier: Apache-2.0
"""A relay that takes what comes by os.splice and sends it on: python3 relay.py FRONT BACK"""
import socket
import sys
import threading

from common import connect, listen
from splice import Reader


def carry(source, sink):
    reader = Reader(source)
    while data := reader.some(1 << 16):
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)


def serve(front, back):
    listener = listen(port=front)
    while True:
        client, _ = listener.accept()
        server = connect(back)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.settimeout(None)
        for ends in ((client, server), (server, client)):
            threading.Thread(target=carry, args=ends, daemon=True).start()


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
