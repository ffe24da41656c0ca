"""Keep cores busy on purpose, by children that end with their time, with their block or with their parent."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PR_SET_PDEATHSIG = 1


@contextlib.contextmanager
def busy(cores: int, seconds: float) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Keep so many cores busy inside the block, and for so many seconds at most."""
    argv = [sys.executable, "-S", str(Path(__file__)), str(seconds), str(os.getpid())]
    # A process group of its own: a Ctrl-C is the command's, which ends them.
    hogs = [subprocess.Popen(argv, stdin=subprocess.DEVNULL, process_group=0) for _ in range(cores)]
    try:
        yield hogs
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def burn(seconds: float, parent: int) -> None:
    """Use one core; the kernel ends what this loop would not."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    limit = math.ceil(seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    end = time.monotonic() + seconds
    while time.monotonic() < end and os.getppid() == parent:
        for _ in range(100_000):
            pass


if __name__ == "__main__":
    burn(float(sys.argv[1]), int(sys.argv[2]))
