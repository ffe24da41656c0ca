"""Say what each process of this machine has computed, and which part of the whole it belongs to.

The nodes are containers, so that their processes, and those of their pods, stand in this machine's /proc; the cgroup
path of a pod's process holds the pod's UID. A process that came and went between two looks is in its parent's sum of
children.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
KUBERNETES, STACK, KEEPER, DOCKER, LOAD, HARNESS, OTHERS = (
    *("Kubernetes", "stack", "keeper", "Docker", "load", "harness", "others"),
)
# A pod's UID in a cgroup path; systemd's driver writes it with underscores.
POD = re.compile(r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})")
ENGINE = ("dockerd", "containerd", "containerd-shim", "docker-proxy", "runc")


@dataclass(frozen=True, slots=True)
class Process:
    """One process as /proc shows it: seconds of CPU since its start, of its own and of children that it has buried."""

    pid: int
    parent: int
    name: str
    group: str
    own: float
    buried: float
    born: int


@dataclass(frozen=True, slots=True)
class Look:
    """All processes at one moment, and the machine's own sums in seconds of CPU."""

    processes: Mapping[int, Process]
    idle: float
    stolen: float
    total: float


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose a process is: pods by UID (namespace and workload), containers by id, process ids of this command's own."""

    pods: Mapping[str, tuple[str, str]]
    nodes: Mapping[str, str]
    keepers: frozenset[str]
    load: frozenset[int]
    harness: frozenset[int]
    stack_namespaces: frozenset[str]

    def of(self, process: Process) -> tuple[str, str]:
        """Return a process's part, and what in it."""
        if process.pid in self.load:
            return LOAD, "load generator"
        if process.pid in self.harness:
            return HARNESS, process.name
        if pod := POD.search(process.group):
            namespace, workload = self.pods.get(pod[1].replace("_", "-"), ("", "pods that have gone"))
            return (STACK if namespace in self.stack_namespaces else KUBERNETES), workload
        container = next((found for found in re.findall(r"[0-9a-f]{64}", process.group)), "")
        if container in self.keepers:
            return KEEPER, process.name
        if container in self.nodes:
            return KUBERNETES, process.name
        return (DOCKER if process.name.startswith(ENGINE) else OTHERS), process.name


def look() -> Look:
    """Read every process and the machine."""
    with Path("/proc/stat").open() as file:
        user, nice, system, idle, waiting, hard, soft, stolen = map(float, file.readline().split()[1:9])
    total = user + nice + system + idle + waiting + hard + soft + stolen
    return Look({one.pid: one for one in _all()}, (idle + waiting) / TICKS, stolen / TICKS, total / TICKS)


def _all() -> Iterator[Process]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text, group = (folder / "stat").read_text(), (folder / "cgroup").read_text()
            except OSError:
                continue
            name, _, rest = text.partition("(")[2].rpartition(")")
            words = rest.split()
            own, buried = int(words[11]) + int(words[12]), int(words[13]) + int(words[14])
            yield Process(int(folder.name), int(words[1]), name, group, own / TICKS, buried / TICKS, int(words[19]))


def spent(before: Look, after: Look, owners: Owners) -> dict[tuple[str, str, str], float]:
    """Return the seconds of CPU between two looks by part, what in it, and process name."""
    sums: dict[tuple[str, str, str], float] = {}

    def add(process: Process, seconds: float) -> None:
        key = (*owners.of(process), process.name)
        sums[key] = sums.get(key, 0.0) + seconds

    for pid, now in after.processes.items():
        was = before.processes.get(pid)
        if was is None or was.born != now.born:
            add(now, now.own + now.buried)
        else:
            add(now, now.own - was.own + now.buried - was.buried)
    for pid, gone in before.processes.items():
        if pid in after.processes and after.processes[pid].born == gone.born:
            continue
        heir = gone.parent
        while heir in before.processes and heir not in after.processes:
            heir = before.processes[heir].parent
        # What it had computed before the first look has now moved to whoever buried it.
        if heir in after.processes:
            add(after.processes[heir], -(gone.own + gone.buried))
    return {key: seconds for key, seconds in sums.items() if seconds > 0}
