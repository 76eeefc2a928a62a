# SPDX-License-Identifier: Apache-2.0
"""Services and their clients, in processes of their own, for `advise` to look at."""
import threading
import time

from common import connect, fork, listen, receive


def name(text):
    with open("/proc/self/comm", "wb") as comm:
        comm.write(text.encode())


def serve(listener, size=100, program="backend", prepare=lambda server: None):
    """Answers each message with one of this size."""

    def answer(server):
        try:
            prepare(server)
            while server.recv(1 << 20):
                server.sendall(b"a" * size)
        except OSError:
            pass

    name(program)
    while True:
        threading.Thread(target=answer, args=listener.accept()[:1], daemon=True).start()


def ask(client, size=50, answer=100, rate=200):
    while True:
        client.sendall(b"q" * size)
        receive(client, answer)
        time.sleep(1 / rate)


def talk(port, size=50, answer=100, program="frontend", prepare=lambda client: None):
    name(program)
    client = connect(port)
    prepare(client)
    ask(client, size, answer)


def service(prepare=lambda listener: None, at_client=lambda client: None, at_server=lambda server: None, port=0,
            program="backend"):
    """A server and a client; gives the port."""
    listener = listen(port=port)
    prepare(listener)
    port = listener.getsockname()[1]
    fork(serve, listener, 100, program, at_server)
    fork(talk, port, 50, 100, "frontend", at_client)
    listener.close()
    return port


def setting(level, option, value):
    """Gives what sets an option of a socket."""
    return lambda sock: sock.setsockopt(level, option, value)
