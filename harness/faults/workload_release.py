"""Start a release, whatever becomes of it, and take it back: another template, by an image, environment, or neither.

A release without both differs in nothing but an annotation of its pods, as by `kubectl rollout restart`: a good one.
The Argo Rollouts controller takes a Rollout through its steps, a Deployment rolls over to it at once; who judges it is
no business of this fault, the objective `canary` is. The template that was there is written down before and comes back
only where it still is as this fault left it. A Rollout gets back to its last release from wherever the new one is. From
one that is promoted that is a release of its own, whose steps `rollbackWindow` skips: where it would wait for a person
the fault is refused, and where pods of the release are still there when the run ends, that is DIRTY. Its ReplicaSet
stays, without pods, until the next one. Felt when a pod of the release is ready (about ten seconds where images are
there); healed when no pod of it is left and the workload has as many ready pods as before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from harness.cluster import observe, paths
from harness.cluster.observe import Objects
from harness.errors import InjectionFailed
from harness.faults.kind import FaultKind, Object, Unfit, as_recorded, recorded
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Target, Undo
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault, Victim
from harness.targets import containers, objects, pods, rollout, way_back
from harness.targets.objects import expect
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import is_going, is_ready

RELEASE = "chaos.harness.dev/release"
SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)


def clash(target: Target, parameters: Mapping[str, Any]) -> tuple[str, Unfit] | None:
    """Say which setting is none."""
    other = next((one for one in parameters.get("env") or () if not SETTING.fullmatch(one)), None)
    return None if other is None else ("env", Unfit(f"{other!r} is no setting", "one is NAME=value"))


def unfit(parameters: Mapping[str, Any], item: Object, victim: Victim) -> Unfit | None:
    """Say that no pod would get another template, or that it could not be taken back."""
    what, why = rollout.amiss(item, victim.container)
    if not why and (why := way_back.waits(item)):
        return Unfit(f"{victim.owner} {way_back.STUCK}", why, way_back.HINT)
    return Unfit(f"{victim.owner} {what}", why, rollout.HINT) if why else None


def most(parameters: Mapping[str, Any], item: Object, there: int) -> int:
    """Count every pod: a release that is promoted replaces them all."""
    return there


async def prepare(fault: PlannedFault, reach: Reach) -> Undo:
    """Read what the template says now, which is what the undo writes."""
    item = await rollout.read(fault, reach)
    if found := unfit(fault.parameters, item, fault.victim):
        raise InjectionFailed(found.what, where=str(fault.victim), why=found.why, hint=found.hint)
    await way_back.clear(fault, reach, item, RELEASE)
    await objects.count(fault, reach, lambda there: most(fault.parameters, item, there))
    changes = rollout.changes(item, fault.victim.container, {RELEASE: _ours(fault)}, fault.parameters)
    reach.note(fault)["changes"] = [*rollout.holder(item), *changes]
    patch = [expect("/metadata/uid", fault.victim.uid), *rollout.back(changes)]
    undo: Undo = [{"op": "restore", "path": fault.victim.path, "patch": patch, "ours": _ours(fault)}]
    return [*undo, *rollout.hanging(item, fault.victim.namespace, f'"{_ours(fault)}"')]


def _ours(fault: PlannedFault) -> str:
    return f"release-{fault.id}"


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Write the new template, while the old one is as it was written down."""
    await objects.change(fault, reach, rollout.forth(reach.note(fault)["changes"]))
    told = {key: fault.parameters[key] for key in ("image", "env") if fault.parameters.get(key)}
    return {"uid": fault.victim.uid, "container": fault.victim.container, **told}


def _of_release(fault: PlannedFault, found: Iterable[Object]) -> list[Object]:
    """Keep the pods of the release that are there to stay."""
    marked = [pod for pod in found if (pod["metadata"].get("annotations") or {}).get(RELEASE) == _ours(fault)]
    return [pod for pod in marked if not is_going(pod)]


async def felt(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until a pod of the release is ready."""

    async def serving(found: Objects) -> Facts | None:
        ready = sorted(pod["metadata"]["name"] for pod in _of_release(fault, found.values()) if is_ready(pod))
        return {"pod": ready[0]} if ready else None

    return await observe.until(reach.kube, paths.pods(fault.victim.namespace), serving)


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the workload is complete, and no pod of the release is left."""
    back = await pods.complete(reach, reach.note(fault)["loss"])
    if reach.note(fault).get("left"):
        return {**back, "release": "left as somebody else has it"}

    async def gone(found: Objects) -> Facts | None:
        return None if _of_release(fault, found.values()) else back

    return await observe.until(reach.kube, paths.pods(fault.victim.namespace), gone)


async def remains(fault: PlannedFault, reach: Reach) -> str:
    """Name the pods of the release that are still there."""
    there = _of_release(fault, await reach.kube.list(paths.pods(fault.victim.namespace)))
    left = [] if reach.note(fault).get("left") else sorted(pod["metadata"]["name"] for pod in there)
    return f"its way back is not over, these pods of it are still there: {', '.join(left)}" if left else ""


FAULT = FaultKind(
    name="workload_release",
    hand=Hand.API,
    target="workload",
    summary="Start a release with another image, other environment or nothing new, and take it back.",
    evidence="a pod of the release is ready",
    healed_when="no pod of the release is left, and the workload has as many ready pods as before",
    disturbs=frozenset({Disturbance.RELEASE, Disturbance.SERVING}),
    parameters=(
        Parameter("image", Type.TEXT, "The image of the container; left out it stays."),
        Parameter("env", Type.NAMES, "Environment of the container, each NAME=value; the rest stays."),
    ),
    rights=(
        {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets", "daemonsets"], "verbs": ["get", "patch"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "delete"]},
    ),
    beside=(
        {"apiGroups": ["argoproj.io"], "resources": ["rollouts"], "verbs": ["get", "patch"]},
        {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["list", "delete"]},
    ),
    container=True,
    inside=containers.one_named,
    reaches=objects.every,
    spends=True,
    clash=clash,
    unfit=unfit,
    most=most,
    prepare=prepare,
    undo=recorded,
    inject=inject,
    felt=felt,
    heal=as_recorded,
    healed=healed,
    remains=remains,
)
