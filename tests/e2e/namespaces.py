"""Namespaces of the tests' own: they are emptied at once, and Kubernetes drops what is left in its own time.

Its controller waits for five seconds before it begins, and in the meantime nobody waits for that.
"""

from __future__ import annotations

import contextlib

from bench.dying.workload import until
from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.engine.preflight.scope import Scope
from harness.engine.undoing import fingerprint
from harness.errors import HarnessError
from harness.resources import resource

# What a fingerprint tells of, and pods.
CONTENT = {
    **fingerprint.SPECS,
    **dict.fromkeys((*fingerprint.CONFIGS, "pods"), "/api/v1"),
    "faults": resource.ROOT,
}


async def emptied(kube: Kube, name: str) -> None:
    """Delete a namespace with its content, and wait until no pod is left and a fingerprint tells nothing of it.

    Nothing can be made in it any more; that it is still listed for some seconds is all that there is to see.
    """
    with contextlib.suppress(HarnessError):
        await kube.delete(paths.namespace(name))
    for plural, root in CONTENT.items():
        with contextlib.suppress(HarnessError):
            await kube.delete(f"{root}/namespaces/{name}/{plural}")

    async def empty() -> bool:
        told = await fingerprint.take(kube, None, Scope(name, alone=True))
        return not any(f"/{name}/" in line for line in told) and not await kube.list(paths.pods(name))

    await until(empty)


async def gone(kube: Kube, name: str = "") -> None:
    """Wait until no namespace, or not the one of this name, is on its way out."""

    async def so() -> bool:
        found = await kube.list("/api/v1/namespaces")
        going = {item["metadata"]["name"] for item in found if item["metadata"].get("deletionTimestamp")}
        return name not in going if name else not going

    await until(so)
