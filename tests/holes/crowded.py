"""Become another program in a process that holds 1,100 descriptors already: COMMAND..."""

from __future__ import annotations

import os
import resource
import sys

HELD = 1100

if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4096, hard)), hard))
    for _ in range(HELD):
        os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
