"""Write the pod's freezer cgroup on its node.

Frozen is the whole pod: every container, sidecars and ephemeral ones too, and whatever runs in them.
Felt when a request from the pod's node gets no byte back for a second (about 1 s), or the pod is not Ready any
more (its readiness probe's period times its threshold). Healed when the pod is Ready and answers, or its workload
has replaced it; a liveness probe may restart it meanwhile, and the restart completes after the thaw.
"""

from __future__ import annotations

from typing import Any

import anyio

from harness.cluster import paths
from harness.cluster.observe import Objects
from harness.errors import ApiError, ClusterUnreachable, ObservationFailed
from harness.faults.kind import FaultKind, by_hand
from harness.hands.host import inside
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Undo
from harness.model.plan import PlannedFault
from harness.targets import containers, pods
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import Pod, is_done, is_going, is_ready

PAUSE_SECONDS = 0.25


def address(pod: Pod) -> str:
    """Return a URL at the pod's first TCP port, or nothing when it names none."""
    host = pod.get("status", {}).get("podIP")
    ports = [port for item in pod["spec"]["containers"] for port in item.get("ports") or []]
    first = next((port["containerPort"] for port in ports if port.get("protocol", "TCP") == "TCP"), None)
    if not host or not first:
        return ""
    return f"http://[{host}]:{first}/" if ":" in host else f"http://{host}:{first}/"


def undo(fault: PlannedFault, reach: Reach) -> Undo:
    """Thaw the pod's cgroup; one that is gone is thawed."""
    return [inside.freezer(reach.container(fault.victim.node), fault.victim.uid, "thaw")]


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Freeze every process of the pod."""
    hand, note = reach.by(fault), reach.note(fault)
    pod = await pods.prepare(fault, reach, pods.probed)
    url = address(pod)
    if url and await _probe(fault, reach, url) == "answers":
        note["url"] = url
    note["ready"] = is_ready(pod)
    await reach.guard()
    await hand.apply(fault.id, [inside.freezer(reach.container(fault.victim.node), fault.victim.uid, "freeze")])
    frozen = list(containers.every(pod))
    return {"uid": fault.victim.uid, "node": fault.victim.node, "url": note.get("url", ""), "containers": frozen}


async def felt(fault: PlannedFault, reach: Reach) -> Facts | None:
    """Wait until the pod leaves a request without an answer, or is not Ready any more."""
    note = reach.note(fault)
    while True:
        if note.get("url") and await _probe(fault, reach, note["url"]) == "silent":
            return {"request": "silent for 1 s", "url": note["url"]}
        try:
            pod = await reach.kube.get(paths.pods(fault.victim.namespace, fault.victim.name))
            if pod["metadata"]["uid"] != fault.victim.uid or is_going(pod):
                raise _gone()
            if note.get("ready") and not is_ready(pod):
                return {"ready": False}
        except (ApiError, ClusterUnreachable) as error:
            if isinstance(error, ApiError) and error.status == 404:
                raise _gone() from None
        await anyio.sleep(PAUSE_SECONDS)


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the pod answers and is Ready, or its workload is complete without it."""
    url = reach.note(fault).get("url")

    async def judge(found: Objects) -> Facts | None:
        pod = found.get(fault.victim.uid)
        if pod is None or is_going(pod) or is_done(pod):
            return {"pod": "replaced"}
        return {"ready": True} if is_ready(pod) else None

    facts = await pods.until(fault, reach, judge)
    if "pod" in facts:
        return facts | await pods.replaced(fault, reach)
    while url and await _probe(fault, reach, url) == "silent":
        await anyio.sleep(PAUSE_SECONDS)
    return facts | ({"request": "answered"} if url else {})


def _gone() -> ObservationFailed:
    return ObservationFailed("the pod went away before it was felt frozen", why="somebody else deleted it")


async def _probe(fault: PlannedFault, reach: Reach, url: str) -> str:
    results: list[dict[str, Any]] = await reach.by(fault).look([inside.probe(reach.container(fault.victim.node), url)])
    return str(results[0]["output"]).strip()


FAULT = FaultKind(
    name="pod_freeze",
    hand=Hand.HOST,
    target="pod",
    summary="Freeze pods, every process of every container, sidecars too; connections stay open and nothing"
    " answers, which tests deadlines.",
    evidence="the pod stops being ready, or stops answering",
    healed_when="the pod's processes run and it is ready again",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.ABRUPT}),
    fate=pods.probed,
    inside=containers.all_named,
    undo=undo,
    inject=inject,
    felt=felt,
    heal=by_hand,
    healed=healed,
)
