"""Send a signal (KILL by default) to the container's main process, from the node.

Without `container` that is the one that the pod's annotation `kubectl.kubernetes.io/default-container` names, else
the first ordinary one: a sidecar is hit only when it is named. Only the main process gets the signal; what a person
has open with `kubectl exec` ends with the container, if it ends. Init and ephemeral containers are refused: the
kubelet does not start them again.

Felt when the kubelet reports this container's end or another one in its place (one to two seconds). Healed when the
container runs anew and the pod is Ready; after several kills the kubelet's back-off adds 10 s, 20 s and so on, so
a plan takes the pods that are back soonest, and none that would be back later than the run waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.cluster import backoff
from harness.cluster.observe import Objects
from harness.errors import ObservationFailed
from harness.faults.kind import FaultKind, by_hand
from harness.hands.host import inside
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Undo
from harness.model.parameter import Parameter, Type
from harness.model.plan import PlannedFault
from harness.targets import containers, pods
from harness.targets.pods import Fate
from harness.targets.reach import Facts, Reach
from harness.workloads.pod import Pod, is_done, is_going, is_ready, starts_again

# As many characters of a container's id as its tools show.
SHOWN = 12


def undo(fault: PlannedFault, reach: Reach) -> Undo:
    """List an operation that does nothing: the kubelet starts the container again."""
    why = "the kubelet starts the container again"
    return [{"op": "nothing", "container": reach.container(fault.victim.node), "why": why}]


def fate(fault: PlannedFault, pod: Pod) -> Fate:
    """Say whether the container starts again: only SIGKILL cannot be answered with an exit code of 0."""
    name = str(fault.parameters.get("container") or fault.victim.container or pod["spec"]["containers"][0]["name"])
    return Fate.RESTARTED if starts_again(pod, name, failed=_signal(fault) == "KILL") else Fate.GONE


async def inject(fault: PlannedFault, reach: Reach) -> Facts:
    """Signal the container's main process."""
    hand = reach.by(fault)
    pod = await pods.prepare(fault, reach, fate)
    status = containers.running(pod, str(fault.parameters.get("container") or fault.victim.container or ""))
    name, old = str(status["name"]), containers.identity(status)
    restarts = int(status.get("restartCount", 0))
    reach.note(fault).update(container=name, id=old, restarts=restarts)
    await reach.guard()
    signal = _signal(fault)
    results = await hand.apply(fault.id, [inside.kill(reach.container(fault.victim.node), old, signal)])
    pid = str(results["results"][0]["output"]).strip()
    return {"container": name, "id": old, "restarts": restarts, "signal": signal, "pid": pid}


async def felt(fault: PlannedFault, reach: Reach) -> Facts | None:
    """Wait until the kubelet reports the container dead or started again."""
    note = reach.note(fault)

    async def judge(found: Objects) -> Facts | None:
        pod = found.get(fault.victim.uid)
        if pod is None or is_going(pod):
            raise ObservationFailed(
                "the pod went away before its container was seen dead", why="somebody else deleted it"
            )
        now = _status(pod, note)
        if now is None:
            return None
        dead = now.get("state", {}).get("terminated") or now.get("lastState", {}).get("terminated") or {}
        if containers.identity(dead) != note["id"] and containers.identity(now) == note["id"]:
            return None
        restarts = int(now.get("restartCount", 0))
        end = {"exit_code": dead.get("exitCode"), "reason": dead.get("reason")}
        return {"id": containers.identity(now)[:SHOWN], "restarts": restarts, **end}

    return await pods.until(fault, reach, judge)


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the container runs anew and the pod is Ready, or the workload is complete without it."""
    note = reach.note(fault)

    async def judge(found: Objects) -> Facts | None:
        pod = found.get(fault.victim.uid)
        if pod is None or is_going(pod) or is_done(pod):
            return {"pod": "replaced"}
        now = _status(pod, note)
        anew = now is not None and now.get("ready") and containers.identity(now) != note.get("id")
        return {"id": containers.identity(now)[:SHOWN], "ready": True} if now and anew and is_ready(pod) else None

    facts = await pods.until(fault, reach, judge)
    return facts | await pods.replaced(fault, reach) if "pod" in facts else facts


def _signal(fault: PlannedFault) -> str:
    return str(fault.parameters.get("signal") or "KILL").removeprefix("SIG")


def _status(pod: Pod, note: Facts) -> Mapping[str, Any] | None:
    return next((item for item in backoff.statuses(pod) if item["name"] == note.get("container")), None)


FAULT = FaultKind(
    name="container_kill",
    hand=Hand.HOST,
    target="pod",
    summary="Send a signal to the main process of one container, the pod's default one when none is named; the"
    " kubelet restarts it in the same pod.",
    evidence="the kubelet reports the end of this very container, or another one in its place",
    healed_when="the pod is ready again",
    disturbs=frozenset({Disturbance.SERVING, Disturbance.ABRUPT}),
    parameters=(Parameter("signal", Type.SIGNAL, "The signal, by name.", default="KILL"),),
    container=True,
    instant=True,
    restarts=True,
    fate=fate,
    inside=containers.one_named,
    undo=undo,
    inject=inject,
    felt=felt,
    heal=by_hand,
    healed=healed,
)
