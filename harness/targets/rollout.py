"""How a workload rolls out another template: whether it does at all, and how many of its pods it lets go for that.

As the API reference of Kubernetes 1.34 has it (apps/v1: DeploymentStrategy, StatefulSetUpdateStrategy,
DaemonSetUpdateStrategy), and that of Argo Rollouts 1.9 (CanaryStrategy, BlueGreenStrategy), with their defaults.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import anyio

from harness.cluster import paths
from harness.hands.api.undoing import escaped
from harness.model.fault import Undo
from harness.model.plan import PlannedFault
from harness.targets import objects
from harness.targets.reach import Reach
from harness.workloads.releases import PROMOTED, environment, state

Object = Mapping[str, Any]
# Where something changes, as a JSON pointer, what is there (None: nothing), and what will be.
Change: TypeAlias = tuple[str, Any, Any]
# An undo may be a moment old when the next release of a step begins.
SEEN_SECONDS = 5.0
HINT = "aim at a workload whose pods follow its template, and that is at rest"
NOTES = "/spec/template/metadata/annotations"
# What keeps the releases of a kind; a bad one is not to be found there by whoever takes one back later.
RELEASES: Mapping[str, str] = {
    "Deployment": "replicasets",
    "StatefulSet": "controllerrevisions",
    "DaemonSet": "controllerrevisions",
    "Rollout": "replicasets",
}


async def read(fault: PlannedFault, reach: Reach) -> dict[str, Any]:
    """Read the fault's workload once its controller has seen it as it is now, as a Rollout's says; or as it is then."""
    with anyio.move_on_after(SEEN_SECONDS):
        while True:
            item = await objects.read(reach.kube, fault)
            if item["kind"] != "Rollout" or state(item).phase:
                return item
            await anyio.sleep(objects.PAUSE_SECONDS)
    return await objects.read(reach.kube, fault)


def amiss(item: Object, name: str) -> tuple[str, str]:
    """Say what speaks against another template for a container, and why; empty where nothing does."""
    why = _unmoved(item)
    if not why and container(item, name) is None:
        why = f"its template has no container {name}"
    if why:
        return "would roll out nothing", why
    if item["kind"] == "Rollout" and state(item).outcome != PROMOTED:
        return "is at no release to come back to", "its last one is not promoted: the undo would start that one again"
    return "", ""


def _unmoved(item: Object) -> str:
    spec = item["spec"]
    if item["kind"] not in RELEASES:
        return f"how a {item['kind']} rolls out is not known here, only how {', '.join(RELEASES)} do"
    if "workloadRef" in spec:
        return "its template is another object's (workloadRef)"
    if spec.get("paused"):
        return "it is paused"
    if _strategy(spec).get("type") == "OnDelete":
        return "it replaces a pod only when somebody deletes one (OnDelete)"
    if item["kind"] == "StatefulSet" and _partition(spec) >= _replicas(spec):
        return f"its partition {_partition(spec)} holds back all of its {_replicas(spec)} pods"
    return ""


def let_go(item: Object, there: int) -> int:
    """Count the pods, of so many, that a rollout lets go before their replacements are ready."""
    spec, kind = item["spec"], item["kind"]
    rolling = _strategy(spec).get("rollingUpdate") or {}
    if kind == "Rollout":
        rolling = _strategy(spec).get("canary") or {}
        if not rolling or rolling.get("trafficRouting"):
            # The new ones are added, and the old ones go when these have taken over.
            return 0
    if kind == "DaemonSet":
        if _amount(rolling.get("maxSurge", 0), there, math.ceil):
            return 0
        return min(_amount(rolling.get("maxUnavailable", 1), there, math.ceil), there)
    if kind == "StatefulSet":
        free = max(_replicas(spec) - _partition(spec), 0)
        return min(max(_amount(rolling.get("maxUnavailable", 1), _replicas(spec), math.ceil), 1), free, there)
    if _strategy(spec).get("type") == "Recreate":
        return there
    away = _amount(rolling.get("maxUnavailable", "25%"), _replicas(spec), math.floor)
    more = _amount(rolling.get("maxSurge", "25%"), _replicas(spec), math.ceil)
    return min(away or (0 if more else 1), there)


def container(item: Object, name: str) -> tuple[str, Object] | None:
    """Find a container of a template by its name: where it is, as a JSON pointer, and itself."""
    spec = item["spec"]["template"]["spec"]
    for key in ("containers", "initContainers"):
        for number, one in enumerate(spec.get(key) or []):
            if one["name"] == name:
                return f"/spec/template/spec/{key}/{number}", one
    return None


def changes(item: Object, name: str, mark: Mapping[str, str], asked: Mapping[str, Any]) -> list[Change]:
    """List what changes in a template by the `image` or `env` that is asked for, and by a mark on its pods."""
    place = container(item, name)
    assert place
    at, found = place
    told: list[Change] = [(f"{NOTES}/{escaped(key)}", _notes(item).get(key), value) for key, value in mark.items()]
    if asked.get("image"):
        told.append((f"{at}/image", found["image"], str(asked["image"])))
    if settings := dict(one.split("=", 1) for one in asked.get("env") or ()):
        told.append((f"{at}/env", found.get("env"), environment(found.get("env"), settings)))
    return told


def forth(changes: Sequence[Change]) -> list[Object]:
    """Make changes, as a JSON patch, where what was there still is."""
    tests = [objects.expect(pointer, old) for pointer, old, _ in changes]
    return [*tests, *({"op": "add", "path": pointer, "value": new} for pointer, _, new in changes)]


def back(changes: Sequence[Change]) -> list[Object]:
    """Undo changes, as a JSON patch, where all of them are still there."""
    tests = [objects.expect(pointer, new) for pointer, _, new in changes]
    undone = ({"op": "remove"} if old is None else {"op": "replace", "value": old} for _, old, _ in changes)
    return [*tests, *({**one, "path": pointer} for one, (pointer, _, _) in zip(undone, changes, strict=True))]


def hanging(item: Object, namespace: str, ours: str) -> Undo:
    """Sweep pods with this text that are not ready: a StatefulSet waits for them, whatever its template says by now."""
    if item["kind"] != "StatefulSet":
        return []
    return [{"op": "sweep", "path": paths.pods(namespace), "ours": ours, "unready": True}]


def holder(item: Object) -> list[Change]:
    """List what must be made before a mark: the mapping that it stands in, where a template has none.

    It stays when the mark goes: meanwhile somebody else may have written into it.
    """
    return [] if _notes(item) else [(NOTES, None, {})]


def releases(item: Object, namespace: str) -> str:
    """Return the API path of the collection where a workload's releases are kept."""
    return paths.apps(namespace, RELEASES[item["kind"]])


def _notes(item: Object) -> Object:
    return (item["spec"]["template"].get("metadata") or {}).get("annotations") or {}


def _strategy(spec: Object) -> Object:
    found: Object = spec.get("strategy") or spec.get("updateStrategy") or {}
    return found


def _partition(spec: Object) -> int:
    return int((_strategy(spec).get("rollingUpdate") or {}).get("partition") or 0)


def _replicas(spec: Object) -> int:
    return int(spec.get("replicas", 1))


def _amount(value: Any, of: int, rounded: Callable[[float], int]) -> int:
    """Read a count, or a share of so many."""
    if isinstance(value, str) and value.endswith("%"):
        return rounded(int(value[:-1]) * of / 100)
    return int(value)
