"""Set a workload's replicas through its `scale` to none, or to the share `keep` of them, for a time.

Anything that has a `scale` can be the target. How many there were is written down before and set again afterwards, but
only while there are as many as this fault set: of what an autoscaler or a person set meanwhile the undo keeps off, and
says so. A StatefulSet whose claims would be deleted with its pods is refused. A HorizontalPodAutoscaler leaves a
workload without replicas alone; with `keep` it may bring them back, which is an answer. Felt when no more pods than
that are there that were not told to go (about a second); healed when as many are ready as before, or as the workload
wants now if that is less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from harness.cluster import observe, paths
from harness.cluster.observe import Objects
from harness.errors import InjectionFailed
from harness.faults.kind import FaultKind, Object, Unfit, as_recorded, recorded
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Undo
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault, Victim
from harness.targets import objects, pods
from harness.targets.objects import expect
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import is_done, is_going

SCALE = "/scale"


def _replicas(scale: Object) -> int:
    # A zero is left out.
    return int(scale.get("spec", {}).get("replicas") or 0)


def _kept(parameters: Mapping[str, Any], before: int) -> int:
    return math.floor(before * float(parameters.get("keep") or 0) + 1e-9)


def _set(count: int) -> Mapping[str, int]:
    return {"replicas": count} if count else {}


def unfit(parameters: Mapping[str, Any], scale: Object, victim: Victim) -> Unfit | None:
    """Say that nothing would go, or that more would go than comes back."""
    claims = (scale.get("of") or {}).get("spec", {}).get("persistentVolumeClaimRetentionPolicy") or {}
    if claims.get("whenScaled") == "Delete":
        why = "its persistentVolumeClaimRetentionPolicy deletes claims when it is scaled"
        return Unfit(f"{victim.owner} would lose what its pods keep", why, "whenScaled: Retain")
    before = _replicas(scale)
    if _kept(parameters, before) < before:
        return None
    return Unfit(f"{victim.owner} has no replica that would go", f"it wants {before} of them")


def most(parameters: Mapping[str, Any], scale: Object, there: int) -> int:
    """Count the pods that would go: all but those that are kept."""
    return max(there - _kept(parameters, _replicas(scale)), 0)


async def prepare(fault: PlannedFault, reach: Reach) -> Undo:
    """Read how many replicas there are, which is what the undo sets."""
    scale = await objects.read(reach.kube, fault, SCALE)
    before = _replicas(scale)
    kept = _kept(fault.parameters, before)
    whole = await objects.read(reach.kube, fault)
    if found := unfit(fault.parameters, {**scale, "of": whole}, fault.victim):
        raise InjectionFailed(found.what, where=str(fault.victim), why=found.why, hint=found.hint)
    await objects.count(fault, reach, lambda there: most(fault.parameters, scale, there))
    reach.note(fault).update(replicas=before, kept=kept)
    tests = [expect("/metadata/uid", fault.victim.uid), expect("/spec", _set(kept))]
    back = {"op": "add", "path": "/spec/replicas", "value": before}
    return [{"op": "restore", "path": fault.victim.path + SCALE, "patch": [*tests, back]}]


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Set the replicas, while there are as many as were written down."""
    note = reach.note(fault)
    less = {"op": "add", "path": "/spec/replicas", "value": note["kept"]}
    await objects.change(fault, reach, [expect("/spec", _set(note["replicas"])), less], SCALE)
    return {"uid": fault.victim.uid, "replicas": note["replicas"], "kept": note["kept"]}


async def felt(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until no more pods are there than were left."""
    note, workload = reach.note(fault), objects.workload(fault.victim)

    async def few(found: Objects) -> Facts | None:
        own = await reach.owners.own(found.values(), workload)
        there = sum(not is_going(pod) and not is_done(pod) for pod in own)
        return {"pods": there, "before": note["replicas"]} if there <= note["kept"] else None

    return await observe.until(reach.kube, paths.pods(fault.victim.namespace), few)


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the workload has as many ready pods as before, or as it wants now if that is less."""
    return await pods.complete(reach, reach.note(fault)["loss"])


FAULT = FaultKind(
    name="workload_scale",
    hand=Hand.API,
    target="workload",
    summary="Scale workloads down to none, or to a share of their replicas, and back.",
    evidence="no more pods of the workload are there than were left to it",
    healed_when="the workload has as many ready pods as before, or as it wants now if somebody else set that",
    disturbs=frozenset({Disturbance.SERVING}),
    parameters=(
        Parameter("keep", Type.RATIO, "The share of its replicas that stays, rounded down.", default=0.0, maximum=0.99),
    ),
    rights=(
        {
            "apiGroups": ["apps"],
            "resources": ["deployments/scale", "statefulsets/scale"],
            "verbs": ["get", "patch"],
        },
    ),
    beside=(
        {"apiGroups": ["apps"], "resources": ["replicasets/scale"], "verbs": ["get", "patch"]},
        {"apiGroups": [""], "resources": ["replicationcontrollers/scale"], "verbs": ["get", "patch"]},
        {"apiGroups": ["argoproj.io"], "resources": ["rollouts/scale"], "verbs": ["get", "patch"]},
    ),
    reaches=objects.every,
    spends=True,
    part=SCALE,
    unfit=unfit,
    most=most,
    prepare=prepare,
    undo=recorded,
    inject=inject,
    felt=felt,
    heal=as_recorded,
    healed=healed,
)
