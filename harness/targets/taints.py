"""A taint of a fault's own on a node: its key, who has to leave for it, and whether the node shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.cluster import observe, paths
from harness.cluster.observe import Objects
from harness.errors import ApiError, InjectionFailed
from harness.hands.api import undoing
from harness.model.plan import PlannedFault
from harness.targets import nodes
from harness.targets.objects import expect
from harness.targets.reach import Facts, Reach

NO_SCHEDULE, NO_EXECUTE = "NoSchedule", "NoExecute"
# What Kubernetes takes behind the slash of a key.
LONGEST = 63


def key(name: str) -> str:
    """Return the key of the taint of a fault by that name, which ends with what tells it apart."""
    return f"chaos.harness.dev/{name[-LONGEST:].lstrip('-.')}"


def leaves(pod: Mapping[str, Any]) -> bool:
    """Say whether a pod has to leave for a key that nobody knows; one that tolerates it for a time leaves later."""
    return not any(_every_key(one) for one in pod["spec"].get("tolerations") or [])


def _every_key(toleration: Mapping[str, Any]) -> bool:
    every = not toleration.get("key") and toleration.get("operator") == "Exists"
    return every and toleration.get("effect") in (None, "", NO_EXECUTE) and toleration.get("tolerationSeconds") is None


async def put(fault: PlannedFault, reach: Reach, taint: Mapping[str, str]) -> None:
    """Add a taint to those that the fault's node has, after the guard; raises InjectionFailed."""
    path = paths.nodes(fault.victim.name)
    for _ in range(undoing.TRIES):
        node = await nodes.read(reach.kube, fault)
        same, version = (expect(f"/metadata/{name}", node["metadata"][name]) for name in ("uid", "resourceVersion"))
        add = {"op": "add", "path": "/spec/taints/-", "value": taint}
        first = {"op": "add", "path": "/spec/taints", "value": [taint]}
        await reach.guard()
        try:
            await reach.kube.patch(path, [same, add] if node["spec"].get("taints") else [version, first], kind="json")
            return
        except ApiError as error:
            # A kubelet's status update in between is read again.
            if error.status not in undoing.CHANGED:
                raise
    raise InjectionFailed("the node changes too fast to be tainted safely", where=fault.victim.name)


async def shown(fault: PlannedFault, reach: Reach, named: str, *, want: bool) -> Facts:
    """Wait until the fault's node shows the taint with this key, or shows it no more."""

    async def judge(found: Objects) -> Facts | None:
        for node in found.values():
            there = any(one["key"] == named for one in node["spec"].get("taints") or [])
            return {"tainted": want} if there is want else None
        return {"node": "gone"}

    return await observe.until(reach.kube, paths.nodes(), judge, fields=f"metadata.name={fault.victim.name}")
