"""Write, sync and read in a volume, so that its disk is busy: a file of some MiB without a name, over and over."""

from __future__ import annotations

import mmap
import os
import random
import struct
import time
from pathlib import Path

from harness.agent.resident.refused import Refused
from harness.agent.resident.resources import volume
from harness.agent.resident.resources.container import Container
from harness.agent.resident.resources.effect import Effect, Facts
from harness.agent.resident.resources.order import Order

FILE_BYTES = 8 << 20
BLOCK_BYTES = 64 << 10
MOST_RATE = 500
FELT_WRITES = 3
_TOLD = struct.Struct("<3Q")  # writes, microseconds that they took with their syncs, bytes that went to the disk


def make(order: Order, container: Container) -> Effect:
    """Write `rate` blocks a second into the volume that the container has at `path`, each one synced and read again."""
    order.only("path", "rate")
    rate = order.number("rate", 1, MOST_RATE)
    found = volume.find(container.pid, str(order.effect.get("path", "")), on_disk=True)
    used, most = found.room()
    if most - used < 2 * FILE_BYTES:
        raise Refused("the volume has too little room", f"{most - used} bytes are free, and as much again is left so")
    file, shared = found.file(), mmap.mmap(-1, _TOLD.size)

    def told() -> Facts:
        writes, took, written = _TOLD.unpack(shared[:])
        facts: Facts = {"writes": writes, "written_bytes": written}
        if writes:
            facts["sync_ms"] = round(took / writes / 1e3, 1)
        felt = writes >= FELT_WRITES and written >= FELT_WRITES * BLOCK_BYTES
        return {**facts, "did": {"writes": writes} if felt else {}}

    return Effect([lambda: work(file, rate, shared)], ("blkio", "memory"), told)


def work(file: int, rate: float, shared: mmap.mmap) -> None:
    """Write for ever, and say how many and how long."""
    block = os.urandom(BLOCK_BYTES)
    os.posix_fallocate(file, 0, FILE_BYTES)
    writes, took, due = 0, 0, time.monotonic()
    while True:
        at = random.randrange(FILE_BYTES // BLOCK_BYTES) * BLOCK_BYTES
        began = time.monotonic_ns()
        os.pwrite(file, block, at)
        os.fdatasync(file)
        took += (time.monotonic_ns() - began) // 1000
        writes += 1
        os.posix_fadvise(file, at, BLOCK_BYTES, os.POSIX_FADV_DONTNEED)
        os.pread(file, BLOCK_BYTES, at)
        shared[:] = _TOLD.pack(writes, took, _written())
        # What a slow disk left undone is not made up for.
        due = max(due + 1 / rate, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


def _written() -> int:
    """Return how many bytes the kernel sent to a disk for this process."""
    lines = (line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return next(int(number) for name, number in lines if name == "write_bytes")
