"""Ask the eviction API to remove a pod, and tell its answers apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import anyio

from harness.cluster import paths
from harness.errors import ApiError
from harness.targets import pods
from harness.targets.reach import Facts, Reach
from harness.workloads import Workload
from harness.workloads.pod import Pod

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

CREATED, REFUSED = 201, 429
BUDGET, SEVERAL = "DisruptionBudget", "SeveralBudgets"
# What a budget says that has changed, until its numbers have been worked out anew.
UNDECIDED = "still being processed"
RETRY_SECONDS = 1.0
BUSY_SECONDS = 10.0


def budget_of(budgets: list[dict[str, Any]], labels: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the first disruption budget that covers a pod with these labels, or None."""
    return next((item for item in budgets if pods.selects(item.get("spec", {}).get("selector"), labels)), None)


async def arithmetic(kube: Kube, namespace: str, labels: Mapping[str, str]) -> Facts:
    """Read what the pod's disruption budget allows now, and of which of its generations (Nones when none covers it)."""
    item = budget_of(await kube.list(f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"), labels)
    status = (item or {}).get("status") or {}
    return {
        "budget": item["metadata"]["name"] if item else None,
        "generation": item["metadata"].get("generation") if item else None,
        "observed": status.get("observedGeneration"),
        "policy": item.get("spec", {}).get("unhealthyPodEvictionPolicy") if item else None,
        "allowed": status.get("disruptionsAllowed"),
        "healthy": status.get("currentHealthy"),
        "desired": status.get("desiredHealthy"),
    }


async def standing(kube: Kube, pod: Pod) -> Facts:
    """Read what, besides the budget, decides whether the API server lets the pod go; one that is gone has no phase."""
    metadata = pod["metadata"]
    try:
        found = await kube.get(paths.pods(metadata["namespace"], metadata["name"]))
    except ApiError as error:
        if error.status != 404:
            raise
        return {"phase": None, "ready": None, "terminating": None}
    conditions = found.get("status", {}).get("conditions") or []
    return {
        "phase": found.get("status", {}).get("phase"),
        "ready": any(one["type"] == "Ready" and one["status"] == "True" for one in conditions),
        "terminating": found["metadata"].get("deletionTimestamp"),
    }


def why(status: int, answer: Mapping[str, Any]) -> str:
    """Tell a budget's refusal from a busy API server: BUDGET, SEVERAL (more than one budget), or nothing known.

    The API server names the budget as a cause of its 429; one of priority and fairness has no cause. Two budgets on
    one pod are a 500 that says so in words only.
    """
    causes = (answer.get("details") or {}).get("causes") or []
    if status == REFUSED and any(cause.get("reason") == BUDGET for cause in causes):
        return BUDGET
    several = status == 500 and "more than one PodDisruptionBudget" in str(answer.get("message"))
    return SEVERAL if several else ""


def words(answer: Mapping[str, Any]) -> str:
    """Return what an answer says, with its causes: that a budget is still being processed stands only there."""
    causes = (answer.get("details") or {}).get("causes") or []
    found = [answer.get("message"), *(cause.get("message") for cause in causes)]
    return "; ".join(dict.fromkeys(str(one) for one in found if one))


async def evict(reach: Reach, pod: Pod, *, deadline: float, owner: Workload | None = None) -> Facts:
    """Ask once, or until `deadline` seconds have passed while a budget refuses.

    Every answer is emitted as an `eviction` event with the budget's arithmetic and the pod's standing as read right
    before, and the pod's workload. Returns
    {status, attempts, message}; 404 and 409 (another pod by that name, or gone) are returned as they are, and 500
    where more than one budget covers the pod. An API server that is merely busy, and a budget whose numbers are being
    worked out anew, are asked again, BUSY_SECONDS at least.
    Raises ApiError for any other refusal.
    """
    metadata = pod["metadata"]
    name, namespace = metadata["name"], metadata["namespace"]
    # The arithmetic is true of an answer only when no other eviction of ours comes between.
    one_by_one: anyio.Lock = reach.notes.setdefault("eviction", {}).setdefault("lock", anyio.Lock())
    began = anyio.current_time()
    until, attempts = began + deadline, 0
    while True:
        async with one_by_one:
            before = await arithmetic(reach.kube, namespace, metadata.get("labels") or {})
            stands = await standing(reach.kube, pod)
            await reach.guard()
            status, answer = await reach.kube.evict(pod)
        attempts += 1
        message = words(answer)
        cause = why(status, answer)
        said = {"pod": f"{namespace}/{name}", "status": status, "cause": cause, "message": message}
        reach.emit("eviction", {**said, **before, **stands, "owner": owner.key if owner else ""})
        decided = cause == BUDGET and UNDECIDED not in message
        patience = until if decided else max(until, began + BUSY_SECONDS)
        retriable = status in (REFUSED, 500, 503, 504) and cause != SEVERAL
        if retriable and anyio.current_time() + RETRY_SECONDS <= patience:
            await anyio.sleep(RETRY_SECONDS)
            continue
        if status in (200, CREATED, 404, 409) or cause in (BUDGET, SEVERAL):
            return {"status": status, "attempts": attempts, "message": message, **before}
        raise ApiError(status, str(answer.get("reason") or "Error"), message, where=f"{namespace}/{name}")
