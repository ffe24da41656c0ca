"""A cluster, a lease and a child process that a run in progress may hold, each of them as a test wants it."""

from __future__ import annotations

from typing import Any

from harness.errors import AbortTriggered
from harness.model.fault import Hand
from harness.model.plan import PlannedFault, Victim


class Kube:
    """Take every Fault resource and Event, and remember which were struck out."""

    context = "kind-here"
    server = "https://here"
    kubeconfig = None

    def __init__(self) -> None:
        self.deleted: list[str] = []

    async def create(self, path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        return body

    async def patch(self, path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        return body

    async def delete(self, path: str, **_: Any) -> dict[str, Any]:
        self.deleted.append(path.rpartition("/")[2])
        return {}


class Lease:
    """A lease that is held until it is said to be lost."""

    lost = False

    def check(self) -> None:
        if self.lost:
            raise AbortTriggered("the lease lapsed")


class Steps:
    """Answer every foreign activity with one result."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.answer: dict[str, Any] = {"status": "succeeded"}

    async def call(self, activity: dict[str, Any], *, deadline: float, **_: Any) -> dict[str, Any]:
        self.called.append(activity["name"])
        return self.answer


def fault(identity: str, kind: str = "node_cordon", hand: Hand = Hand.API) -> PlannedFault:
    return PlannedFault(identity, kind, "break it", hand, Victim("node", f"node-{identity}", f"uid-{identity}"))
