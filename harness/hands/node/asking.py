"""Ask an agent through a fault's resource, and hear what it says there."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from harness.agent.manifest import GROUP
from harness.agent.resident.fault import TARGET_GONE
from harness.cluster import observe, paths
from harness.cluster.observe import Objects
from harness.errors import ApiError, ClusterUnreachable, InjectionFailed, ObservationFailed

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

HEAL, NODE = f"{GROUP}/heal", f"{GROUP}/node"
# An agent needs about a third of a second; on a starved node its worker alone may take 6 s to begin.
APPLIED_SECONDS = 20.0
AGAIN_SECONDS = 0.5
# An agent that lives has undone it by then: only one that does not is worth the question whether its node is there.
PATIENT_SECONDS = 2.0
Status = dict[str, Any]


async def applied(kube: Kube, path: str) -> Status:
    """Return a fault's status once its agent has done it.

    Raises InjectionFailed when the agent refuses, in its own words, or has said nothing after 20 s.
    """

    async def judge(found: Objects) -> Status | None:
        if not found:
            raise InjectionFailed("the fault's resource is gone", where=path, why="deleting it is asking for its undo")
        status = _status(found)
        # What is over at once may be undone by the time that anybody looks.
        if "appliedAt" in status:
            return status
        if _is_over(status):
            raise InjectionFailed("the agent did not do it", where=path, why=str(status.get("message", "")))
        return None

    with anyio.move_on_after(APPLIED_SECONDS):
        return await _until(kube, path, judge)
    raise InjectionFailed(
        "no agent did it",
        where=path,
        why=f"none said a word within {APPLIED_SECONDS:g} s",
        hint="`harness doctor` says on which nodes an agent is ready",
    )


async def told(kube: Kube, path: str, op: str, target: str) -> Status:
    """Return what an agent says of what it did to a target; nothing as long as it says nothing.

    Raises ObservationFailed where the fault ended meanwhile.
    """
    try:
        item = await kube.get(path)
    except (ApiError, ClusterUnreachable) as error:
        if observe.unanswered(error):
            return {}
        if isinstance(error, ApiError) and error.status == 404:
            raise ObservationFailed("the fault's resource went away before it was felt") from None
        raise
    status = item.get("status") or {}
    if "healedAt" in status:
        raise ObservationFailed("it ended before it was felt", where=target, why=status.get("message", ""))
    found: Status = (status.get("evidence") or {}).get(op) or {}
    return found


@dataclass(frozen=True, slots=True)
class Ended:
    """What an agent says of a fault at its end; nothing where there is no such resource any more.

    `early` is why it had ended before it was asked to, empty where it had not, or its target went away.
    """

    status: Status = field(default_factory=dict)
    early: str = ""


async def heal(kube: Kube, path: str) -> Ended:
    """Have the agent undo a fault, and return what it says when it has.

    An agent undoes what has no resource, and a node that was taken out of the cluster has taken agent and effect with
    it. Whoever calls this sets the deadline by cancelling: an API server that is away is asked again, and an agent that
    is away comes back and undoes what its ledger names.
    """
    while True:
        try:
            marked = await kube.patch(path, {"metadata": {"annotations": {HEAL: "true"}}})
        except (ApiError, ClusterUnreachable) as error:
            if isinstance(error, ApiError) and error.status == 404:
                return Ended()
            if not observe.unanswered(error):
                raise
            await anyio.sleep(AGAIN_SECONDS)
        else:
            break

    async def judge(found: Objects) -> Status | None:
        status = _status(found)
        return status if not found or _is_over(status) else None

    before = marked.get("status") or {}
    early = str(before.get("message", "")) if {"appliedAt", "healedAt"} <= before.keys() else ""
    node = ((marked.get("metadata") or {}).get("labels") or {}).get(NODE)
    for turn in itertools.count():
        # Longer each time: an API server that is slow to answer must come to its answer.
        with anyio.move_on_after(PATIENT_SECONDS * 2**turn):
            return Ended(await _until(kube, path, judge), "" if early == TARGET_GONE else early)
        if node and await _is_gone(kube, node):
            break
    return Ended()


async def _is_gone(kube: Kube, node: str) -> bool:
    """Say whether the cluster has no such node any more; where nodes may not be looked at, nobody knows."""
    try:
        await kube.get(paths.nodes(node))
    except (ApiError, ClusterUnreachable) as error:
        return isinstance(error, ApiError) and error.status == 404
    return False


async def _until(kube: Kube, path: str, judge: Callable[[Objects], Awaitable[Status | None]]) -> Status:
    collection, _, name = path.rpartition("/")
    return await observe.until(kube, collection, judge, fields=f"metadata.name={name}")


def _status(found: Objects) -> Status:
    return next((item.get("status") or {} for item in found.values()), {})


def _is_over(status: Status) -> bool:
    """Say whether the agent has undone a fault, or said why it never did it."""
    return "healedAt" in status or ("message" in status and "appliedAt" not in status)
