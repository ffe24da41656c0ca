"""Which Services pick a pod, by which labels, and which of them send it requests now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.cluster import paths
from harness.model.plan import PlannedFault
from harness.targets.pods import selects
from harness.targets.reach import Reach

OF_SERVICE = "kubernetes.io/service-name"


async def of(reach: Reach, pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """List the Services whose selector picks a pod."""
    labels = pod["metadata"].get("labels") or {}
    every = await reach.kube.list(paths.core(pod["metadata"]["namespace"], "services"))
    chosen = ((item, item.get("spec", {}).get("selector")) for item in every)
    return [item for item, selector in chosen if selector and selects({"matchLabels": selector}, labels)]


async def keys(reach: Reach, pod: Mapping[str, Any], services: Sequence[Mapping[str, Any]]) -> list[str]:
    """Choose labels without which none of these Services picks a pod, by which its controller does not know it.

    Where a Service has no such label, the controller loses the pod, too.
    """
    chain = await reach.owners.chain(pod)
    owner = await reach.owners.read(chain[0]) if chain else None
    selector = (owner or {}).get("spec", {}).get("selector") or {}
    own = {*(selector.get("matchLabels") or selector)} | {one["key"] for one in selector.get("matchExpressions") or []}
    chosen: list[str] = []
    for service in services:
        names = sorted(service["spec"]["selector"], key=lambda name: (name in own, name))
        if not set(names) & set(chosen):
            chosen.append(names[0])
    return chosen


async def sending(fault: PlannedFault, reach: Reach) -> set[str]:
    """Name the Services that send the fault's pod requests now."""
    return await _having(fault, reach, lambda endpoint: _ready(endpoint, fault.victim.uid))


async def served(fault: PlannedFault, reach: Reach) -> set[str]:
    """Name the Services of the fault's namespace that anything serves, be it a pod that was told to go."""
    return await _having(fault, reach, _serves)


async def _having(fault: PlannedFault, reach: Reach, meant: Callable[[Mapping[str, Any]], bool]) -> set[str]:
    slices = await reach.kube.list(f"/apis/discovery.k8s.io/v1/namespaces/{fault.victim.namespace}/endpointslices")
    return {
        str((item["metadata"].get("labels") or {}).get(OF_SERVICE))
        for item in slices
        if any(meant(one) for one in item.get("endpoints") or [])
    }


def _ready(endpoint: Mapping[str, Any], uid: str) -> bool:
    about, conditions = endpoint.get("targetRef") or {}, endpoint.get("conditions") or {}
    # Left out, it means yes.
    return about.get("uid") == uid and conditions.get("ready") is not False


def _serves(endpoint: Mapping[str, Any]) -> bool:
    conditions = endpoint.get("conditions") or {}
    # Left out, it is as ready says.
    return conditions.get("serving", conditions.get("ready")) is not False
