"""Where everything built or started is kept, and under which key."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from harness.cluster import stopping
from harness.errors import PreconditionFailed

Progress = Callable[[str], None]
NAME_ANOTHER = "HARNESS_CACHE=DIR names a folder that can be written; every later command needs it, too"
_held: list[int] = []


def cache_dir() -> Path:
    """Return the folder that holds everything the harness builds, starts or remembers.

    Raises PreconditionFailed where the user has no home and none is named.
    """
    # Always a folder of its own: `harness clean` deletes it, and HARNESS_CACHE may name a whole disk.
    named = os.environ.get("HARNESS_CACHE")
    try:
        parent = Path(named).absolute() if named else Path.home() / ".cache"
    except RuntimeError as error:  # no HOME, and a user that the system does not know: a container's, as a rule
        raise PreconditionFailed(
            "there is no folder to keep anything in", why="this user has no home", hint=NAME_ANOTHER
        ) from error
    return parent / "kube-chaos-harness"


def is_named() -> bool:
    """Say whether the cache folder was chosen by HARNESS_CACHE; then nothing outside it is used either."""
    return bool(os.environ.get("HARNESS_CACHE"))


def offline() -> bool:
    """Say whether container registries must not be asked."""
    return os.environ.get("HARNESS_OFFLINE", "") not in ("", "0")


def project_root() -> Path:
    """Return the folder that holds `images/`, `stack/` and `kind-config.yaml`."""
    return Path(__file__).resolve().parents[2]


def digest(paths: Iterable[Path], *extra: str) -> str:
    """Return a short hash of files and folders (names, modes and contents) and of further strings."""
    hasher = hashlib.sha256()
    for root in paths:
        if not root.exists():
            raise FileNotFoundError(root)
        files = sorted(f for f in root.rglob("*") if f.is_file() and _is_source(f)) if root.is_dir() else [root]
        for file in files:
            name = file.relative_to(root).as_posix() if root.is_dir() else file.name
            mode = "x" if os.access(file, os.X_OK) else "-"
            hasher.update(f"{name}\0{mode}\0{file.stat().st_size}\0".encode())
            hasher.update(file.read_bytes())
    for text in extra:
        hasher.update(f"{len(text)}\0{text}".encode())
    return hasher.hexdigest()[:12]


def _is_source(file: Path) -> bool:
    return "__pycache__" not in file.parts and file.suffix != ".pyc"


@contextmanager
def locked(name: str, progress: Progress) -> Iterator[None]:
    """Hold a lock that other processes with the same cache respect; it goes with the process and its commands.

    Raises PreconditionFailed where the cache cannot be written.
    """
    path = cache_dir() / "locks" / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("w")
    except OSError as error:
        raise PreconditionFailed(
            "nothing can be kept here", where=str(cache_dir()), why=error.strerror or str(error), hint=NAME_ANOTHER
        ) from error
    with handle:
        take(handle, f"holds {name!r}", progress)
        _held.append(handle.fileno())
        try:
            yield
        finally:
            _held.remove(handle.fileno())


def take(handle: TextIO, what: str, progress: Progress) -> None:
    """Wait until nobody else has locked a file, and lock it for as long as it is open."""
    if not _taken(handle):
        progress(f"waiting for another harness command that {what}")
        while not _taken(handle):
            stopping.pause()


def _taken(handle: TextIO) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def held() -> tuple[int, ...]:
    """Return the locks' descriptors: a command that inherits them keeps the locks when this process is killed."""
    return tuple(_held)
