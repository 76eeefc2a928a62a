# SPDX-License-Identifier: Apache-2.0
"""exhaust.py GROUP PID: fills the memory of a cgroup, page by page, until the kernel has killed PID for it; is killed itself when PID is not there to be chosen"""

import mmap
import os
import select
import sys


def kills():
    with open(f"{group}/memory.oom_control") as file:
        return file.read().split()[-1]


group, pid = sys.argv[1], int(sys.argv[2])
# cgroup v1; the limit must be there before anything is taken.
with open(f"{group}/memory.limit_in_bytes") as file:
    limit = int(file.read())
assert limit < 1 << 32, f"{group}: expected a limit, found {limit}"
victim = os.pidfd_open(pid)
# A file in memory, not memory of this process: so it is not the largest, and the kernel chooses by
# the score that the kubelet gave the loader.
fill = os.memfd_create("fill")
with open(f"{group}/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))
before = kills()
while kills() == before:
    os.write(fill, bytes(mmap.PAGESIZE))
# What it leaves is little, and a page more than that would be our own end.
select.select([victim], [], [])
