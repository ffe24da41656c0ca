"""Pods as faults see them: their owner, who of them is ready, what came back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from harness.cluster import kube as api
from harness.cluster.kube import Kube
from harness.errors import ApiError, InjectionFailed
from harness.faults import observe
from harness.faults.observe import Objects
from harness.faults.reach import Facts, Reach
from harness.model.plan import PlannedFault

Pod = Mapping[str, Any]
REPLACEMENT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Owner:
    """The workload that replaces a lost pod."""

    kind: str
    name: str
    path: str
    selector: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


def is_ready(pod: Pod) -> bool:
    """Say whether a pod is Ready and stays: a terminating pod is not."""
    conditions = pod.get("status", {}).get("conditions") or []
    ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


def is_done(pod: Pod) -> bool:
    """Say whether a pod has run to its end."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def controller(item: Pod) -> Mapping[str, Any] | None:
    """Return the owner reference of the controller, or None."""
    references = item["metadata"].get("ownerReferences") or []
    return next((reference for reference in references if reference.get("controller")), None)


def selector_text(selector: Mapping[str, Any]) -> str:
    """Write a label selector as the API's query parameter takes it."""
    words = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for term in selector.get("matchExpressions") or []:
        key, values = term["key"], ",".join(term.get("values") or [])
        forms = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        words.append(forms.get(term["operator"], f"!{key}"))
    return ",".join(words)


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


def _path(reference: Mapping[str, Any], namespace: str) -> str:
    version = reference["apiVersion"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    return f"{root}/namespaces/{namespace}/{reference['kind'].lower()}s/{reference['name']}"


async def owner_of(kube: Kube, pod: Pod) -> Owner | None:
    """Climb from a pod to the topmost workload that replaces it; None for a pod nobody would replace."""
    namespace, item, found = pod["metadata"]["namespace"], pod, None
    while (reference := controller(item)) is not None:
        path = _path(reference, namespace)
        try:
            item = await kube.get(path)
        except ApiError as error:
            if error.status in (403, 404):
                break
            raise
        selector = selector_text(item.get("spec", {}).get("selector") or {}) or (found.selector if found else "")
        if not selector:
            break
        found = Owner(reference["kind"], reference["name"], path, selector)
    return found


async def desired(kube: Kube, owner: Owner) -> int:
    """Read how many ready pods a workload wants now."""
    item = await kube.get(owner.path)
    if owner.kind == "DaemonSet":
        return int(item.get("status", {}).get("desiredNumberScheduled", 0))
    return int(item.get("spec", {}).get("replicas", 1))


async def read(kube: Kube, fault: PlannedFault) -> dict[str, Any]:
    """Read the fault's pod; raises InjectionFailed when it is no longer the one that was planned."""
    victim = fault.victim
    try:
        pod = await kube.get(api.pods(victim.namespace, victim.name))
    except ApiError as error:
        if error.status == 404:
            raise gone(fault) from error
        raise
    if pod["metadata"]["uid"] != victim.uid or pod["metadata"].get("deletionTimestamp"):
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


async def prepare(fault: PlannedFault, reach: Reach) -> dict[str, Any]:
    """Read the pod and note who replaces it and which pods there are, before anything is done to it."""
    pod = await read(reach.kube, fault)
    owner = await owner_of(reach.kube, pod)
    if owner is None:
        raise InjectionFailed(
            "nothing would replace this pod",
            where=str(fault.victim),
            why="no controller owns it",
            hint="aim at pods of a Deployment, StatefulSet, DaemonSet or Rollout",
        )
    siblings = await reach.kube.list(api.pods(fault.victim.namespace), labels=owner.selector)
    reach.note(fault).update(owner=owner, before={item["metadata"]["uid"] for item in siblings})
    return pod


async def removed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the pod is gone, or is going while a replacement with a new UID exists.

    A pod that is gone is evidence enough; its replacement is waited for a little, to be named.
    """
    note, victim = reach.note(fault), fault.victim
    before: set[str] = note.get("before", {victim.uid})
    owner: Owner | None = note.get("owner")
    facts: Facts = {}

    async def judge(pods: Objects) -> Facts | None:
        old = pods.get(victim.uid)
        new = next((pod["metadata"] for uid, pod in pods.items() if uid not in before), None)
        if old is None:
            facts.update(uid=victim.uid, state="gone")
        if new is None or (old is not None and not old["metadata"].get("deletionTimestamp")):
            return None
        state = "gone" if old is None else "terminating"
        return {"uid": victim.uid, "state": state, "replacement": new["name"], "replacement_uid": new["uid"]}

    async def gone(pods: Objects) -> Facts | None:
        return await judge(pods) or facts or None

    labels, path = owner.selector if owner else None, api.pods(victim.namespace)
    facts.update(await observe.until(reach.kube, path, gone, labels=labels))
    if "replacement" not in facts:
        with anyio.move_on_after(REPLACEMENT_SECONDS):
            facts.update(await observe.until(reach.kube, path, judge, labels=labels))
    return facts


async def replaced(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the pod's workload has as many ready pods as it wants, the fault's pod not among them."""
    owner: Owner | None = reach.note(fault).get("owner")
    if owner is None:
        return {"replaced": "unknown: the pod's owner was never seen"}
    return await complete(reach.kube, fault.victim.namespace, owner, without=fault.victim.uid)


async def complete(kube: Kube, namespace: str, owner: Owner, *, without: str = "") -> Facts:
    """Wait until a workload has as many ready pods as it wants."""

    async def judge(pods: Objects) -> Facts | None:
        ready = sum(is_ready(pod) for uid, pod in pods.items() if uid != without)
        try:
            wanted = await desired(kube, owner)
        except ApiError as error:
            if error.status == 404:
                return {"owner": str(owner), "state": "deleted"}
            raise
        return {"owner": str(owner), "ready": ready, "desired": wanted} if ready >= wanted else None

    return await observe.until(kube, api.pods(namespace), judge, labels=owner.selector)
