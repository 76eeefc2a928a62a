# SPDX-License-Identifier: Apache-2.0
"""
Prints what a Java server's available() returns after the first byte of each of ten messages of
1000 bytes: python3 available.py PORT
"""
import json
import sys

from common import NOISE, connect

with connect(int(sys.argv[1])) as sock, sock.makefile("rb") as answers:
    found = []
    for _ in range(10):
        sock.sendall(NOISE[:1000])
        found.append(int(answers.readline()))
print(json.dumps(found))
