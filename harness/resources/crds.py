"""The two custom resources that say what is broken on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.cluster import observe
from harness.cluster.observe import Objects
from harness.errors import ApiError
from harness.model.fault import Phase

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

GROUP, VERSION = "chaos.harness.dev", "v1alpha1"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

_TEXT = {"type": "string"}
_TIME = {"type": "string", "format": "date-time"}
_ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def _schema() -> dict[str, Any]:
    target = dict.fromkeys(("kind", "namespace", "name", "uid", "node", "zone", "owner", "container", "path"), _TEXT)
    # Open: what an operation says besides is its hand's, and an undo of another version is kept whole.
    operation = {**_ANYTHING, "required": ["op"], "properties": {"op": _TEXT}}
    spec = {
        "type": "object",
        "required": ["run", "id", "kind", "hand", "target", "undo"],
        "properties": {
            "run": _TEXT,
            "id": _TEXT,
            "kind": _TEXT,
            "hand": {"type": "string", "enum": ["api", "node", "host"]},
            "activity": _TEXT,
            "target": {"type": "object", "required": ["kind", "name", "uid"], "properties": target},
            "parameters": _ANYTHING,
            "undo": {"type": "array", "items": operation},
        },
    }
    condition = {
        "type": "object",
        "required": ["type", "status"],
        "properties": {
            "type": _TEXT,
            "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
            "reason": _TEXT,
            "message": _TEXT,
            "lastTransitionTime": _TIME,
        },
    }
    status = {
        "type": "object",
        "properties": {
            "phase": {"type": "string", "enum": [str(phase) for phase in Phase]},
            "injectedAt": _TIME,
            "appliedAt": _TIME,
            "feltAt": _TIME,
            "healedAt": _TIME,
            "message": _TEXT,
            "evidence": _ANYTHING,
            "conditions": {
                "type": "array",
                "items": condition,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
        },
    }
    return {"type": "object", "required": ["spec"], "properties": {"spec": spec, "status": status}}


def _definition(kind: str, plural: str, scope: str) -> dict[str, Any]:
    columns = [
        ("Run", ".spec.run"),
        ("Kind", ".spec.kind"),
        ("Target", ".spec.target.name"),
        ("Phase", ".status.phase"),
    ]
    printed = [{"name": name, "type": "string", "jsonPath": path} for name, path in columns]
    printed.append({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "chaos-harness"}},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "categories": ["chaos"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": _schema()},
                    "additionalPrinterColumns": printed,
                }
            ],
        },
    }


def definitions() -> list[dict[str, Any]]:
    """Return the definitions of `faults` (in a namespace) and `nodefaults` (of the cluster)."""
    return [_definition("Fault", "faults", "Namespaced"), _definition("NodeFault", "nodefaults", "Cluster")]


async def installed(kube: Kube) -> bool:
    """Say whether the API server serves both definitions; anyone may ask."""
    try:
        served = await kube.get(f"/apis/{GROUP}/{VERSION}")
    except ApiError as error:
        if error.status != 404:
            raise
        return False
    return {"faults", "nodefaults"} <= {item["name"] for item in served.get("resources") or []}


async def install(kube: Kube) -> None:
    """Apply both definitions and wait until the API server serves them."""
    for definition in definitions():
        name = definition["metadata"]["name"]
        await kube.patch(f"{_CRDS}/{name}", definition, kind="apply")

    async def established(objects: Objects) -> bool | None:
        names = {item["metadata"]["name"] for item in objects.values() if _established(item)}
        return True if all(item["metadata"]["name"] in names for item in definitions()) else None

    await observe.until(kube, _CRDS, established)


def _established(item: dict[str, Any]) -> bool:
    conditions = item.get("status", {}).get("conditions") or []
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)
