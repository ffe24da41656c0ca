"""What looks like a pod with limits to the agent: a process in real control groups of a container's name."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from harness.agent.resident.fault import Fault

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpu", "cpuacct", "memory", "pids", "blkio")
SLEEP = ("sleep", "600")
# Where each limit is written, and in which unit it is given.
FILES = {
    "cpu_quota_us": ("cpu", "cpu.cfs_quota_us"),
    "memory": ("memory", "memory.limit_in_bytes"),
    "pids": ("pids", "pids.max"),
}
WAIT_SECONDS = 30.0


def missing() -> str:
    """Say what this machine lacks for a box; nothing when it has all."""
    if os.geteuid() != 0:
        return "control groups are made by root"
    lacks = [one for one in CONTROLLERS if not os.access(ROOT / one, os.W_OK)]
    return f"no control groups of {', '.join(lacks)} (version 1) can be made here" if lacks else ""


class Box:
    """One pod of one container with limits."""

    def __init__(self, proc: Path, command: tuple[str, ...], limits: dict[str, int]) -> None:
        self.uid, self.container = str(uuid.uuid4()), uuid.uuid4().hex * 2
        self._proc = proc
        self._top = f"kubepods-{self.uid[:8]}"
        for one in CONTROLLERS:
            self.folder(one).mkdir(parents=True)
        for name, value in limits.items():
            controller, file = FILES[name]
            (self.folder(controller) / file).write_text(str(value))
        self.process = subprocess.Popen(
            ["sh", "-c", 'read -r go; exec "$@"', "sh", *(command or SLEEP)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for one in CONTROLLERS:
            (self.folder(one) / "cgroup.procs").write_text(str(self.process.pid))
        self.show(self.process.pid)
        assert self.process.stdin
        # What it allocates counts only from within.
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def folder(self, controller: str) -> Path:
        return ROOT / controller / self._top / f"pod{self.uid}" / self.container

    def read(self, controller: str, file: str) -> int:
        return int((self.folder(controller) / file).read_text())

    def others(self) -> list[int]:
        """List what is in its groups beside its own process."""
        every = {int(pid) for one in CONTROLLERS for pid in (self.folder(one) / "cgroup.procs").read_text().split()}
        return sorted(pid for pid in every - {self.process.pid} if not _ended(pid))

    def show(self, *pids: int) -> None:
        """Let the agent see processes, and this one in the place of the node's first."""
        for name, one in (("1", os.getpid()), *((str(pid), pid) for pid in pids)):
            link = self._proc / name
            if not link.is_symlink():
                link.symlink_to(f"/proc/{one}")

    def fault(self, key: str = "key-1", **effect: object) -> Fault:
        """Order an effect on its resources."""
        told = {"op": "resource", "container": self.container, "effect": effect, "seconds": 60}
        return Fault(key, f"/apis/x/faults/{key}", "run-1", key, self.uid, told)

    def until(self, true: Callable[[], bool]) -> None:
        """Wait for what the kernel does in its own time."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not true():
            assert time.monotonic() < deadline, self.others()

    def begun(self) -> None:
        """Wait until its process says a word."""
        assert self.process.stdout
        assert self.process.stdout.readline()

    def delete(self) -> None:
        """End all that is in it, and take its control groups away."""
        self.process.kill()
        self.process.communicate()
        for pid in self.others():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for one in CONTROLLERS:
            for folder in (self.folder(one), self.folder(one).parent, self.folder(one).parent.parent):
                self.until(lambda folder=folder: removed(folder))


def removed(folder: Path) -> bool:
    """Remove a control group; where a process has not quite ended, its threads or its parent are waited for."""
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def _ended(pid: int) -> bool:
    """Say whether a process has ended, and waits at most for whoever inherited it to take notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
