"""Move this process into another network namespace, one that is there or a new one."""

from __future__ import annotations

import ctypes
import os

from harness.agent.resident.refused import Refused

_CLONE_NEWNET = 0x40000000


def enter(path: str) -> None:
    """Enter the network namespace that a file names: /proc/PID/ns/net, /run/netns/NAME.

    os.setns is there from Python 3.12 on only. Raises Refused when there is none, or the right SYS_ADMIN lacks.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Refused(f"there is no network namespace {path}", error.strerror or "") from None
    try:
        if libc.setns(handle, _CLONE_NEWNET) != 0:
            raise Refused(f"the network namespace {path} cannot be entered", os.strerror(ctypes.get_errno()))
    finally:
        os.close(handle)


def leave() -> None:
    """Go into a new network namespace, which is empty; raises Refused without the right SYS_ADMIN."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
        raise Refused("no network namespace can be made", os.strerror(ctypes.get_errno()))
