"""Stop all processes of a pod and let them go on: freezer.state in cgroup v1, cgroup.freeze in v2."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from harness.agent.resident.processes import cgroups, pods
from harness.agent.resident.refused import Refused

PAUSE_SECONDS = 0.02
TRIES = 150
FROZEN = ("FROZEN", "FREEZING", "1")
# The v1 freezer can hang half frozen while a process forks: a short thaw and another try get it on.
SHAKE_EVERY = 10


def freeze(uid: str) -> None:
    """Freeze a pod; raises Refused when it is not here, when it is this process's own, or when it does not freeze."""
    if os.getpid() in pods.processes(uid):
        raise Refused("the agent does not freeze itself")
    folders = groups(uid)
    if not folders:
        raise Refused("the pod has no control group on this node", f"UID {uid}")
    for folder in folders:
        if not _switch(folder, frozen=True):
            thaw(uid)
            raise Refused("the pod does not freeze", str(folder))


def thaw(uid: str) -> None:
    """Thaw a pod; one that is gone is thawed. Raises Refused when it does not thaw."""
    for folder in groups(uid):
        if not _switch(folder, frozen=False):
            raise Refused("the pod does not thaw", str(folder))


def frozen(uid: str) -> bool:
    """Say whether any of a pod's control groups is frozen; one that is gone is not."""
    found = False
    for folder in groups(uid):
        with contextlib.suppress(OSError):
            found |= _state(folder) in FROZEN
    return found


def groups(uid: str) -> list[Path]:
    """List a pod's control groups that can be frozen."""
    top = cgroups.freezing(cgroups.ROOT)
    return cgroups.of_pod(top, uid) if top else []


def _switch(folder: Path, *, frozen: bool) -> bool:
    state = folder / "freezer.state"
    on_off = ("FROZEN", "THAWED") if state.exists() else ("1", "0")
    file = state if state.exists() else folder / "cgroup.freeze"
    wanted, other = on_off if frozen else on_off[::-1]
    for tries in range(TRIES):
        try:
            if tries % SHAKE_EVERY == SHAKE_EVERY - 1 and frozen:
                file.write_text(other)
                time.sleep(PAUSE_SECONDS)
            file.write_text(wanted)
            if _state(folder) == wanted:
                return True
        except OSError:
            if not folder.is_dir():
                return True
        time.sleep(PAUSE_SECONDS)
    return False


def _state(folder: Path) -> str:
    state = folder / "freezer.state"
    if state.exists():
        return state.read_text().strip()
    lines = (folder / "cgroup.events").read_text().splitlines()
    return next((line.split()[1] for line in lines if line.startswith("frozen ")), "")
