"""End what a worker left in a pod's control groups, although the kernel should have: the second net."""

from __future__ import annotations

import contextlib
import os
import select
import signal

from harness.agent.resident.processes import pods
from harness.agent.resident.refused import Refused
from harness.agent.resident.supervising import MARK

KILL_SECONDS = 2.0


def end(pod: str, worker: str) -> None:
    """Kill what is of a fault in a pod; raises Refused when something is still there afterwards."""
    handles = [handle for pid in _marked(pod, worker) if (handle := _kill(pid)) is not None]
    for one in handles:
        waiting = select.poll()
        waiting.register(one, select.POLLIN)
        waiting.poll(1e3 * KILL_SECONDS)
        os.close(one)
    if stays := _marked(pod, worker):
        raise Refused("processes of the fault are left", ", ".join(map(str, stays)))


def _kill(pid: int) -> int | None:
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    return handle


def _marked(pod: str, worker: str) -> list[int]:
    return [pid for pid in pods.processes(pod) if f"{MARK}={worker}".encode() in _environment(pid)]


def _environment(pid: int) -> list[bytes]:
    try:
        return (pods.PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []
