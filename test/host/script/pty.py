# SPDX-License-Identifier: Apache-2.0
"""
Runs a command in a terminal of its own and acts as its user: pty.py ROWS COLUMNS ACTIONS COMMAND...
ACTIONS is a list in JSON: ["wait", TEXT], ["key", TEXT], ["signal", NAME], ["size", ROWS, COLUMNS],
["forget"] (what was printed so far). Prints as JSON what came, how the command ended, and whether
the modes of the terminal are as before.
"""
import fcntl
import json
import os
import select
import signal
import struct
import sys
import termios
import time

rows, columns, actions, command = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4:]
outer, inner = os.openpty()


def resize(rows, columns):
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


resize(rows, columns)
before = termios.tcgetattr(inner)
child = os.fork()
if child == 0:
    os.setsid()
    fcntl.ioctl(inner, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(inner, fd)
    os.execvpe(command[0], command, {**os.environ, "TERM": "xterm"})

said = b""
end = time.monotonic() + 60


def read(seconds):
    global said
    if select.select([outer], [], [], seconds)[0]:
        said += os.read(outer, 65536)


def status():
    pid, code = os.waitpid(child, os.WNOHANG)
    return code if pid else None


code = None
for what, *words in actions:
    if what == "wait":
        while words[0].encode() not in said:
            code = status() if code is None else code
            if time.monotonic() > end or code is not None:
                sys.exit(f"no {words[0]!r} came, but {said!r}, {code}")
            read(0.1)
    elif what == "key":
        os.write(outer, words[0].encode())
    elif what == "signal":
        os.kill(child, getattr(signal, "SIG" + words[0]))
    elif what == "size":
        resize(*words)
    elif what == "forget":
        said = b""
while code is None and time.monotonic() < end:
    read(0.05)
    code = status()
if code is None:
    os.kill(child, signal.SIGKILL)
    sys.exit(f"it goes on: {said!r}")
read(0.1)
print(
    json.dumps(
        {
            "said": said.decode(errors="backslashreplace"),
            "code": os.waitstatus_to_exitcode(code),
            "restored": termios.tcgetattr(inner) == before,
        }
    )
)
