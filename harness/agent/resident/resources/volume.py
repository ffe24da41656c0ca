"""A volume as its container sees it: opened without following links, and known to be a file system of its own."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from harness.agent.resident.processes import pods
from harness.agent.resident.refused import Refused

# Where kubelets mount volumes, and what several pods of a node share of one.
_KUBELETS = re.compile(r"/pods/[0-9a-f-]{36}/volume(s|-subpaths)/|/plugins/kubernetes\.io/")
_TMPFS = "tmpfs"


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume: a handle of its folder, and the kind of its file system."""

    handle: int
    kind: str

    @property
    def in_memory(self) -> bool:
        """Say whether what is written there is memory of whoever writes it."""
        return self.kind == _TMPFS

    def room(self) -> tuple[int, int]:
        """Return how many bytes are used, and how many may be, without what is kept for root alone."""
        found = os.fstatvfs(self.handle)
        used = found.f_blocks - found.f_bfree
        return used * found.f_frsize, (used + found.f_bavail) * found.f_frsize

    def file(self) -> int:
        """Open a file there that has no name: it goes with the last process that holds it, whatever happens.

        Raises Refused where none can be made.
        """
        try:
            return os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600, dir_fd=self.handle)
        except OSError as error:
            raise Refused("no file can be made in the volume", os.strerror(error.errno or 0)) from None


def find(pid: int, path: str, *, on_disk: bool = False) -> Volume:
    """Open the folder that a process has at a path.

    Raises Refused where it is not there, or is of a file system that the node has elsewhere, too: its own disk. With
    `on_disk` that is allowed where the folder is a volume, and one in memory is refused.
    """
    handle = _open(pid, path)
    device = os.fstat(handle).st_dev
    try:
        return Volume(handle, (on_disk and _of_kubelet(pid, path)) or _own(device, path))
    except Refused:
        os.close(handle)
        raise


def _open(pid: int, path: str) -> int:
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        at = os.open(pods.PROC / str(pid) / "root", flags)
        for name in [*(one for one in path.split("/") if one), "."]:
            # A link could lead out of the container.
            last = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC if name == "." else flags | os.O_NOFOLLOW
            inner = os.open(name, last, dir_fd=at)
            os.close(at)
            at = inner
    except OSError as error:
        raise Refused(f"the container's {path} cannot be opened", os.strerror(error.errno or 0)) from None
    return at


def _of_kubelet(pid: int, path: str) -> str:
    """Return the kind of the file system of a kubelet's volume on a disk, empty for none; raises Refused for memory."""
    for line in (pods.PROC / str(pid) / "mountinfo").read_text().splitlines():
        mount, _, source = line.partition(" - ")
        words, kind = mount.split(), source.split()[0]
        if words[4] != "/" + path.strip("/"):
            continue
        if kind == _TMPFS:
            raise Refused(f"{path} is memory", "nothing there waits for a disk")
        if _KUBELETS.search(words[3]):
            return kind
    return ""


def _own(device: int, path: str) -> str:
    """Return the kind of a file system that the node has nowhere but as a volume; raises Refused.

    One in memory that is not limited in size is none: it is the node's memory.
    """
    wanted = f"{os.major(device)}:{os.minor(device)}"
    places: list[str] = []
    kind, options = "", ""
    for line in (pods.PROC / "1/mountinfo").read_text().splitlines():
        mount, _, source = line.partition(" - ")
        words = mount.split()
        if words[2] == wanted:
            places.append(words[4])
            kind, options = source.split()[0], source.split()[-1]
    elsewhere = [one for one in places if not _KUBELETS.search(one)]
    if elsewhere or not places:
        raise Refused(f"{path} is no file system of its own", f"the node has it at {(elsewhere or ['no place'])[0]}")
    # The kernel says no size of one that may take half of the machine.
    if kind == _TMPFS and not any(one.startswith("size=") for one in options.split(",")):
        raise Refused(f"{path} is in memory and not limited in size", "its node's memory would be taken")
    return kind
