"""How much of the disk a start takes, and whether it is there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from harness.cluster import docker
from harness.cluster.cache import cache_dir
from harness.errors import PreconditionFailed

GIB = 2**30
# 17 were measured from nothing on 2026-11-30, without a registry; Docker's data and Go's build cache have most of it.
COLD, WARM = 18, 8
# Built on every machine, and after all else.
LAST = "istio-manifests"


def needed(*, stack: bool = True) -> tuple[int, str]:
    """Return how many GiB a new cluster takes, with the stack or without, and what for."""
    # One of another version will do: Go's caches and Docker's images are there, and what changed is little beside them.
    if stack and not any((cache_dir() / "bin").glob(f"{LAST}-{'?' * 12}")):
        return COLD, "for the first start builds all programs, and Go and Docker keep what they are made from"
    return WARM, "for the nodes and their images"


def free() -> float:
    """Return how many GiB are free where the cache is, or will be."""
    return shutil.disk_usage(existing(cache_dir())).free / GIB


def existing(path: Path) -> Path:
    """Return a folder, or the nearest one above it that is there."""
    # Below a folder that this user may not search, Path.exists() raises.
    return path if os.access(path, os.F_OK) else existing(path.parent)


def check(host: str, *, stack: bool = True) -> None:
    """Raise PreconditionFailed where a disk that a new cluster is made on lacks the room for it."""
    folder = cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    # A container that was given the daemon's socket does not see its disk, and not every user does.
    data = Path(docker.info(host, "DockerRootDir"))
    hints = {folder: "free some space, or name a folder on another disk with HARNESS_CACHE"}
    if os.access(data, os.F_OK):
        hints[data] = "free some space: `docker system df` shows what Docker's images and volumes use"
    gib, why = needed(stack=stack)
    for place, hint in hints.items():
        free = shutil.disk_usage(place).free
        if free < gib * GIB:
            raise PreconditionFailed(
                f"only {free / GIB:.1f} GiB of disk are free, {gib} are needed", where=str(place), why=why, hint=hint
            )
