"""How a Rollout gets back from a release that was promoted: by one more release, of the old template.

Its controller (Argo Rollouts 1.9) takes that through all steps again, unless `rollbackWindow` lets it skip them. A
window is wide enough where fewer ReplicaSets than it says were made between the two, and it leads only to one that is
still there: of those without pods `revisionHistoryLimit` lets the oldest go first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.cluster import paths
from harness.errors import ApiError, InjectionFailed
from harness.model.plan import PlannedFault
from harness.targets.reach import Reach
from harness.workloads.pod import controller
from harness.workloads.releases import RELEASE, state

Object = Mapping[str, Any]
# Where a Rollout says no other.
HISTORY = 10
STUCK = "would not come back by itself from a release that is promoted"
HINT = "a canary skips its pauses by `rollbackWindow: {revisions: N}`, a blue-green one must be promoted by itself"


def waits(item: Object, younger: int = 0) -> str:
    """Say why the way back would wait for a person, past so many younger ReplicaSets; empty where it ends by itself."""
    if item["kind"] != "Rollout":
        return ""
    spec = item["spec"]
    strategy = spec.get("strategy") or {}
    if (strategy.get("blueGreen") or {}).get("autoPromotionEnabled") is False:
        # Within a window the controller takes the pause back and makes it anew, and never goes on.
        return "`autoPromotionEnabled: false` has a person promote it, and no rollbackWindow helps a blue-green one"
    steps = (strategy.get("canary") or {}).get("steps") or []
    number = next((place for place, one in enumerate(steps, 1) if _untimed(one)), 0)
    reaches = min((spec.get("rollbackWindow") or {}).get("revisions", 0), spec.get("revisionHistoryLimit", HISTORY))
    if not number or younger < reaches:
        return ""
    told = f", and {younger} younger ReplicaSets are more than its rollbackWindow or its history reaches past"
    return f"its step {number} pauses until a person lets it go on{told if younger else ''}"


def _untimed(step: Object) -> bool:
    return "pause" in step and "duration" not in (step["pause"] or {})


async def clear(fault: PlannedFault, reach: Reach, item: Object, mark: str) -> None:
    """Delete what earlier releases with this mark left of a Rollout: releases without pods, which lie on the way back.

    Raises InjectionFailed where those of others that lie there would have it wait for a person.
    """
    if item["kind"] != "Rollout":
        return
    collection, stable = paths.apps(fault.victim.namespace, "replicasets"), state(item).stable
    own = [one for one in await reach.kube.list(collection) if (controller(one) or {}).get("uid") == fault.victim.uid]
    left = [one for one in own if _left_over(one, mark) and _release(one) != stable]
    for one in left:
        await reach.guard()
        try:
            await reach.kube.delete(
                f"{collection}/{one['metadata']['name']}", version=one["metadata"]["resourceVersion"]
            )
        except ApiError as error:
            # Somebody else was faster, or has released it again.
            if error.status not in (404, 409):
                raise
    if why := waits(item, _younger([one for one in own if one not in left], stable)):
        raise InjectionFailed(f"{fault.victim.owner} {STUCK}", where=str(fault.victim), why=why, hint=HINT)


def _younger(own: Sequence[Object], stable: str) -> int:
    """Count the ReplicaSets that were made after that of the stable release; all of them where it is gone."""
    since = next((one["metadata"]["creationTimestamp"] for one in own if _release(one) == stable), "")
    return sum(one["metadata"]["creationTimestamp"] > since for one in own)


def _left_over(one: Object, mark: str) -> bool:
    notes = (one["spec"]["template"].get("metadata") or {}).get("annotations") or {}
    return mark in notes and not one["spec"].get("replicas", 1) and not (one.get("status") or {}).get("replicas")


def _release(one: Object) -> str:
    return str((one["metadata"].get("labels") or {}).get(RELEASE, ""))
