"""Roll out a release that cannot start, for a time: its image cannot be pulled, or its container ends at once.

`fails: image-pull` names an image below `chaos.invalid`, a domain that nobody can have (RFC 2606); `fails: crash-loop`
names a command that is in no image, so that the kubelet starts the container again and again. What was there is
written down before, and comes back only where the template still holds what this fault put there: a release that
somebody rolled out meanwhile stays, and is told of. The bad release goes with the undo, so that no later `kubectl
rollout undo` leads to it. Which pods go is the rollout's decision: at most as many as its `maxUnavailable` lets go,
all of them where it recreates. Felt when the kubelet says of a new pod why it does not start (a pull takes some
seconds to fail); healed when the workload has as many ready pods as before. `progressDeadlineSeconds` only marks a
Deployment as failed: a hold beyond it tries whoever watches for that mark.
"""

from __future__ import annotations

import json
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
from harness.targets import containers, objects, pods, rollout
from harness.targets.objects import expect
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import Pod

IMAGE_PULL, CRASH_LOOP = "image-pull", "crash-loop"
# What a container waits for that is about to start.
STARTING = frozenset({"ContainerCreating", "PodInitializing", ""})


def _bad(fault: PlannedFault) -> tuple[str, Any, str]:
    """Return the field of a container, the value that cannot start, and the part of it that only this fault writes."""
    image = containers.nowhere(fault)
    return ("command", [f"/{image}"], image) if fault.parameters.get("fails") == CRASH_LOOP else ("image", image, image)


def unfit(parameters: Mapping[str, Any], item: Object, victim: Victim) -> Unfit | None:
    """Say that no pod would get another template, or that the undo would start something else."""
    what, why = rollout.amiss(item, victim.container)
    return Unfit(f"{victim.owner} {what}", why, rollout.HINT) if why else None


def most(parameters: Mapping[str, Any], item: Object, there: int) -> int:
    """Count the pods that a rollout lets go before their replacements are ready."""
    return rollout.let_go(item, there)


async def prepare(fault: PlannedFault, reach: Reach) -> Undo:
    """Read what the container's template says now, which is what the undo writes."""
    item = await rollout.read(fault, reach)
    if refused := unfit(fault.parameters, item, fault.victim):
        raise InjectionFailed(refused.what, where=str(fault.victim), why=refused.why, hint=refused.hint)
    await objects.count(fault, reach, lambda there: most(fault.parameters, item, there))
    found = rollout.container(item, fault.victim.container)
    assert found
    (at, container), (field, bad, ours) = found, _bad(fault)
    before = container.get(field)
    reach.note(fault).update(at=at, before=before, ours=ours)
    pointer, namespace = f"{at}/{field}", fault.victim.namespace
    tests = [expect("/metadata/uid", fault.victim.uid), expect(f"{at}/name", container["name"]), expect(pointer, bad)]
    back = {"op": "remove", "path": pointer} if before is None else {"op": "replace", "path": pointer, "value": before}
    undo: Undo = [{"op": "restore", "path": fault.victim.path, "patch": [*tests, back], "ours": ours}]
    swept = {"op": "sweep", "path": rollout.releases(item, namespace), "ours": ours}
    return [*undo, *rollout.hanging(item, namespace, ours), swept]


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Write what cannot start, while the template is as it was written down."""
    note, (field, bad, _) = reach.note(fault), _bad(fault)
    pointer = f"{note['at']}/{field}"
    tests = [expect(f"{note['at']}/name", fault.victim.container), expect(pointer, note["before"])]
    await objects.change(fault, reach, [*tests, {"op": "add", "path": pointer, "value": bad}])
    return {"uid": fault.victim.uid, "container": fault.victim.container, field: bad}


async def felt(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until a pod of the bad release has a reason not to start."""
    ours, name = reach.note(fault)["ours"], fault.victim.container

    async def stuck(found: Objects) -> Facts | None:
        for pod in found.values():
            if ours in json.dumps(pod["spec"]) and (reason := _reason(pod, name)):
                return {"pod": pod["metadata"]["name"], "reason": reason}
        return None

    return await observe.until(reach.kube, paths.pods(fault.victim.namespace), stuck)


def _reason(pod: Pod, name: str) -> str:
    status = pod.get("status", {})
    every = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
    state = next((one.get("state") or {} for one in every if one["name"] == name), {})
    waiting, ended = str(state.get("waiting", {}).get("reason", "")), state.get("terminated", {})
    return "" if waiting in STARTING and not ended else waiting or str(ended.get("reason", "ended"))


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the workload has as many ready pods as before, or as it wants now if that is less."""
    return await pods.complete(reach, reach.note(fault)["loss"])


FAULT = FaultKind(
    name="workload_bad_rollout",
    hand=Hand.API,
    target="workload",
    summary="Roll out a release that cannot start, its image or its command being wrong, and take it back.",
    evidence="the kubelet says of a pod of the bad release why it does not start",
    healed_when="the workload has as many ready pods as before, or as it wants now if somebody else set that",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.CAPACITY}),
    parameters=(
        Parameter(
            "fails",
            Type.TEXT,
            "What it fails at: image-pull or crash-loop.",
            default=IMAGE_PULL,
            choices=(IMAGE_PULL, CRASH_LOOP),
        ),
    ),
    rights=(
        {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets", "daemonsets"], "verbs": ["get", "patch"]},
        {"apiGroups": ["apps"], "resources": ["replicasets", "controllerrevisions"], "verbs": ["list", "delete"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "delete"]},
    ),
    beside=({"apiGroups": ["argoproj.io"], "resources": ["rollouts"], "verbs": ["get", "patch"]},),
    container=True,
    inside=containers.one_named,
    reaches=objects.every,
    spends=True,
    unfit=unfit,
    most=most,
    prepare=prepare,
    undo=recorded,
    inject=inject,
    felt=felt,
    heal=as_recorded,
    healed=healed,
)
