"""Write a fault down in the cluster before its effect, and strike it out after its healing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.errors import ApiError, PreconditionFailed
from harness.model.fault import Hand, Phase, Undo
from harness.model.plan import PlannedFault, Victim
from harness.resources.crds import GROUP, VERSION

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

ROOT = f"/apis/{GROUP}/{VERSION}"
RUN_LABEL, NODE_LABEL = f"{GROUP}/run", f"{GROUP}/node"
Value = str | float | dict[str, Any] | datetime | None


def collection(fault: PlannedFault) -> str:
    """Return the API path where this fault is written down."""
    namespace = fault.victim.namespace
    return f"{ROOT}/namespaces/{namespace}/faults" if namespace else f"{ROOT}/nodefaults"


def plural(fault: PlannedFault) -> str:
    """Return which of the two collections this fault is written down in."""
    return "faults" if fault.victim.namespace else "nodefaults"


def name(fault: PlannedFault) -> str:
    """Return the name of this fault's resource: its id, as the API server takes it."""
    plain = re.sub(r"[^a-z0-9.-]+", "-", fault.id.lower())
    return plain.strip("-.")[:253]


def beside(fault: PlannedFault) -> str:
    """Name what a fault makes beside its target."""
    return f"chaos-{name(fault)}"


def path(fault: PlannedFault) -> str:
    """Return the API path of this fault's resource."""
    return f"{collection(fault)}/{name(fault)}"


def body(fault: PlannedFault, run: str, undo: Undo, order: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the resource that says all a healer needs, and what its hand is to do where that acts by itself."""
    victim = fault.victim
    fields = ("kind", "namespace", "name", "uid", "node", "zone", "owner", "container", "path")
    target = {field: value for field in fields if (value := getattr(victim, field))}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Fault" if victim.namespace else "NodeFault",
        "metadata": {
            "name": name(fault),
            "labels": {RUN_LABEL: run} | ({NODE_LABEL: victim.node} if victim.node else {}),
        },
        "spec": {
            "run": run,
            "id": fault.id,
            "kind": fault.kind,
            "hand": str(fault.hand),
            "activity": fault.activity,
            "target": target,
            "parameters": {**fault.parameters, **({str(fault.hand): dict(order)} if order else {})},
            "undo": undo,
        },
    }


async def create(
    kube: Kube, fault: PlannedFault, run: str, undo_ops: Undo, order: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Write the fault down; one of that name that a dead run left is replaced.

    Raises PreconditionFailed where the cluster would not keep how it is undone: its definition is of an older version.
    """
    wanted = body(fault, run, undo_ops, order)
    try:
        made = await kube.create(collection(fault), wanted)
    except ApiError as error:
        if error.status != 409:
            raise
        await delete(kube, fault)
        made = await kube.create(collection(fault), wanted)
    if made["spec"]["undo"] != undo_ops:
        await delete(kube, fault)
        raise PreconditionFailed(
            "the cluster does not keep how this fault is undone",
            where=collection(fault),
            why="its definition of faults is of an older version",
            hint="an administrator applies what `harness crds` prints; on the local cluster: harness up",
        )
    return made


async def status(kube: Kube, fault: PlannedFault, phase: Phase | str, **times: Value) -> None:
    """Write the fault's phase, and any of injected_at, applied_at, felt_at, healed_at, evidence, message.

    Times are datetimes, RFC 3339 texts or epoch seconds. A resource that someone deleted is left deleted.
    """
    values = {_camel(key): _plain(key, value) for key, value in times.items() if value is not None}
    try:
        await kube.patch(f"{path(fault)}/status", {"status": {"phase": str(phase), **values}})
    except ApiError as error:
        if error.status != 404:
            raise


async def delete(kube: Kube, fault: PlannedFault) -> None:
    """Strike the fault out; one that is gone already is fine."""
    try:
        await kube.delete(path(fault))
    except ApiError as error:
        if error.status != 404:
            raise


def collections(namespace: str = "") -> tuple[str, ...]:
    """Return the API paths of all that is written down, or of what is in one namespace."""
    return (f"{ROOT}/namespaces/{namespace}/faults",) if namespace else (f"{ROOT}/faults", f"{ROOT}/nodefaults")


async def list_all(kube: Kube, namespace: str = "") -> list[dict[str, Any]]:
    """List every fault that is written down, or those of one namespace; without the definitions there are none."""
    found: list[dict[str, Any]] = []
    for path in collections(namespace):
        try:
            found += await kube.list(path)
        except ApiError as error:
            if error.status != 404:
                raise
    return found


def planned(item: dict[str, Any]) -> PlannedFault:
    """Rebuild a fault from its resource, as a process that did not make it needs it."""
    spec = item["spec"]
    victim = Victim(**{"kind": "", "name": "", "uid": "", **spec["target"]})
    return PlannedFault(
        id=spec["id"],
        kind=spec["kind"],
        activity=spec.get("activity", ""),
        hand=Hand(spec["hand"]),
        victim=victim,
        parameters=spec.get("parameters") or {},
    )


def _camel(key: str) -> str:
    head, *rest = key.split("_")
    return head + "".join(word.capitalize() for word in rest)


def _plain(key: str, value: Value) -> Any:
    if isinstance(value, int | float) and key.endswith(("_at", "At")):
        value = datetime.fromtimestamp(value, UTC)
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
