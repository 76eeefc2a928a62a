# SPDX-License-Identifier: Apache-2.0
"""
exhaust.py GROUP PID: fills the memory of a cgroup, page by page, until the kernel has killed PID for
it. This process is killed itself if PID is not there.
"""

import mmap
import os
import select
import sys


def kills():
    with open(f"{group}/memory.oom_control") as file:
        return file.read().split()[-1]


group, pid = sys.argv[1], int(sys.argv[2])
# Uses cgroup v1. There must be a limit before any memory is taken.
with open(f"{group}/memory.limit_in_bytes") as file:
    limit = int(file.read())
assert limit < 1 << 32, f"{group}: expected a limit, found {limit}"
victim = os.pidfd_open(pid)
# Fills a file in memory and not this process, which is then not the largest, so the kernel chooses
# by the score that the kubelet gave the loader.
fill = os.memfd_create("fill")
with open(f"{group}/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))
before = kills()
while kills() == before:
    os.write(fill, bytes(mmap.PAGESIZE))
# The victim frees little memory, and one page more than that would get this process killed.
select.select([victim], [], [])
