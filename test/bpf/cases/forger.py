# SPDX-License-Identifier: Apache-2.0
"""
A peer made of forged packets, behind a tun device. It chooses its sequence numbers, so a socket
that connects to it can have any key.
"""
import fcntl
import os
import socket
import struct

from common import NOISE, Mailbox, call, equal, exchange, fork, join, listen, new_namespace, receive
from paths import bound

ADDRESS, PORT = "10.77.0.1", 7777
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ, SEND_QUEUE = 19, 20, 21, 2
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
SYN, ACK = 2, 16
FIRST = 0x12345678


def choose_sequence(sock):
    """Sets the first sequence number of a socket that has not connected yet."""
    for option, value in ((TCP_REPAIR, 1), (TCP_REPAIR_QUEUE, SEND_QUEUE), (TCP_QUEUE_SEQ, FIRST), (TCP_REPAIR, 0)):
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def same_key():
    """
    A client's claim waits for its server, which defers. Meanwhile another socket, in another
    network namespace, claims the same key. It must neither pair with the server nor get a byte.
    """
    number, tried, done = Mailbox(), Mailbox(), Mailbox()

    def victim():
        new_namespace()
        call(f"ip addr add {ADDRESS}/32 dev lo")
        sniffer = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
        listener = listen(address=ADDRESS, options=[(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)])
        client = bound(PORT, ADDRESS)
        choose_sequence(client)
        client.connect(listener.getsockname())
        number.put(str(sequence_of(sniffer)))
        equal(tried.get(), "connected", "the other socket")
        client.sendall(NOISE[:1000])
        server, _ = listener.accept()
        equal(receive(server, 1000), NOISE[:1000], "first bytes")
        exchange(client, server)
        done.put()

    def attacker():
        new_namespace()
        device = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"forged", IFF_TUN | IFF_NO_PI))
        call(f"ip addr add {ADDRESS}/24 dev forged")
        call("ip link set forged up")
        its = int(number.get())
        sock = bound(PORT, ADDRESS)
        choose_sequence(sock)
        sock.setblocking(False)
        sock.connect_ex(("10.77.0.9", 80))
        wait_for(device, SYN)
        os.write(device, segment(its, FIRST + 1, SYN | ACK))
        wait_for(device, ACK)
        tried.put("connected")
        done.get()
        sock.sendall(b"for the forged peer")
        equal(wait_for(device, ACK)[40:], b"for the forged peer", "what the forged peer got")
        try:
            raise AssertionError(f"bytes of somebody else: {sock.recv(100)!r}")
        except BlockingIOError:
            pass

    join(fork(victim), fork(attacker))


def sequence_of(sniffer):
    """Gives the sequence number of the SYN-ACK."""
    while True:
        packet = sniffer.recv(2000)
        source, _, sequence, _, _, flags = struct.unpack_from("!HHIIBB", packet, 20)
        if flags == SYN | ACK:
            return sequence


def wait_for(device, flags):
    """
    Gives the next segment to the forged peer with exactly these flags, PSH aside. The kernel also
    speaks IPv6 there.
    """
    while True:
        packet = os.read(device, 4000)
        if packet[0] == 0x45 and packet[9] == socket.IPPROTO_TCP and packet[33] & ~8 == flags:
            return packet[:20] + packet[20:40] + packet[20 + (packet[32] >> 4) * 4 :]


def segment(sequence, acknowledged, flags):
    source, target = socket.inet_aton("10.77.0.9"), socket.inet_aton(ADDRESS)
    tcp = struct.pack("!HHIIBBHHH", 80, PORT, sequence, acknowledged, 0x50, flags, 60000, 0, 0)
    sum_of_tcp = checksum(source + target + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(tcp)) + tcp)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, socket.IPPROTO_TCP, 0) + source + target
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + tcp[:16] + struct.pack("!H", sum_of_tcp) + tcp[18:]


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
