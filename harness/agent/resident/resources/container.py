"""The container that a resource fault is about: its main process, whose end is the fault's, and its control groups."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from harness.agent.resident import pods
from harness.agent.resident.refused import Refused
from harness.agent.resident.resources import groups
from harness.agent.resident.resources.groups import Groups


@dataclass(frozen=True, slots=True)
class Container:
    """One container that runs: `handle` becomes readable when its main process ends."""

    id: str
    pid: int
    handle: int
    groups: Groups

    def processes(self) -> Iterator[int]:
        """Go through what runs in it."""
        return pods.inside(self.id)


def find(pod: str, container: str) -> Container:
    """Find a container of a pod; raises Refused where it does not run, or is another pod's."""
    pid = pods.main_process(container)
    try:
        handle = os.pidfd_open(pid)
    except OSError as error:
        raise Refused("the container has ended", os.strerror(error.errno or 0)) from None
    # A process id may have gone to somebody else before it was held.
    if pid not in pods.processes(pod) or pid != pods.main_process(container):
        os.close(handle)
        raise Refused("the container is not of the pod", pod)
    return Container(container, pid, handle, groups.of(container))
