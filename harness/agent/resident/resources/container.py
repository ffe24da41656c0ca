"""The container that a resource fault is about: its main process, whose end is the fault's, and its control groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.agent.resident.processes import pods
from harness.agent.resident.resources import groups
from harness.agent.resident.resources.groups import Groups


@dataclass(frozen=True, slots=True)
class Container:
    """One container that runs: `handle` becomes readable when its main process ends."""

    pod: str
    id: str
    pid: int
    handle: int
    groups: Groups

    def processes(self) -> Iterator[int]:
        """Go through what runs in it."""
        return pods.inside(self.id)

    def neighbours(self) -> Iterator[int]:
        """Go through what runs in its pod beside it."""
        own = {*self.processes()}
        return (pid for pid in pods.processes(self.pod) if pid not in own)


def find(pod: str, container: str) -> Container:
    """Find a container of a pod; raises Refused where it does not run, is another pod's, or the agent's own."""
    pid, handle = pods.hold(pod, container)
    return Container(pod, container, pid, handle, groups.of(container))
