"""What looks like a pod to the agent: a process in a network namespace, in a control group of a pod's name."""

from __future__ import annotations

import os
import subprocess
import uuid
from pathlib import Path

from harness.agent.resident import freezer
from tests.unit.agent.lab import TARGET, Lab

V1 = Path("/sys/fs/cgroup/freezer")
ROOT = V1 if V1.is_dir() else Path("/sys/fs/cgroup")


class Pod:
    """One pod of one container; without a lab it uses its node's network."""

    def __init__(self, proc: Path, lab: Lab | None = None) -> None:
        self.uid, self.container = str(uuid.uuid4()), uuid.uuid4().hex * 2
        self._proc = proc
        self._folder = ROOT / f"kubepods-{self.uid[:8]}"
        self._inner = self._folder / f"pod{self.uid}" / self.container
        self._inner.mkdir(parents=True)
        enter = ["nsenter", f"--net={lab.path(TARGET)}"] if lab else []
        self.process = subprocess.Popen([*enter, "sleep", "600"])
        (self._inner / "cgroup.procs").write_text(str(self.process.pid))
        self.show(self.process.pid)

    def show(self, pid: int) -> None:
        """Let the agent see a process, and this one in the place of the node's first."""
        for name, one in (("1", os.getpid()), (str(pid), pid)):
            link = self._proc / name
            if not link.is_symlink():
                link.symlink_to(f"/proc/{one}")

    @property
    def stopped(self) -> bool:
        """Say whether the kernel holds its process in the freezer."""
        if ROOT == V1:
            return (self._inner.parent / "freezer.state").read_text().strip() == "FROZEN"
        return "frozen 1" in (self._inner.parent / "cgroup.events").read_text()

    def delete(self) -> None:
        """End it and take its control group away."""
        if not self._folder.is_dir():
            return
        freezer.thaw(self.uid)
        self.process.kill()
        self.process.wait()
        (self._proc / str(self.process.pid)).unlink(missing_ok=True)
        for folder in (self._inner, self._inner.parent, self._folder):
            folder.rmdir()
