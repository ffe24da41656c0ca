"""Pods as faults see them: who replaces them, what their workload has of its own, what came back."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from harness.cluster import observe, paths
from harness.cluster.observe import Objects
from harness.errors import ApiError, InjectionFailed, ObservationFailed
from harness.model.plan import PlannedFault
from harness.targets.reach import Facts, Reach
from harness.workloads import Owners, Workload, kinds
from harness.workloads.jobs import Ending
from harness.workloads.pod import Pod, ended_well, grace, is_done, is_going, is_ready, is_static, starts_again

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

# What a workload wants may change while none of its pods does.
LOOK_AGAIN_SECONDS = 2.0
LOST = "nothing would replace this pod"
STOPS_NOTHING = "deleting this pod would stop nothing"
MIRRORED = "it is the mirror of a static pod, which its kubelet runs whatever the API server says"
OTHERS_RUN = "one of its containers would end for good, and nobody makes another pod while the rest of it runs"
HOLDS_NOTHING = "this pod's processes would not be found"
ELSEWHERE = "it is the mirror of a static pod, whose control groups have another UID than it has"
HINT = "aim at pods of a workload, or take a fault that leaves the pod: pod_freeze, container_kill"


class Fate(enum.Enum):
    """What becomes of a pod that a fault reaches, as long as nobody makes another.

    EVICTED is gone, too, by the eviction API, which marks the pod as disrupted. RESTARTED: a container of it ends and
    is started again. STUCK: one ends for good, and others run on. HELD: it stays, and its processes are found by way of
    its cgroup, which has the pod's UID.
    """

    STAYS = enum.auto()
    HELD = enum.auto()
    RESTARTED = enum.auto()
    STUCK = enum.auto()
    GONE = enum.auto()
    EVICTED = enum.auto()

    @property
    def lost(self) -> bool:
        """Say whether there is no such pod any more, unless somebody makes another."""
        return self in (Fate.GONE, Fate.EVICTED)


@dataclass(frozen=True, slots=True)
class Loss:
    """What keeps a pod that a fault hits, its own controller first, and how many ready pods each had before."""

    chain: tuple[Workload, ...]
    before: tuple[int, ...]

    @property
    def owner(self) -> Workload | None:
        """Name the pod's workload."""
        return self.chain[-1] if self.chain else None


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Say whether a label selector picks an object with these labels; None picks nothing, an empty one everything."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_meets(term, labels) for term in selector.get("matchExpressions") or [])


def _meets(term: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = term["key"], term.get("values") or []
    if term["operator"] == "In":
        return labels.get(key) in values
    if term["operator"] == "NotIn":
        return labels.get(key) not in values
    return (key in labels) is (term["operator"] == "Exists")


def probed(fault: PlannedFault, pod: Pod) -> Fate:
    """Say whether a liveness probe that fails meanwhile may end a container that does not start again."""
    watched = [one["name"] for one in pod["spec"]["containers"] if one.get("livenessProbe")]
    found = ending(pod, watched, failed=True)
    return Fate.HELD if found is Fate.RESTARTED else found


def ending(pod: Pod, names: Iterable[str], *, failed: bool) -> Fate:
    """Say what becomes of a pod when these containers end: it has ended when all of its ordinary ones have."""
    over = {name for name in names if not starts_again(pod, name, failed=failed)}
    if not over:
        return Fate.RESTARTED
    return Fate.GONE if over >= {one["name"] for one in pod["spec"]["containers"]} else Fate.STUCK


async def read(kube: Kube, fault: PlannedFault) -> dict[str, Any]:
    """Read the fault's pod; raises InjectionFailed when it is no longer the one that was planned."""
    victim = fault.victim
    try:
        pod = await kube.get(paths.pods(victim.namespace, victim.name))
    except ApiError as error:
        if error.status == 404:
            raise gone(fault) from error
        raise
    if pod["metadata"]["uid"] != victim.uid or is_going(pod):
        raise gone(fault)
    return pod


def gone(fault: PlannedFault) -> InjectionFailed:
    """Say that the target went away before the fault could reach it."""
    return InjectionFailed(
        "target deleted between plan and inject",
        where=str(fault.victim),
        why="something else deleted or replaced the pod",
        hint="run it again; a workload that is rolling out is no steady state",
    )


async def lost_for_good(owners: Owners, pod: Pod, fate: Fate, others: int = 0, everyone: Iterable[Pod] = ()) -> str:
    """Say why a fault would lose this pod for good; empty where it leaves it, or somebody replaces it.

    `others` are pods of the same workload that other faults lose, or restart, before it; `everyone` are all pods of its
    namespace.
    """
    if fate.lost:
        return await owners.unreplaced(pod, Ending(fate is Fate.EVICTED, others))
    if fate is Fate.STUCK:
        return OTHERS_RUN
    return await owners.worn_out(pod, everyone, others) if fate is Fate.RESTARTED else ""


async def unfit(
    owners: Owners, pod: Pod, fate: Fate, others: int = 0, everyone: Iterable[Pod] = ()
) -> tuple[str, str] | None:
    """Say what speaks against a fault on this pod, and why: it would be lost for good, or not be hit at all.

    `others` and `everyone` are as above.
    """
    if is_static(pod) and fate.lost:
        return STOPS_NOTHING, MIRRORED
    if is_static(pod) and fate is Fate.HELD:
        return HOLDS_NOTHING, ELSEWHERE
    why = await lost_for_good(owners, pod, fate, others, everyone)
    return (LOST, why) if why else None


async def prepare(fault: PlannedFault, reach: Reach, fate: Callable[[PlannedFault, Pod], Fate]) -> dict[str, Any]:
    """Read the pod and note who replaces it, before anything is done to it.

    `fate` says what the fault would make of it. Raises InjectionFailed when it would lose the pod for good, or not
    hit it.
    """
    pod = await read(reach.kube, fault)
    everyone = await reach.kube.list(paths.pods(fault.victim.namespace))
    if found := await unfit(reach.owners, pod, fate(fault, pod), everyone=everyone):
        raise InjectionFailed(found[0], where=str(fault.victim), why=found[1], hint=HINT)
    loss = await loss_of(reach, pod, everyone)
    forced = fault.parameters.get("grace")
    reach.note(fault).update(
        loss=loss,
        owner=loss.owner,
        grace=grace(pod) if forced is None else float(forced),
    )
    return pod


async def loss_of(reach: Reach, pod: Pod, everyone: list[dict[str, Any]]) -> Loss:
    """Count what the workload of a pod has, among all pods of its namespace, before anything is done.

    What another fault of the run has taken meanwhile counts as there.
    """
    chain = await reach.owners.chain(pod)
    most = reach.notes.setdefault("ready", {})
    for workload in chain:
        ready = _has(workload, await reach.owners.own(everyone, workload))
        most[workload.uid] = max(ready, most.get(workload.uid, 0))
        if workload.scalable and workload.what not in kinds.WANTED:
            # What its scale counts shows only while all of its pods are there.
            await reach.owners.wanted(workload, most[workload.uid])
    return Loss(chain, tuple(most[workload.uid] for workload in chain))


def _has(workload: Workload, own: list[Pod]) -> int:
    """Count a workload's ready pods, and those that ended well where it does not say that it wants fewer by them."""
    lasting = workload.what in kinds.WANTED
    return sum(is_ready(pod) or (ended_well(pod) and not lasting) for pod in own)


async def until(fault: PlannedFault, reach: Reach, judge: Callable[[Objects], Awaitable[Facts | None]]) -> Facts:
    """Watch the fault's pod, by its name, until `judge` answers."""
    name = f"metadata.name={fault.victim.name}"
    return await observe.until(reach.kube, paths.pods(fault.victim.namespace), judge, fields=name)


def present(found: Objects, fault: PlannedFault, seen: str) -> Pod:
    """Return the fault's pod; raises ObservationFailed where it went away before it was `seen` as the fault has it."""
    pod = found.get(fault.victim.uid)
    if pod is None or is_going(pod):
        raise ObservationFailed(f"the pod went away before {seen}", why="somebody else deleted it")
    return pod


async def whole(fault: PlannedFault, reach: Reach, again: Callable[[Pod], Facts | None]) -> Facts:
    """Wait until the fault's pod is whole `again`, or its workload is complete without it."""

    async def judge(found: Objects) -> Facts | None:
        pod = found.get(fault.victim.uid)
        return {"pod": "replaced"} if pod is None or is_going(pod) or is_done(pod) else again(pod)

    facts = await until(fault, reach, judge)
    return facts | await replaced(fault, reach) if "pod" in facts else facts


async def removed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the pod has begun to go, however long it may take, or is gone."""

    async def going(pods: Objects) -> Facts | None:
        old = pods.get(fault.victim.uid)
        if old is not None and not is_going(old):
            return None
        return {"uid": fault.victim.uid, "state": "gone" if old is None else "terminating"}

    return await observe.until(reach.kube, paths.pods(fault.victim.namespace), going)


async def replaced(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the pod's workload has as many ready pods as before, the fault's pod not among them.

    Raises ObservationFailed for a pod that is gone and belonged to nobody.
    """
    loss: Loss | None = reach.note(fault).get("loss")
    if loss is None or loss.owner is None:
        raise ObservationFailed("the pod is gone and nobody replaces it", where=str(fault.victim))
    return await complete(reach, loss, without=fault.victim.uid)


async def complete(reach: Reach, loss: Loss, *, without: str = "", daemons: bool = False) -> Facts:
    """Wait until what keeps a pod has as many ready pods of its own as it had, or as it wants now if that is less.

    With `daemons` a DaemonSet has to have as many as it had: one wants less by itself where its pods may not be.
    Raises ObservationFailed where that is none because it has failed since.
    """
    owners = reach.owners
    seen: frozenset[tuple[str, bool]] | None = None

    async def judge(pods: Objects) -> Facts | None:
        nonlocal seen
        facts: Facts = {}
        others = [pod for uid, pod in pods.items() if uid != without]
        own = await owners.own(others, loss.chain[-1])
        now = frozenset((pod["metadata"]["uid"], is_ready(pod) or ended_well(pod)) for pod in own)
        if now == seen:
            return None
        for workload, before in zip(loss.chain, loss.before, strict=True):
            ready = _has(workload, await owners.own(others, workload))
            wanted = await owners.wanted(workload, ready)
            enough = 0 if wanted is None else wanted.again(before)
            if wanted is not None and daemons and workload.what == kinds.DAEMON_SET:
                enough = before
            if enough is None or ready < enough:
                seen = now
                return None
            if before and not enough and (why := await owners.failed(workload)):
                raise ObservationFailed("nobody replaces the pod", where=workload.key, why=why)
            told = {"state": "deleted"} if wanted is None else {"ready": ready, "desired": enough}
            facts = {"owner": str(workload), **told}
        return facts

    patience = LOOK_AGAIN_SECONDS
    while True:
        with anyio.move_on_after(patience):
            return await observe.until(reach.kube, paths.pods(loss.chain[-1].namespace), judge)
        if seen is None:
            # On a slow machine one look takes longer than that, and must come to its end all the same.
            patience *= 2
        seen = None
