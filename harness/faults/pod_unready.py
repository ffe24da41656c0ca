"""Take one pod out of rotation for a time, its containers untouched: it runs on, and no Service sends it requests.

Kubernetes offers nobody but the kubelet a say in a running pod's readiness (it writes over a changed condition, and
readiness gates are given at birth), so this takes away a label by which its Services pick it: for whoever calls, that
is what an unready pod is. Where there is one, it is a label that the pod's controller does not pick it by. Otherwise
the controller loses the pod as well, and makes another: that is part of the answer, and of the undo, after which it
has one too many and lets one go, mostly the younger. Felt when the EndpointSlices of its Services are without it
(about a second), healed when they have it again, or when it is gone, and its workload has as many ready pods as
before.
"""

from __future__ import annotations

from typing import Any

import anyio

from harness.cluster import observe
from harness.errors import InjectionFailed
from harness.faults.kind import FaultKind, as_recorded, recorded, stays
from harness.hands.api import undoing
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Undo
from harness.model.plan import PlannedFault
from harness.targets import objects, pods, services
from harness.targets.objects import expect
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import is_going

PAUSE_SECONDS = 0.25
LABELS = "/metadata/labels"


async def prepare(fault: PlannedFault, reach: Reach) -> Undo:
    """Choose the labels, and read what they say."""
    pod = await pods.prepare(fault, reach, stays)
    sending = await services.of(reach, pod)
    if not sending:
        why = "no Service picks it, so nobody would notice"
        raise InjectionFailed("this pod is in no rotation", where=str(fault.victim), why=why)
    labels = {name: pod["metadata"]["labels"][name] for name in await services.keys(reach, pod, sending)}
    reach.note(fault).update(labels=labels, services=[item["metadata"]["name"] for item in sending])
    return [_back(fault, name, value) for name, value in labels.items()]


def _back(fault: PlannedFault, name: str, value: str) -> dict[str, Any]:
    same, at = expect("/metadata/uid", fault.victim.uid), _at(name)
    patch = [same, expect(at), {"op": "add", "path": at, "value": value}]
    return {"op": "restore", "path": objects.place(fault.victim), "patch": patch, "map": LABELS}


def _at(label: str) -> str:
    return f"{LABELS}/{undoing.escaped(label)}"


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Take the labels away, while they say what was written down."""
    labels: dict[str, str] = reach.note(fault)["labels"]
    there = [expect(_at(name), value) for name, value in labels.items()]
    await objects.change(fault, reach, [*there, *({"op": "remove", "path": _at(name)} for name in labels)])
    return {"uid": fault.victim.uid, "labels": ", ".join(sorted(labels))}


async def felt(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until none of its Services sends the pod requests."""
    names = set(reach.note(fault)["services"])
    while True:
        with observe.asked_again():
            if not names & await services.sending(fault, reach):
                return {"out_of": ", ".join(sorted(names))}
        await anyio.sleep(PAUSE_SECONDS)


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until its Services send it requests again, or it is gone, and its workload is complete."""
    while True:
        with observe.asked_again():
            if state := await _over(fault, reach):
                break
        await anyio.sleep(PAUSE_SECONDS)
    loss: pods.Loss = reach.note(fault)["loss"]
    return {"pod": state} | (await pods.complete(reach, loss) if loss.chain else {})


async def _over(fault: PlannedFault, reach: Reach) -> str:
    pod = await undoing.look(reach.kube, objects.place(fault.victim))
    if pod is None or pod["metadata"]["uid"] != fault.victim.uid or is_going(pod):
        return "gone"
    if reach.note(fault).get("left"):
        return "left as somebody else has it"
    return "back" if set(reach.note(fault)["services"]) <= await services.sending(fault, reach) else ""


FAULT = FaultKind(
    name="pod_unready",
    hand=Hand.API,
    target="pod",
    summary="Take pods out of rotation: they run on, and no Service sends them requests.",
    evidence="no EndpointSlice of the pod's Services has it as ready",
    healed_when="the pod is in rotation again, or gone, and its workload has as many ready pods as before",
    disturbs=frozenset({Disturbance.SERVING}),
    rights=(
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "patch"]},
        {"apiGroups": [""], "resources": ["services"], "verbs": ["list"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"]},
    ),
    prepare=prepare,
    undo=recorded,
    inject=inject,
    felt=felt,
    heal=as_recorded,
    healed=healed,
)
