"""Server-side apply a set of objects, remember them, and remove what is no longer among them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import anyio

from harness.cluster import observe
from harness.cluster.kube import Kube
from harness.cluster.observe import Objects
from harness.errors import ApiError, PreconditionFailed
from harness.stack.parts import CORE

Object = Mapping[str, Any]
MANAGER = "harness-stack"
DEFINITION, AUTOSCALER = "CustomResourceDefinition", "HorizontalPodAutoscaler"
PLURALS = {
    "AuthorizationPolicy": "authorizationpolicies",
    "NetworkPolicy": "networkpolicies",
    "PriorityClass": "priorityclasses",
}
API = "APIService"
CLUSTER_SCOPED = frozenset(
    {
        *("Namespace", "PriorityClass", "ClusterRole", "ClusterRoleBinding", DEFINITION),
        *("MutatingWebhookConfiguration", API),
    }
)
FIRST = (
    *("Namespace", DEFINITION, "PriorityClass", "LimitRange", "ResourceQuota", "ServiceAccount", "ConfigMap"),
    # istiod that finds a gateway without the right to its certificate does not ask again for a minute.
    *("Role", "RoleBinding"),
)
"""Kinds that others need or read as they start; each is complete before what follows. The rest goes in one sweep."""
PARALLEL = 8
# A definition is served a second after it was applied; on a machine that others have, thirty were not enough once.
ESTABLISHED_SECONDS = 120.0
# A namespace with one controller is gone about ten seconds after it was deleted.
GONE_SECONDS = 120.0
NAMESPACES = "/api/v1/namespaces"
INVENTORY_NAMESPACE, INVENTORY_NAME = "monitoring", "harness-stack"
INVENTORY = f"{NAMESPACES}/{INVENTORY_NAMESPACE}/configmaps/{INVENTORY_NAME}"


def path(item: Object) -> str:
    """Return the API path of an object."""
    version, kind, metadata = item["apiVersion"], item["kind"], item["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    inside = "" if kind in CLUSTER_SCOPED else f"/namespaces/{metadata['namespace']}"
    plural = PLURALS.get(kind, f"{kind.lower()}s")
    return f"{root}{inside}/{plural}/{metadata['name']}"


def autoscaled(items: Iterable[Object]) -> dict[str, tuple[int, int]]:
    """Return the paths of the workloads whose replicas are an autoscaler's business, and its bounds."""
    found = {}
    for item in items:
        if item["kind"] == AUTOSCALER:
            spec, namespace = item["spec"], item["metadata"]["namespace"]
            target = spec["scaleTargetRef"]
            of = {**target, "metadata": {"name": target["name"], "namespace": namespace}}
            found[path(of)] = spec.get("minReplicas", 1), spec["maxReplicas"]
    return found


async def _as_scaled(kube: Kube, items: list[Object]) -> list[Object]:
    """Give each workload that an autoscaler scales the replicas that it has by now, within the bounds.

    To leave them out would not do: who has said a number and says none any more takes it back, and one is left.
    """
    bounds, found = autoscaled(items), list[Object]()
    for item in items:
        least, most = bounds.get(path(item), (0, 0))
        if most:
            try:
                there = (await kube.get(path(item)))["spec"].get("replicas", 1)
            except ApiError as error:
                if error.status != 404:
                    raise
                there = 0
            if least <= there <= most:
                item = {**item, "spec": {**item["spec"], "replicas": there}}
        found.append(item)
    return found


async def apply(kube: Kube, items: Iterable[Object]) -> list[str]:
    """Apply every object, those that others need first; return their paths in that order."""
    left = await _as_scaled(kube, list(items))
    done: list[str] = []
    for kind in FIRST:
        stage = [item for item in left if item["kind"] == kind]
        left = [item for item in left if item["kind"] != kind]
        done += await _stage(kube, stage)
        if kind == DEFINITION:
            for item in stage:
                await _established(kube, item)
    return done + await _stage(kube, left)


async def _stage(kube: Kube, items: list[Object]) -> list[str]:
    limit = anyio.CapacityLimiter(PARALLEL)

    async def one(item: Object) -> None:
        async with limit:
            await _one(kube, item)

    try:
        async with anyio.create_task_group() as tasks:
            for item in items:
                tasks.start_soon(one, item)
    except ExceptionGroup as group:
        # The first refusal is what the user needs; the others were cut short by it.
        raise group.exceptions[0] from None
    return [path(item) for item in items]


async def _one(kube: Kube, item: Object) -> None:
    try:
        await kube.patch(path(item), item, kind="apply", fieldManager=MANAGER, force="true", fieldValidation="Strict")
        if item["kind"] == "Rollout":
            # An apply leaves alone what a release added; a template that is as it was is no release.
            whole = {"op": "replace", "path": "/spec/template", "value": item["spec"]["template"]}
            await kube.patch(path(item), [whole], kind="json")
    except ApiError as error:
        metadata = item["metadata"]
        raise PreconditionFailed(
            f"the API server refused {item['kind']} {metadata['name']}",
            where=metadata.get("namespace", "cluster"),
            why=str(error),
            hint="see `kubectl explain` for what this server knows of that kind",
        ) from error


async def _established(kube: Kube, item: Object, seconds: float = ESTABLISHED_SECONDS) -> None:
    name = item["metadata"]["name"]
    with anyio.move_on_after(seconds):
        async for _, seen in kube.watch(path(item).rpartition("/")[0], fields=f"metadata.name={name}"):
            conditions = seen.get("status", {}).get("conditions") or []
            if any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
                return
    raise PreconditionFailed(f"the resource definition {name} is not served after {seconds:.0f} s")


async def served(kube: Kube, items: Iterable[Object]) -> bool:
    """Say whether the API server knows the kinds of all objects that have their definitions beside them."""
    items = list(items)
    groups = {item["spec"]["group"] for item in items if item["kind"] == DEFINITION}
    wanted = {(item["apiVersion"], item["kind"]) for item in items if item["apiVersion"].partition("/")[0] in groups}
    for version in {version for version, _ in wanted}:
        try:
            known = await kube.get(f"/apis/{version}")
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        wanted -= {(version, resource["kind"]) for resource in known["resources"]}
    return not wanted


async def inventory(kube: Kube) -> dict[str, str]:
    """Return what was remembered of the last deployment; nothing when there was none, or it may not be read."""
    try:
        return await remembered(kube)
    except ApiError as error:
        if error.status == 403:
            return {}
        raise


async def remembered(kube: Kube) -> dict[str, str]:
    """Return what was remembered of the last deployment; nothing when there was none.

    Raises ApiError where it may not be read, too.
    """
    try:
        found = await kube.get(INVENTORY)
    except ApiError as error:
        if error.status == 404:
            return {}
        raise
    return dict(found.get("data") or {})


async def remember(kube: Kube, paths: list[str], key: str, overlay: str, parts: Sequence[str] = (CORE,)) -> None:
    """Write down what is deployed; an empty key says that a deployment is under way."""
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": INVENTORY_NAME, "namespace": INVENTORY_NAMESPACE},
        "data": {"key": key, "overlay": overlay, "parts": ",".join(parts), "paths": json.dumps(paths)},
    }
    await kube.patch(INVENTORY, body, kind="apply", fieldManager=MANAGER, force="true")


def paths(remembered: Mapping[str, str]) -> list[str]:
    """Return the paths of a remembered deployment."""
    return list(json.loads(remembered.get("paths", "[]")))


def parts(remembered: Mapping[str, str]) -> tuple[str, ...]:
    """Return the parts of a remembered deployment that came up whole; none while one is under way."""
    whole = remembered.get("parts", CORE) if remembered.get("key") else ""
    return tuple(whole.split(",")) if whole else ()


def overlay(remembered: Mapping[str, str]) -> str:
    """Return the variant of a remembered deployment."""
    return remembered.get("overlay", "kind")


def workloads(remembered: Mapping[str, str]) -> list[str]:
    """Return the namespaces in which a remembered deployment has Deployments."""
    found = (path.split("/") for path in paths(remembered) if "/deployments/" in path)
    return sorted({words[words.index("namespaces") + 1] for words in found})


async def prune(kube: Kube, gone: Iterable[str]) -> None:
    """Delete objects that are no longer part of the stack, last applied first, and wait for namespaces to be gone.

    Raises PreconditionFailed for one that stays: nothing could be put into it again.
    """
    gone = list(gone)
    for item in reversed(gone):
        try:
            await kube.delete(item, propagation="Background")
        except ApiError as error:
            if error.status != 404:
                raise
    names = {name for item in gone if (name := item.removeprefix(f"{NAMESPACES}/")) != item and "/" not in name}
    left = names

    async def none(found: Objects) -> bool | None:
        nonlocal left
        left = names & {one["metadata"]["name"] for one in found.values()}
        return None if left else True

    if names:
        with anyio.move_on_after(GONE_SECONDS):
            await observe.until(kube, NAMESPACES, none)
    if left:
        raise PreconditionFailed(
            f"still being removed after {GONE_SECONDS:.0f} s: {', '.join(sorted(left))}",
            hint="`kubectl get namespace -o yaml` says what each waits for; the same command goes on from there",
        )
