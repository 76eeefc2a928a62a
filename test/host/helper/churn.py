"""
churn.py FOLDER...: in each FOLDER, which another user owns, a process of that user makes and
removes cgroups without end. Each cgroup lives for as long as it takes to make thirty others, which
is less than a walk over all of them takes.
"""
import os
import sys

for folder in sys.argv[1:]:
    if os.fork() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        os.write(1, b"ready\n")
        living = []
        number = 0
        while os.getppid() != 1:
            number += 1
            living.append(os.path.join(folder, str(number)))
            os.mkdir(living[-1])
            if len(living) > 30:
                os.rmdir(living.pop(0))
sys.stdin.read()
