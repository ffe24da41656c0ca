"""Keep one pod dead for a time, where it is: a container of it ends and cannot be started until the undo.

The image of a running pod's container may be changed; the kubelet then ends the container in good order and starts it
anew from the other image. This fault names one below `chaos.invalid`, a domain that nobody can have (RFC 2606), so that
nothing is started. The pod keeps its name, its node and its address; whoever keeps it still counts it and makes no
other, and no disruption budget is asked. What the image was is written down before, and comes back only where it is
still the one that this fault named. A pod that somebody deletes meanwhile is healed by the one in its place. Without
`container` it is the pod's default one, and the others run on.

Felt when the container runs no more and the pod is not Ready (after its own grace at the most). Healed when it runs and
the pod is Ready again, or its workload has as many ready pods as before without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.cluster.observe import Objects
from harness.errors import InjectionFailed
from harness.faults.kind import FaultKind, Object, Unfit, as_recorded, recorded
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Undo
from harness.model.plan import PlannedFault, Victim
from harness.targets import containers, objects, pods
from harness.targets.objects import expect
from harness.targets.pods import Fate
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import Pod, is_ready, is_static

SPEC = "/spec/containers"


def fate(fault: PlannedFault, pod: Pod) -> Fate:
    """Say whether the container would start again; asked to end, it may do so with 0."""
    return pods.ending(pod, [fault.victim.container], failed=False)


def unfit(parameters: Mapping[str, Any], item: Object, victim: Victim) -> Unfit | None:
    """Say that the kubelet would not heed the change."""
    if is_static(item):
        return Unfit(f"pod {victim} cannot be changed", pods.MIRRORED)
    if victim.container not in [one["name"] for one in item["spec"]["containers"]]:
        return Unfit(f"container {victim.container} cannot be changed", "it is no ordinary one", "container: another")
    return None


async def prepare(fault: PlannedFault, reach: Reach) -> Undo:
    """Read what the container's image is, which is what the undo sets."""
    pod, name = await pods.prepare(fault, reach, fate), fault.victim.container
    if found := unfit(fault.parameters, pod, fault.victim):
        raise InjectionFailed(found.what, where=str(fault.victim), why=found.why, hint=found.hint)
    containers.running(pod, name)
    place = next(number for number, one in enumerate(pod["spec"]["containers"]) if one["name"] == name)
    at, before = f"{SPEC}/{place}", pod["spec"]["containers"][place]["image"]
    reach.note(fault).update(at=at, image=before)
    tests = [expect("/metadata/uid", fault.victim.uid), expect(f"{at}/name", name)]
    ours = expect(f"{at}/image", containers.nowhere(fault))
    back = {"op": "replace", "path": f"{at}/image", "value": before}
    return [{"op": "restore", "path": objects.place(fault.victim), "patch": [*tests, ours, back]}]


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Name the other image, while the container has the one that was written down."""
    note, name, other = reach.note(fault), fault.victim.container, containers.nowhere(fault)
    tests = [expect(f"{note['at']}/name", name), expect(f"{note['at']}/image", note["image"])]
    change = {"op": "replace", "path": f"{note['at']}/image", "value": other}
    await objects.change(fault, reach, [*tests, change])
    return {"uid": fault.victim.uid, "container": name, "image": other}


def _state(fault: PlannedFault, pod: Pod) -> Mapping[str, Any]:
    return containers.status(pod, fault.victim.container).get("state") or {}


async def felt(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the container runs no more, and the pod is not Ready."""

    async def dead(found: Objects) -> Facts | None:
        pod = pods.present(found, fault, "it was seen dead")
        state = _state(fault, pod)
        if not state or "running" in state or is_ready(pod):
            return None
        return {"state": next(iter(state)), "reason": str(next(iter(state.values())).get("reason", ""))}

    return await pods.until(fault, reach, dead)


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the container runs and the pod is Ready, or its workload is complete without it."""

    def again(pod: Pod) -> Facts | None:
        return {"ready": True} if "running" in _state(fault, pod) and is_ready(pod) else None

    return await pods.whole(fault, reach, again)


FAULT = FaultKind(
    name="pod_failure",
    hand=Hand.API,
    target="pod",
    summary="Keep pods dead where they are: one container ends, the default one when none is named, and cannot start.",
    evidence="the container does not run and the pod is not ready",
    healed_when="the pod is ready again, or its workload is complete without it",
    disturbs=frozenset({Disturbance.SERVING}),
    rights=({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "patch"]},),
    container=True,
    inside=containers.one_named,
    fate=fate,
    unfit=unfit,
    prepare=prepare,
    undo=recorded,
    inject=inject,
    felt=felt,
    heal=as_recorded,
    healed=healed,
)
