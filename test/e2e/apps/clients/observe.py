# SPDX-License-Identifier: Apache-2.0
"""
Prints what ss and a packet socket on lo, as tcpdump uses it, see of 100 exchanges of 1000 bytes:
python3 observe.py
"""
import json
import re
import socket
import subprocess
import time

from common import connect, exchange, listen, new_namespace

new_namespace()  # others use lo too, and their packets would fill the buffer

with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as sniffer, listen() as listener:
    sniffer.bind(("lo", 0))
    sniffer.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
    port = listener.getsockname()[1]
    client = connect(port)
    server, _ = listener.accept()
    exchange(client, server, 100)
    text = subprocess.run(["ss", "-tinH", f"( dport = :{port} )"], check=True, capture_output=True, text=True).stdout
    client.close()
    server.close()
    time.sleep(0.2)
    sniffer.setblocking(False)
    found = {"syn": 0, "fin": 0, "payload": 0}
    try:
        while True:
            packet, about = sniffer.recvfrom(1 << 16)
            tcp = 14 + (packet[14] & 15) * 4
            ports = [int.from_bytes(packet[tcp + i : tcp + i + 2], "big") for i in (0, 2)]
            # A packet on lo is seen going out and coming in.
            if packet[23] != socket.IPPROTO_TCP or port not in ports or about[2] == socket.PACKET_OUTGOING:
                continue
            found["syn"] += packet[tcp + 13] >> 1 & 1
            found["fin"] += packet[tcp + 13] & 1
            found["payload"] += int.from_bytes(packet[16:18], "big") - (tcp - 14) - (packet[tcp + 12] >> 4) * 4
    except BlockingIOError:
        pass
found["ss"] = sum(int(n) for n in re.findall(r"bytes_(?:sent|received):(\d+)", text))
print(json.dumps(found))
