"""A keeper that writes down what it is asked to do, and does nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Keeper:
    """A healer of the host hand; every container is at `addresses`."""

    heals = own = True

    def __init__(self) -> None:
        self.done: list[dict[str, Any]] = []
        self.healed: list[str] = []
        self.addresses = ["198.51.100.7"]

    async def apply(self, fault_id: str, ops: Sequence[dict[str, Any]]) -> dict[str, Any]:
        self.done += ops
        return {"results": [{} for _ in ops]}

    async def inspect(self, container: str) -> dict[str, Any]:
        return {"running": True, "paused": False, "addresses": self.addresses}

    async def heal(self, fault_id: str) -> None:
        self.healed.append(fault_id)
