"""
strangers.py COUNT COMMAND...: runs COMMAND while COUNT processes of another user connect without
end to each listener on loopback, as soon as /proc shows it. Then it prints how often they were
reset.
"""
import os
import signal
import socket
import subprocess
import sys

TABLES = (("/proc/net/tcp", socket.AF_INET, "127.0.0.1"), ("/proc/net/tcp6", socket.AF_INET6, "::1"))
# Connections that each process holds. One that is open and not accepted fills the listener's queue.
MOST = 400


def is_refused(dialled):
    try:
        dialled.recv(1)
    except ConnectionResetError:
        return True
    except OSError:
        pass
    return False


def list_listeners(table):
    ports = []
    with open(table) as file:
        next(file)
        for row in map(str.split, file):
            # Listeners come first; tens of thousands of other sockets may follow.
            if row[3] != "0A":
                break
            ports.append(int(row[1].split(":")[1], 16))
    return ports


def dial_all(held):
    for table, family, host in TABLES:
        for port in list_listeners(table):
            for _ in range(30):
                dialled = socket.socket(family)
                dialled.setblocking(False)
                dialled.connect_ex((host, port))
                held.append(dialled)


def be_stranger(told):
    is_over = []
    signal.signal(signal.SIGTERM, lambda *_: is_over.append(True))
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    os.write(told, b"ready\n")
    held, refused = [], 0
    while not is_over:
        dial_all(held)
        while len(held) > MOST:
            oldest = held.pop(0)
            refused += is_refused(oldest)
            oldest.close()
    refused += sum(is_refused(dialled) for dialled in held)
    os.write(told, b"%d\n" % refused)


def main():
    count, command = int(sys.argv[1]), sys.argv[2:]
    reader, told = os.pipe()
    strangers = []
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            be_stranger(told)
            os._exit(0)
        strangers.append(pid)
    os.close(told)
    answers = os.fdopen(reader)
    for _ in strangers:
        answers.readline()
    code = subprocess.run(command, check=False).returncode
    for pid in strangers:
        os.kill(pid, signal.SIGTERM)
    print("sent away", sum(int(line) for line in answers), flush=True)
    sys.exit(code)


main()
