"""A cluster, a lease and a child process that a run in progress may hold, each of them as a test wants it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.engine.session import Session
from harness.errors import AbortTriggered
from harness.journal import reader
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


class Broken:
    """A fault that notes what is done to it; `does` may replace any of its steps."""

    def __init__(self, **does: Callable[[PlannedFault], Any]) -> None:
        self.seen: list[str] = []
        self.prepare = does.pop("prepare", None)
        self.remains = does.pop("remains", None)
        self.does = does

    def undo(self, fault: PlannedFault, reach: Any) -> list[dict[str, Any]]:
        return []

    async def _step(self, name: str, fault: PlannedFault) -> dict[str, Any]:
        self.seen.append(f"{name} {fault.id}")
        if name in self.does:
            found = self.does[name](fault)
            return await found if hasattr(found, "__await__") else found
        return {"what": name}

    async def inject(self, fault: PlannedFault, reach: Any) -> Any:
        return await self._step("inject", fault)

    async def felt(self, fault: PlannedFault, reach: Any) -> Any:
        return await self._step("felt", fault)

    async def heal(self, fault: PlannedFault, reach: Any) -> None:
        await self._step("heal", fault)

    async def healed(self, fault: PlannedFault, reach: Any) -> Any:
        return await self._step("healed", fault)


def fails(error: Exception) -> Callable[[PlannedFault], Any]:
    def step(_: PlannedFault) -> Any:
        raise error

    return step


def kinds(session: Session) -> list[str]:
    return [event.type for event in reader.read(session.directory)]
