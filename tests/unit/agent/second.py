"""What control groups of version 2, and processes in them, look like to the agent: files alone."""

from __future__ import annotations

import mmap
from pathlib import Path

from harness.agent.resident.resources.container import Container
from harness.agent.resident.resources.groups import Groups

UID, ID = "0a7c9d52-5a0e-4a53-9a39-2f2f4b3c1d11", "f" * 64
MEBI = 1 << 20
NODE = "kubepods.slice"
POD = f"{NODE}/kubepods-pod{UID.replace('-', '_')}.slice"
OWN = f"{POD}/cri-containerd-{ID}.scope"


class Second:
    """A container of a pod on a node; limits and what is used are in MiB."""

    def __init__(self, root: Path, proc: Path) -> None:
        self.root, self.proc = root / "groups", proc
        (self.root / OWN).mkdir(parents=True)
        (self.root / "cgroup.controllers").touch()
        self.container = Container(UID, ID, 0, -1, Groups(self.root, ID))

    def memory(self, place: str, limit: int | None, used: int) -> None:
        """Say what a group may have of memory, and has."""
        files = {
            "memory.max": "max" if limit is None else str(limit * MEBI),
            "memory.current": str((used + 1) * MEBI),
            "memory.stat": f"anon {used * MEBI}\ninactive_file {MEBI}",
            "memory.events": "oom 2\noom_kill 1",
        }
        for name, text in files.items():
            self.write(place, name, text)

    def write(self, place: str, name: str, text: str) -> None:
        """Write one file of a group."""
        (self.root / place / name).write_text(f"{text}\n")

    def process(self, pid: int, place: str, size: int) -> None:
        """Put a process into a group, of some MiB."""
        folder = self.proc / str(pid)
        folder.mkdir()
        (folder / "cgroup").write_text(f"0::/{place}\n")
        (folder / "statm").write_text(f"9999999 {size * MEBI // mmap.PAGESIZE} 0\n")
        (folder / "oom_score_adj").write_text("0\n")
