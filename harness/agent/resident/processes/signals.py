"""Send a signal to a container's main process, see how it is taken, and let go on what was stopped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from harness.agent.resident.fault import SIGNALS
from harness.agent.resident.processes import pods
from harness.agent.resident.refused import Refused

SEEN_SECONDS = 1.0
PAUSE_SECONDS = 0.01
STOPPED = "T"
# How a process takes a signal.
ENDS, STOPS, CONTINUES, USUAL = "ends", "stops", "continues", "as usual"
CAUGHT, IGNORED, WAITS = "caught", "ignored", "waits"
Facts = dict[str, Any]


def strike(pod: str, container: str, name: str) -> Facts:
    """Send a signal and return how it is taken; raises Refused.

    `as usual`: it is neither handled nor ignored nor blocked, so the process ends of it, unless it is the first one of
    its container, for which the kernel drops it, or awaits it (sigwait), which nobody can see.
    """
    if name not in SIGNALS:
        raise Refused(f"no signal {name!r}", ", ".join(SIGNALS))
    pid, handle = pods.hold(pod, container)
    try:
        number = getattr(signal, f"SIG{name}")
        before = pods.status(pid)
        signal.pidfd_send_signal(handle, number)
        return {"pid": pid, "signal": name, "taken": _taken(pid, name, number, before)}
    finally:
        os.close(handle)


def stopped(container: str) -> bool:
    """Say whether a container's main process is stopped; one that is gone is not."""
    try:
        return _state(pods.main_process(container)) == STOPPED
    except Refused:
        return False


def go_on(pod: str, container: str) -> None:
    """Let the main process of a pod's container go on; one that is gone does. Raises Refused when it stays stopped."""
    try:
        pid = pods.main_process(container)
        if pid not in pods.processes(pod):
            return
        os.kill(pid, signal.SIGCONT)
    except (Refused, ProcessLookupError):
        return
    if not _until(lambda: _state(pid) != STOPPED):
        raise Refused("the container's main process stays stopped", str(pid))


def _taken(pid: int, name: str, number: int, before: dict[str, str]) -> str:
    if name == "KILL":
        return ENDS
    if name == "STOP":
        return STOPS if _until(lambda: _state(pid) == STOPPED) else WAITS
    if name == "CONT" and before.get("State", "").startswith(STOPPED):
        return CONTINUES
    if _holds(before, "SigCgt", number):
        return CAUGHT
    if _holds(before, "SigIgn", number) or name == "CONT":
        return IGNORED
    if _holds(before, "SigBlk", number):
        # It may be taken in time all the same.
        return CAUGHT if _until(lambda: not _holds(pods.status(pid), "ShdPnd", number)) else WAITS
    return USUAL


def _holds(status: dict[str, str], mask: str, number: int) -> bool:
    return bool(int(status.get(mask, "0"), 16) >> (number - 1) & 1)


def _state(pid: int) -> str:
    return pods.status(pid).get("State", "")[:1]


def _until(true: Callable[[], bool]) -> bool:
    last = time.monotonic() + SEEN_SECONDS
    while not true():
        if time.monotonic() >= last:
            return False
        time.sleep(PAUSE_SECONDS)
    return True
