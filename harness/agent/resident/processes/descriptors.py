"""Let processes of a container open no more files than they have, and give each its own limit back.

The limit is each process's own (RLIMIT_NOFILE), it stays when whoever set it dies, and children inherit it; so it is
looked at first, written down, and set only then. Whoever sets it must be the process's own user, for the right to do
it to others (SYS_RESOURCE) is not to be had everywhere.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from harness.agent.resident.processes import pods
from harness.agent.resident.refused import Refused

MOST_SPARE = 4096
SECONDS = 10.0
# In a process of its own, which becomes the target's user once all that it needs is read: that user alone may set the
# limit, and see what is open.
_AS_USER = """
import os, resource, sys
user, group, pid, *limits = map(int, sys.argv[1:])
if (user, group) != (os.getuid(), os.getgid()):
    try:
        os.setgroups([]), os.setgid(group), os.setuid(user)
    except OSError:
        sys.exit(3)
if limits:
    resource.prlimit(pid, resource.RLIMIT_NOFILE, tuple(limits))
else:
    print(*os.listdir(f"/proc/{pid}/fd"))
"""
_MAY_NOT_BE = 3
_LIMIT = "Max open files"
_NONE = "unlimited"
Limit = dict[str, int]
Facts = dict[str, Any]


def look(pod: str, container: str, spare: Any, *, children: bool) -> list[Limit]:
    """Return for each process that is meant, the main one first, which limit it has and which one it is to have.

    With `spare` so many files can still be opened. Raises Refused where the main process has no more than that anyway.
    """
    if type(spare) is not int or not 0 <= spare <= MOST_SPARE:
        raise Refused(f"spare is {spare!r}", f"a whole number from 0 to {MOST_SPARE}")
    main, handle = pods.hold(pod, container)
    os.close(handle)
    others = sorted(pid for pid in pods.inside(container) if pid != main) if children else []
    found = [limit for pid in (main, *others) if (limit := _limit(pid, spare))]
    if not found or found[0]["pid"] != main:
        raise Refused("the main process may open no more than that as it is", str(main))
    return found


def lower(limits: Sequence[Limit]) -> Facts:
    """Set what was looked at, and return what the kernel says of the main process then; raises Refused."""
    for one in limits:
        if pods.birth(one["pid"]) == one["born"]:
            _as_user(one["pid"], one["to"], one["hard"])
    main = limits[0]
    soft, _ = _limits(main["pid"])
    facts = {"limit": soft, "before": main["soft"], "open": len(_open(main["pid"])), "processes": len(limits)}
    return {**facts, "did": {"limit": soft}} if soft == main["to"] else facts


def give_back(container: str, limits: Sequence[Limit]) -> None:
    """Give processes of a container what they had, where their limit is still the one that was set.

    So do those that were started since, which inherited it. One that has ended needs nothing. Raises Refused where one
    did not get it, after the others.
    """
    failed: list[Refused] = []
    for pid in pods.inside(container) if limits else ():
        soft, hard = _limits(pid)
        before = next((one["soft"] for one in _candidates(pid, limits) if soft == one["to"]), None)
        if before is None:
            continue
        try:
            _as_user(pid, before if hard == resource.RLIM_INFINITY else min(before, hard), hard)
        except Refused as refused:
            failed.append(refused)
    if failed:
        raise failed[0]


def _candidates(pid: int, limits: Sequence[Limit]) -> Iterator[Limit]:
    born = pods.birth(pid)
    yield from (one for one in limits if (one["pid"], one["born"]) == (pid, born))
    yield from (one for one in limits if born is not None and born >= one["at"])


def _limit(pid: int, spare: int) -> Limit | None:
    """Say what a process has and gets; None for one that is gone, or that has no more as it is."""
    born, (soft, hard), taken = pods.birth(pid), _limits(pid), _open(pid)
    # A file gets the lowest number that is free, so the limit is the number of the first that is not to be had.
    free = (number for number in range(len(taken) + spare + 1) if number not in taken)
    to = list(free)[spare]
    if born is None or not taken or (soft != resource.RLIM_INFINITY and soft <= to):
        return None
    return {"pid": pid, "born": born, "soft": soft, "hard": hard, "to": to, "at": _ticks()}


def _ticks() -> int:
    """Return the time by which the kernel says when a process was born."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def _open(pid: int) -> set[int]:
    """Return the numbers of what a process has open; raises Refused."""
    try:
        return {int(path.name) for path in (pods.PROC / str(pid) / "fd").iterdir()}
    except PermissionError:
        return {int(word) for word in _as_user(pid).split()}
    except OSError:
        return set()


def _limits(pid: int) -> tuple[int, int]:
    try:
        lines = (pods.PROC / str(pid) / "limits").read_text().splitlines()
    except OSError:
        return 0, 0
    words = next(line for line in lines if line.startswith(_LIMIT)).removeprefix(_LIMIT).split()
    soft, hard = (resource.RLIM_INFINITY if word == _NONE else int(word) for word in words[:2])
    return soft, hard


def _as_user(pid: int, *limits: int) -> str:
    """Set a process's limits, or say what it has open, as its own user; nothing where it has ended. Raises Refused."""
    user, group = (_one(pid, name) for name in ("Uid", "Gid"))
    argv = [sys.executable, "-I", "-S", "-c", _AS_USER, *map(str, (user, group, pid, *limits))]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Refused(f"what process {pid} may open was not seen to after {SECONDS:g} s") from None
    if done.returncode == 0 or not (pods.PROC / str(pid)).exists():
        return done.stdout
    if done.returncode == _MAY_NOT_BE:
        raise Refused(f"the agent may not become user {user} of group {group}", "it lacks SETUID or SETGID")
    what = "the limit of process {} cannot be set" if limits else "what process {} has open cannot be seen"
    raise Refused(what.format(pid), done.stderr.strip().rpartition("\n")[2])


def _one(pid: int, name: str) -> int:
    """Return the one user or group that a process is of, 0 for a process that is gone; raises Refused for several."""
    ids = pods.status(pid).get(name, "0").split()[:3]
    if len({*ids}) > 1:
        raise Refused(f"process {pid} is of several users or groups at once", f"{name}: {' '.join(ids)}")
    return int(ids[0])
