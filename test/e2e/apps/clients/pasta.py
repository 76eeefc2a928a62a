# SPDX-License-Identifier: Apache-2.0
"""
pasta.py FOLDER PORT [talk]: tests what pasta (rootless Podman's network) forwards into a network namespace
of its own, from an address of the host and from its loopback device. Everything is in namespaces
that end with this process; they are mounted in FOLDER. With `talk` it only sends small requests, and
says so.
"""
import ctypes
import json
import os
import signal
import socket
import sys
import time

from common import CLONE_NEWNET, LIBC, NOISE, SLOWNESS, Thread, call, fork, receive, serve_echo

CLONE_NEWNS = 0x20000
ADDRESS = "10.9.9.1"


def main(folder, port, is_talk):
    if LIBC.unshare(CLONE_NEWNET | CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    call("mount --make-rprivate /")
    call(f"mount -t tmpfs none {folder}")
    call("ip link set lo up")
    call("ip link add outer type veth peer name unused")
    call(f"ip address add {ADDRESS}/24 dev outer")
    call("ip link set unused up")
    call("ip link set outer up")
    call("ip route add default via 10.9.9.254")
    inner = f"{folder}/inner"
    open(inner, "w").close()
    call(f"unshare --net={inner} ip link set lo up")
    fork(serve, inner, port)
    fork(forward, inner, port)
    for address in (ADDRESS, "127.0.0.1"):
        wait_for_listener(address, port)
    if is_talk:
        talk(port)
    print(json.dumps({"by_address": ask(ADDRESS, port), "by_loopback": ask("127.0.0.1", port)}))


def serve(inner, port):
    with open(inner) as file:
        if LIBC.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    listener = socket.create_server(("0.0.0.0", port))
    while True:
        Thread(serve_echo, listener.accept()[0])


def forward(inner, port):
    words = f"pasta --foreground --runas 0 --config-net -4 -t {port} -T none -u none -U none --netns {inner}"
    # pasta fails if SIGPIPE is ignored, as Python leaves it.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execvp("pasta", words.split())


def wait_for_listener(address, port):
    for _ in range(100):
        try:
            socket.create_connection((address, port), timeout=2 * SLOWNESS).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"pasta does not listen on {address}")


def ask(address, port):
    """Sends requests of several sizes, and returns "whole" or how the first incomplete reply ended."""
    client = socket.create_connection((address, port), timeout=3 * SLOWNESS)
    try:
        for size in [100] * 50 + [10_000] * 20 + [1_000_000]:
            Thread(client.sendall, NOISE[:size])
            found = bytearray()
            while len(found) < size:
                part = client.recv(size - len(found))
                if not part:
                    return "ends"
                found += part
            if found != NOISE[:size]:
                return "other bytes"
    except TimeoutError:
        return "stalls"
    return "whole"


def talk(port):
    client = socket.create_connection(("127.0.0.1", port), timeout=30 * SLOWNESS)
    while True:
        client.sendall(NOISE[:50])
        receive(client, 50)
        print("talking", flush=True)
        time.sleep(0.01)


main(sys.argv[1], int(sys.argv[2]), sys.argv[3:] == ["talk"])
