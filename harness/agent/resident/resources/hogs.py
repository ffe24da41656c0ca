"""Processes in a container's control groups that use its resources up, and that nothing leaves behind.

Each dies with whoever started it, whatever that one dies of (PR_SET_PDEATHSIG), and of a timer of the kernel's own. It
stays in the agent's namespaces: nobody in the container sees it, and it sees nothing of the container.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.agent.resident.refused import Refused

KILL_SECONDS = 2.0
_PR_SET_PDEATHSIG = 1
_READY = b"!"
_NUMBERS = range(1, signal.NSIG)
_ADJUSTMENT, _FIRST = Path("/proc/self/oom_score_adj"), 1000


@dataclass(frozen=True, slots=True)
class Hog:
    """One such process; `handle` becomes readable when it ends."""

    pid: int
    handle: int


def start(work: Callable[[], None], doors: Sequence[Path], seconds: float, *, spared: bool = False) -> Hog:
    """Start one and put it through these doors first; raises Refused when one is closed. It works so long at most.

    Where memory runs out, in the container or on its node, the kernel ends it before anything else, unless it is to be
    `spared`.

    It is moved by whoever starts it, once it is sure to die with that one: in a group that is throttled already it
    would take long to say so.
    """
    ours, theirs = socket.socketpair()
    libc = ctypes.CDLL(None)
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
            _plain()
            if not spared:
                _ADJUSTMENT.write_text(str(_FIRST))
            theirs.send(_READY)
            # Nothing comes where a door was closed, or whoever started it is gone.
            if theirs.recv(1):
                # Not before: whoever starts it may be kept waiting for longer than it is to live.
                signal.setitimer(signal.ITIMER_REAL, seconds)
                work()
        finally:
            os._exit(1)
    theirs.close()
    with ours:
        try:
            ours.recv(1)
            for door in doors:
                door.write_text(str(pid))
            ours.send(_READY)
        except OSError as error:
            ours.close()
            os.waitpid(pid, 0)
            raise Refused("the container's control groups take nobody in", str(error)) from None
    return Hog(pid, os.pidfd_open(pid))


def end(hogs: Sequence[Hog]) -> list[int]:
    """Kill them and return those that are still there: the kernel takes its time where a group is throttled."""
    for one in hogs:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGKILL)
    left = []
    for one in hogs:
        ready, _, _ = select.select([one.handle], [], [], KILL_SECONDS)
        left += [] if ready else [one.pid]
        os.close(one.handle)
    return left


def ended(hog: Hog) -> str:
    """Say how one ended that should not have."""
    _, status = os.waitpid(hog.pid, 0)
    number = -os.waitstatus_to_exitcode(status)
    return f"by {signal.Signals(number).name}" if number in _NUMBERS else f"with {-number}"


def _plain() -> None:
    """Forget what the parent set up, and hold none of its pipes."""
    signal.set_wakeup_fd(-1)
    for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
        signal.signal(one, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nothing, stream)
