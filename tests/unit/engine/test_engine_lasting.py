"""A fault that would lose a pod for good is refused before anything is touched."""

from __future__ import annotations

from typing import Any

import pytest

from harness.engine import lasting
from harness.errors import UsageError
from harness.model.fault import Hand
from harness.model.plan import PlannedFault, Victim

pytestmark = pytest.mark.anyio
POD = Victim("pod", "web-1", "uid-1", "shop", "worker", container="web")
NODE = Victim("node", "worker", "uid-n", node="worker")


class Cluster:
    """One pod that no controller owns; or none."""

    def __init__(self, *, there: bool = True) -> None:
        self.there = there

    async def list(self, path: str) -> list[dict[str, Any]]:
        assert path.endswith("/namespaces/shop/pods")
        metadata = {"name": "web-1", "namespace": "shop", "uid": "uid-1"}
        return [{"metadata": metadata, "spec": {"containers": [{"name": "web"}]}}] if self.there else []


def fault(kind: str) -> PlannedFault:
    if kind.startswith("node"):
        return PlannedFault("f", kind, "break it", Hand.API, NODE, takes=(POD,))
    return PlannedFault("f", kind, "break it", Hand.API, POD)


@pytest.mark.parametrize("kind", ["pod_kill", "pod_evict", "node_drain"])
async def test_a_pod_that_would_be_lost_is_refused_by_name(kind: str) -> None:
    with pytest.raises(UsageError, match="nothing would replace this pod") as refused:
        await lasting.require(Cluster(), [fault(kind)])  # type: ignore[arg-type]
    assert (refused.value.where, refused.value.why) == (f"{kind} on shop/web-1", "no controller owns it")


@pytest.mark.case(13, "a pod that nobody replaces, and a fault that leaves it", "allowed: nothing is lost")
@pytest.mark.parametrize("kind", ["pod_freeze", "container_kill", "node_cordon", "node_freeze", "node_stop"])
async def test_a_pod_that_stays_is_not_refused(kind: str) -> None:
    await lasting.require(Cluster(), [fault(kind)])  # type: ignore[arg-type]


async def test_a_pod_that_went_since_is_told_of_by_its_fault() -> None:
    await lasting.require(Cluster(there=False), [fault("pod_kill")])  # type: ignore[arg-type]
