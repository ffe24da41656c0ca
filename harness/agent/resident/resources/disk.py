"""Fill a volume that is a file system of its own, with a file that nobody can leave behind."""

from __future__ import annotations

import errno
import os
import signal
from functools import partial

from harness.agent.resident.refused import Refused
from harness.agent.resident.resources import memory_group, volume
from harness.agent.resident.resources.container import Container
from harness.agent.resident.resources.effect import Effect, Facts, lasts
from harness.agent.resident.resources.order import Order

CHUNK_BYTES = 8 << 20
LEAST_BYTES = 4096
CLOSE = 0.01  # of what the volume has


def make(order: Order, container: Container) -> Effect:
    """Fill the volume that the container has at `path` up to `share` of what it may hold.

    A volume in memory is filled from within the container's limit, and refused where that would end the container.
    """
    order.only("path", "share")
    share, path = order.number("share", 0.01, 1), str(order.effect.get("path", ""))
    found = volume.find(container.pid, path)
    used, most = found.room()
    wanted = int(share * most) - used
    if wanted < LEAST_BYTES:
        raise Refused(f"{path} is as full already", f"{used} of {most} bytes are used")
    if found.in_memory:
        memory_group.fit(container.groups, wanted)
        memory_group.require(container.groups, wanted)

    file = found.file()

    def told() -> Facts:
        used, now = found.room()
        # A look in the middle of the filling would tell too small a share: only what is done is told as felt.
        done = os.fstat(file).st_size >= wanted or now - used < LEAST_BYTES
        felt = {"filled": round(used / most, 3)} if done and used >= (share - CLOSE) * most else {}
        return {"used_bytes": used, "most_bytes": most, "did": felt}

    ends = partial(memory_group.short, container.groups) if found.in_memory else lasts
    return Effect([lambda: hold(file, wanted)], ("memory",), told, ends)


def hold(file: int, wanted: int) -> None:
    """Take so many bytes, or as many as there are, and hold them for ever."""
    taken, size = 0, CHUNK_BYTES
    while taken < wanted and size >= LEAST_BYTES:
        size = min(size, wanted - taken)
        try:
            os.posix_fallocate(file, taken, size)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            # Somebody else was there first: what is left is less than this piece, of which nothing was taken.
            size //= 2
        else:
            taken += size
    # XFS gives a file none of the last blocks that it calls free. The size says that all there was is taken.
    os.ftruncate(file, wanted)
    while True:
        signal.pause()
