"""What looks like a pod to the agent: a process in a network namespace, in a control group of a pod's name."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from pathlib import Path

from harness.agent.resident.processes import freezer
from tests.unit.agent.box import WAIT_SECONDS, removed
from tests.unit.agent.lab import PEER, TARGET, Lab

V1 = Path("/sys/fs/cgroup/freezer")
ROOT = V1 if V1.is_dir() else Path("/sys/fs/cgroup")


class Pod:
    """One pod of one container; without a lab it uses its node's network."""

    def __init__(self, proc: Path, lab: Lab | None = None) -> None:
        self.others: list[subprocess.Popen[bytes]] = []
        self.uid, self.container = str(uuid.uuid4()), uuid.uuid4().hex * 2
        self._proc, self._lab = proc, lab
        self._folder = ROOT / f"kubepods-{self.uid[:8]}"
        self._inner = self._folder / f"pod{self.uid}" / self.container
        self._inner.mkdir(parents=True)
        self.process = self._start(TARGET)

    def nest(self) -> None:
        """Start a process in it that has a network of its own, and a lower number than the first."""
        # Of two that were born in the same tick of the kernel's clock nobody can tell which is older.
        born = int(Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[19])
        while time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK") < born + 1:
            pass
        self.others.append(self._start(PEER, 2))

    def renew(self) -> None:
        """Give it another sandbox, as the kubelet does where one ended: its processes begin anew, in a new network."""
        self._end(self.process)
        self.process = self._start(PEER)

    def stay(self) -> None:
        """Start what stays between two lives of its container, as its sandbox does."""
        made = subprocess.Popen(["sleep", "600"])
        (self._inner.parent / "cgroup.procs").write_text(str(made.pid))
        self.show(made.pid)
        self.others.append(made)

    def leave(self) -> None:
        """End what stays: some runtimes hold a pod's namespaces open without a process."""
        self._end(self.others.pop())

    def revive(self) -> None:
        """Start its container anew, as the kubelet does: by another id, in the pod's own network."""
        self._end(self.process)
        self._inner.rmdir()
        self.container = uuid.uuid4().hex * 2
        self._inner = self._folder / f"pod{self.uid}" / self.container
        self._inner.mkdir()
        self.process = self._start(TARGET)

    def _start(self, side: str, number: int = 0) -> subprocess.Popen[bytes]:
        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(["sleep", "600"])

        made = self._lab.inside(side, start) if self._lab else start()
        self.door.write_text(str(made.pid))
        self.show(made.pid, number)
        return made

    @property
    def door(self) -> Path:
        """Return the file that takes a process into its container."""
        return self._inner / "cgroup.procs"

    def show(self, pid: int, number: int = 0) -> None:
        """Let the agent see a process, on demand by another number, and this one in the place of the node's first."""
        for name, one in (("1", os.getpid()), (str(number or pid), pid)):
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
        for one in (self.process, *self.others):
            self._end(one)
        deadline = time.monotonic() + WAIT_SECONDS
        for folder in (self._inner, self._inner.parent, self._folder):
            while not removed(folder):
                assert time.monotonic() < deadline

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()
        (self._proc / str(process.pid)).unlink(missing_ok=True)
