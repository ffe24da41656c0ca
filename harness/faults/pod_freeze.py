"""Freeze the pod's control groups, by the agent on its node.

Frozen is the whole pod: every container, sidecars and ephemeral ones too, and whatever runs in them.
Felt when a request that the API server hands on to the pod gets no byte back for a second (about 1 s), or the pod is
not Ready any more (its readiness probe's period times its threshold). Where no such request gets through to begin with
(the pod names no port, or a policy keeps the API server out), what the kernel says of its control groups is the
evidence, as the agent reads it. Healed when the pod is Ready and answers, or its workload has replaced it; a liveness
probe may restart it meanwhile, and the restart completes after the thaw. It thaws when the agent, its lease or the
engine ends; after an agent that was killed, as soon as the kubelet has started the next one (one to two seconds).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from harness.faults import answers, packets, resources
from harness.faults.kind import FaultKind
from harness.hands.node import asking
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand
from harness.model.plan import PlannedFault
from harness.resources import resource
from harness.targets import containers, pods
from harness.targets.reach import Facts, Reach

OP = "freeze"


async def order(fault: PlannedFault, reach: Reach) -> Mapping[str, Any]:
    """Look at the pod and return what the agent is told."""
    await answers.look(fault, reach)
    return {"op": OP}


async def felt(fault: PlannedFault, reach: Reach) -> Facts | None:
    """Wait until the frozen pod leaves a request without an answer, or is not Ready any more."""
    url = reach.note(fault).get("url")
    while True:
        frozen = bool(await asking.told(reach.kube, resource.path(fault), OP, str(fault.victim)))
        asked = [await answers.ask(reach, url, answers.SILENT_SECONDS)] if url else []
        if frozen and (outside := answers.silent(fault, asked, 0.0)):
            return outside
        if await answers.is_unready(fault, reach):
            return {"ready": False}
        if frozen and not url:
            return {"processes": "frozen"}
        await anyio.sleep(answers.PAUSE_SECONDS)


FAULT = FaultKind(
    name="pod_freeze",
    hand=Hand.NODE,
    target="pod",
    summary="Freeze pods, every process of every container, sidecars too; connections stay open and nothing"
    " answers, which tests deadlines.",
    evidence="the pod stops being ready, or stops answering; where no request reaches it, the kernel holds it frozen",
    healed_when="the pod's processes run and it is ready again",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.ABRUPT}),
    rights=(*resources.RIGHTS, answers.RIGHT),
    unfit=resources.beyond,
    fate=pods.probed,
    inside=containers.all_named,
    order=order,
    inject=packets.inject,
    felt=felt,
    heal=resources.let_go,
    healed=answers.healed(),
)
