# SPDX-License-Identifier: Apache-2.0
# racer.py FOLDER VICTIM: replaces whatever appears in FOLDER by a link to VICTIM, until SIGTERM.
# Then it prints how often it did.
import os
import signal
import sys

folder, victim = sys.argv[1:]
swapped = 0
stopped = False


def stop(*_):
    global stopped
    stopped = True


signal.signal(signal.SIGTERM, stop)
os.chdir(folder)
link = ".link"
while not stopped:
    for name in os.listdir("."):
        try:
            if name == link or os.path.islink(name):
                continue
            os.symlink(victim, link)
            os.rename(link, name)
            swapped += 1
        except OSError:
            pass
print(swapped, flush=True)
