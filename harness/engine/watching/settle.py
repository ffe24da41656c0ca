"""Wait until the system is in its steady state before targets are picked, and say what is waited for.

What an earlier disturbance left behind (a breaker that is open, a host that is ejected, a pod that is on its way)
would be blamed on this run's fault. One look costs a few requests; it is repeated only while something is amiss.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio

from harness.checkers import breaker
from harness.cluster import backoff, paths
from harness.engine import contexts
from harness.engine.planning import plan
from harness.engine.preflight import scope
from harness.engine.session import Session
from harness.engine.watching import metrics, steady, traffic
from harness.errors import ApiError, ClusterUnreachable, NeverBegun, first
from harness.model import envoy
from harness.resources import resource
from harness.stack import apply as stack
from harness.stack import parts
from harness.workloads import Workload, kinds, pod, releases

Object = Mapping[str, Any]
Look = Callable[[], Awaitable[list[str]]]
LOOK_EVERY = 0.5
# A pod that was not ready for so long since it came, or should have been gone for so long, is not what an earlier
# disturbance left; nothing waits for it.
STANDING_SECONDS = 60.0
# A load that has reached every pod for so long and called nobody through an open breaker will not meet it.
ASKED_SECONDS = 6
ASKED = (
    f"sum by (pod, dependency) (increase(client_calls_total[{ASKED_SECONDS}s])"
    f" + increase(breaker_fast_failures_total[{ASKED_SECONDS}s])) > 0"
)
EJECTED = f"{envoy.EJECTIONS} > 0"
MOST_TOLD = 6


async def require_parts(session: Session) -> None:
    """Raise NeverBegun where the stack lacks a part that the document needs, or nobody may look."""
    if not session.experiment.parts:
        return
    try:
        there = stack.parts(await stack.remembered(session.kube))
    except ApiError as error:
        if error.status != 403:
            raise
        raise NeverBegun(
            "nobody may look which parts the stack has",
            where=error.where,
            why=error.message,
            hint=scope.grant(session.experiment),
        ) from error
    if lacking := [name for name in session.experiment.parts if name not in there]:
        every = [name for name in there if name != parts.CORE]
        # In the reason, too, and not as a hint: the command is all that there is to say.
        found = ", ".join(there) or "no stack of ours that came up whole"
        raise NeverBegun(
            f"the stack lacks the part {', '.join(lacking)}",
            where=str(session.experiment.path),
            why=f"there is {found}; `harness up --parts {','.join([*every, *lacking])}` brings it",
        )


async def settle(session: Session, until: float) -> None:
    """Return when nothing is amiss; raises NeverBegun when something still is then, `phases.settle` after the start."""
    limit, began = session.experiment.phases.settle, session.journal.now()
    amiss, told = ["no look at the system came to an end"], [""]
    answers: list[steady.Answer] = []
    with anyio.move_on_after(until - began):
        while True:
            found = await look(session)
            if not found:
                answers = await steady.ask(session)
                found = [steady.told(answer) for answer in answers if not answer["ok"]]
                if answers and not found:
                    # A probe may have waited for what it tells, and the look is as old as that.
                    found = sorted(await objects(session))
            # Not before: a question that the time cuts off is no answer.
            amiss = found
            if not amiss:
                break
            if amiss != told:
                session.write("settle", waiting=amiss)
                session.say(f"SETTLE     waiting: {_brief(amiss)}")
            told = amiss
            await anyio.sleep(LOOK_EVERY)
    if amiss:
        raise NeverBegun(
            f"the system did not settle within {limit:g} s",
            why=_brief(amiss),
            hint=f"{contexts.command(session.kube, 'harness', 'doctor')}; `phases: {{settle: ...}}` waits longer",
        )
    steady.record(session, answers)
    session.write("settled", after=session.journal.now() - began)


async def look(session: Session) -> list[str]:
    """Say, one sentence each, what keeps the system from its steady state; the hypothesis is not asked."""
    return sorted([*await objects(session), *await gauges(session)])


async def objects(session: Session) -> list[str]:
    """Say what the API server tells that is not as it should be: pods, workloads, and what is still broken."""
    inside = session.experiment.blast_radius.namespaces
    around = () if session.scope.alone else plan.around(await stack.inventory(session.kube), session.experiment)
    looks = [partial(_left_behind, session), *(partial(_pods, session, namespace) for namespace in inside)]
    for namespace in sorted({*inside, *around}):
        looks += [partial(_workloads, session, namespace, *each) for each in LACKING.items()]
        looks.append(partial(_others, session, namespace))
    found = await _asked(looks)
    if found:
        session.amiss_at = session.journal.now()
    return found


async def gauges(session: Session) -> list[str]:
    """Say what Prometheus still tells of an earlier disturbance: it passes by itself, and is as old as its scrape."""
    if not session.load:
        return []
    ejected = await _asked([partial(_ejected, session)]) if traffic.meets_gateway(session) else []
    if ejected:
        session.amiss_at = session.journal.now()
    return ejected + await _asked([partial(_breakers, session)])


async def _asked(looks: Iterable[Look]) -> list[str]:
    """Look at all of this at once; who does not answer is amiss, too."""
    found: list[str] = []

    async def ask(question: Look) -> None:
        try:
            found.extend(await question())
        except ClusterUnreachable as error:
            found.append(error.what)
        except ApiError as error:
            if error.status == 403:
                raise NeverBegun(
                    "nobody may look whether the system is steady", where=error.where, why=error.message
                ) from error
            found.append(str(error))

    try:
        async with anyio.create_task_group() as together:
            for one in looks:
                together.start_soon(ask, one)
    except BaseExceptionGroup as group:
        raise first(group) from group
    return sorted(set(found))


async def _left_behind(session: Session) -> list[str]:
    """Name what is still written down as broken: a healer may be at it, or nobody is."""
    left = ", ".join(item["metadata"]["name"] for item in await resource.list_all(session.kube, *session.scope.inside))
    undo = contexts.command(session.kube, "harness", "undo", *session.scope.words)
    return [f"an earlier run left something broken ({left}; `{undo}` heals it)"] if left else []


async def _workloads(session: Session, namespace: str, plural: str, lacking: Callable[[Object, int], str]) -> list[str]:
    """Ask each workload of a kind that lists itself, whether it has pods or not."""
    items = await session.kube.list(f"/apis/apps/v1/namespaces/{namespace}/{plural}")
    late = [item for item in items if lacking(item, 0)]
    standing = await _standing(session, namespace) if late else {}
    found = ((item, lacking(item, standing.get(item["metadata"].get("uid", ""), 0))) for item in late)
    return [f"{namespace}/{item['metadata']['name']} {what}" for item, what in found if what]


async def _standing(session: Session, namespace: str) -> dict[str, int]:
    """Count, by their workload, pods that were never ready and are not on their way: that is how the system is.

    On the way of the calls, outside of the blast radius, everything must be whole.
    """
    found: Counter[str] = Counter()
    if namespace not in session.experiment.blast_radius.namespaces:
        return found
    now = datetime.now(UTC)
    for item in await session.kube.list(paths.pods(namespace)):
        workload = await session.reach.owners.of(item)
        if workload and pod.never_ready(item, now) >= STANDING_SECONDS:
            found[workload.uid] += 1
    return found


async def _others(session: Session, namespace: str) -> list[str]:
    """Ask the workloads of other kinds, known by their pods; a Job is on its way as long as it lives."""
    owners, now = session.reach.owners, datetime.now(UTC)
    theirs: dict[Workload, list[Object]] = {}
    for item in await session.kube.list(paths.pods(namespace)):
        workload = await owners.of(item)
        if workload and workload.what not in LISTED and not (pod.is_going(item) or pod.is_done(item)):
            theirs.setdefault(workload, []).append(item)
    found = []
    for workload, live in theirs.items():
        ready = sum(map(pod.is_ready, live))
        standing = sum(pod.never_ready(item, now) >= STANDING_SECONDS for item in live)
        rollout = await owners.read(workload) if workload.what == kinds.ROLLOUT else None
        if rollout and _releasing(releases.state(rollout), standing):
            found.append(f"{workload.key} is releasing")
            continue
        wanted = await owners.wanted(workload, ready)
        if wanted is None:
            continue
        enough = wanted.number if wanted.sure else max(wanted.number or 0, len(live))
        if enough is None:
            found.append(f"{workload.key} is not known yet")
        elif ready + standing < enough:
            found.append(f"{workload.key} has {ready} of {enough} pods ready")
    return found


def _releasing(state: releases.State, standing: int) -> bool:
    """Say whether a release is on its way; pods that stand so keep a Rollout from Healthy that has none."""
    return state.moving and not (standing and state.outcome == releases.PROMOTED)


def _deployment(item: Object, standing: int) -> str:
    """Say what a Deployment lacks; one that is rolling out has pods of two releases, which is no steady state."""
    status, wanted = item.get("status", {}), item["spec"].get("replicas", 1)
    if not kinds.current(item):
        return "is not known yet"
    if (available := status.get("availableReplicas", 0)) + standing < wanted:
        return f"has {available} of {wanted} pods available"
    # Nobody moves one that is paused, wherever it stands.
    if item["spec"].get("paused"):
        return ""
    rolling = max(status.get("replicas", 0), wanted) - status.get("updatedReplicas", 0)
    return f"is rolling out, {rolling} to go" if rolling else ""


def _stateful_set(item: Object, standing: int) -> str:
    """Say what a StatefulSet lacks; below its partition, and where each pod is replaced by hand, it stays as it is."""
    status, wanted = item.get("status", {}), item["spec"].get("replicas", 1)
    ready, rolling = status.get("readyReplicas", 0), 0
    if not kinds.current(item):
        return "is not known yet"
    if ready + standing < wanted:
        return f"has {ready} of {wanted} pods ready"
    if _rolls(item) and status.get("updateRevision") != status.get("currentRevision"):
        partition = ((item["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition") or 0
        rolling = max(0, wanted - partition - status.get("updatedReplicas", 0))
    return f"is rolling out, {rolling} to go" if rolling else ""


def _rolls(item: Object) -> bool:
    """Say whether a change of an object's template reaches its pods by itself."""
    return bool((item["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate")


def _daemon_set(item: Object, standing: int) -> str:
    status = item.get("status", {})
    ready, wanted = status.get("numberReady", 0), status.get("desiredNumberScheduled", 0)
    if not kinds.current(item):
        return "is not known yet"
    if ready + standing < wanted:
        return f"has {ready} of {wanted} pods ready"
    rolling = wanted - status.get("updatedNumberScheduled", 0) if _rolls(item) else 0
    return f"is rolling out, {rolling} to go" if rolling > 0 else ""


LACKING: Mapping[str, Callable[[Object, int], str]] = {
    "deployments": _deployment,
    "statefulsets": _stateful_set,
    "daemonsets": _daemon_set,
}
LISTED = frozenset({kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.JOB})


async def _pods(session: Session, namespace: str) -> list[str]:
    """Name pods that are on their way out, and containers that the kubelet holds back; not those that stand so."""
    found, now = [], datetime.now(UTC)
    for item in await session.kube.list(paths.pods(namespace)):
        name = f"{namespace}/{item['metadata']['name']}"
        if pod.is_going(item) and pod.overdue(item, now) < STANDING_SECONDS:
            found.append(f"{name} is terminating")
        if pod.never_ready(item, now) >= STANDING_SECONDS:
            continue
        for container in backoff.statuses(item):
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") == backoff.CRASHING:
                found.append(f"{name} waits for the kubelet's back-off ({container['name']})")
    return found


async def _breakers(session: Session) -> list[str]:
    """Count callers' breakers that are not closed and that this run's load meets.

    A caller that was ejected or not ready is not asked by the load, and its breaker is met as soon as it is back.
    """
    found = await metrics.vector(breaker.OBJECTIVE.steady_when_none, session) or []
    if found and session.journal.now() - max(session.load_from, session.amiss_at) > ASKED_SECONDS:
        asked = {_caller(series) for series in await metrics.vector(ASKED, session) or []}
        found = [series for series in found if _caller(series) in asked]
    towards = Counter(dependency for _, dependency in map(_caller, found))
    return [f"{count} of the callers' breakers towards {name} not closed" for name, count in towards.items()]


def _caller(series: Object) -> tuple[str, str]:
    return series["metric"].get("pod", "?"), series["metric"].get("dependency", "?")


async def _ejected(session: Session) -> list[str]:
    found = await metrics.vector(EJECTED, session) or []
    count = sum(float(series["value"][1]) for series in found)
    return [f"the gateway ejects {count:g} host{'s' * (count != 1)}"] if count else []


def _brief(amiss: list[str]) -> str:
    more = len(amiss) - MOST_TOLD
    return "; ".join([*amiss[:MOST_TOLD], *([f"and {more} more"] if more > 0 else [])])
