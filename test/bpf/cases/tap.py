# SPDX-License-Identifier: Apache-2.0
"""What a tap is to show."""
import hashlib

from common import NOISE, Thread, connect, listen, receive, report_line

SIZES = [1, 160, 161, 3000, 1952, 1953, 8096, 8097, 32768, 32769, 70000, 300000, 5]


def talk(kind):
    """
    Prints the port. Then each end sends messages of all these sizes in turn; prints a hash of what
    the client sent, and one of what the server sent.
    """
    hashes = [hashlib.sha256(), hashlib.sha256()]
    with listen(kind) as listener:
        port = listener.getsockname()[1]
        report_line(str(port))
        client = connect(port, kind)
        server, _ = listener.accept()
        for i, size in enumerate(SIZES):
            for writer, reader, digest in ((client, server, hashes[0]), (server, client, hashes[1])):
                data = NOISE[i * 1000 : i * 1000 + size]
                taken = Thread(receive, reader, size)
                writer.sendall(data)
                taken.end()
                digest.update(data)
    report_line(" ".join(digest.hexdigest() for digest in hashes))
