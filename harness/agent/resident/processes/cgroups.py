"""Where a node's control groups are and what they are called, in version 1, version 2, and both together (hybrid).

Version 1 has a tree for each controller, or for some at once (`cpu,cpuacct`). Version 2 has one tree: at the root or,
where version 1 has the controllers, beside theirs in `unified`. A pod's group is named after its UID, with dashes
(cgroupfs) or underscores (systemd), a container's after its id, behind the name of its runtime. Two of CRI-O's habits
differ: the program that watches over a container has a group of that container's name, and crun puts the container's
processes and limits one further down.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from harness.agent.resident.refused import Refused

ROOT = Path(os.environ.get("AGENT_CGROUP", "/sys/fs/cgroup"))
_CONTROLLERS = "cgroup.controllers"  # lies at the top of a tree of version 2
_FREEZER, _UNIFIED = "freezer", "unified"
_INNER, _SCOPE = "container", ".scope"
_UID = re.compile(r"[0-9a-f][0-9a-f-]{7,63}")
_CONTAINER = re.compile(r"[0-9a-f]{12,64}")
_WATCHER = "conmon-"


def second(root: Path) -> bool:
    """Say whether version 2 has the controllers."""
    return (root / _CONTROLLERS).exists()


def tree(root: Path, controller: str) -> Path | None:
    """Return the tree in which a controller is; None without one."""
    if second(root):
        return root
    usual = root / controller
    if usual.is_dir():
        return usual
    return next((one for one in sorted(root.glob("*,*")) if controller in one.name.split(",")), None)


def has(root: Path, controller: str) -> bool:
    """Say whether a controller counts and limits what groups use."""
    if second(root):
        return controller in (root / _CONTROLLERS).read_text().split()
    return tree(root, controller) is not None


def freezing(root: Path) -> Path | None:
    """Return the tree whose groups can be frozen; None without one."""
    unified = root / _UNIFIED
    return tree(root, _FREEZER) or (unified if second(unified) else None)


def of_pod(top: Path, uid: str) -> list[Path]:
    """List a pod's groups in a tree."""
    ends = (f"pod{uid}", f"pod{uid}.slice", f"pod{uid.replace('-', '_')}.slice")
    return sorted(one for one in _below(top) if one.name.endswith(ends))


def of_container(top: Path, container: str) -> Path | None:
    """Return a container's group in a tree; None without one."""
    name = re.compile(rf"(?:.*[-:])?(?<!{_WATCHER}){container}(?:{re.escape(_SCOPE)})?")
    return next((one for one in _below(top) if name.fullmatch(one.name)), None)


def inmost(group: Path) -> Path:
    """Return where a container's processes and limits are: its group or, by crun, the one that it made below."""
    inner = group / _INNER
    return inner if group.name.endswith(_SCOPE) and inner.is_dir() else group


def _below(top: Path) -> Iterator[Path]:
    # Others come and go meanwhile: a walk passes over what is gone, where a glob would end.
    return (Path(at) / name for at, below, _ in os.walk(top) for name in below)


def pod_in_path(uid: str) -> re.Pattern[str]:
    """Return what finds a pod in the paths of /proc/PID/cgroup; raises Refused for what is no UID."""
    if not _UID.fullmatch(uid):
        raise Refused(f"no pod UID {uid!r}")
    return re.compile(rf"{_pod(uid)}(?:$|/(?!(?:[^/\n]*-)?{_WATCHER}))", re.MULTILINE)


def container_in_path(container: str) -> re.Pattern[str]:
    """Return what finds a container in the paths of /proc/PID/cgroup; raises Refused for what is no id."""
    if not _CONTAINER.fullmatch(container):
        raise Refused(f"no container id {container!r}")
    return re.compile(rf"[/:-](?<!{_WATCHER}){container}")


def containers_in_path(uid: str) -> re.Pattern[str]:
    """Return what finds the id of a pod's container, as its first group, in the paths of /proc/PID/cgroup."""
    # A node that is a container itself stands before the pod.
    return re.compile(rf"{_pod(uid)}/(?:[^/]*[-:])?([0-9a-f]{{64}})")


def _pod(uid: str) -> str:
    return rf"pod(?:{uid}|{uid.replace('-', '_')})(?:\.slice)?"


def path(text: str) -> str:
    """Return a process's path in the tree of version 2 from /proc/PID/cgroup; empty without one."""
    return next((line.removeprefix("0::") for line in text.splitlines() if line.startswith("0::")), "")
