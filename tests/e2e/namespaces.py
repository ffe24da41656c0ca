"""Namespaces of the tests' own: they are emptied at once, and Kubernetes drops what is left in its own time.

Its controller waits for five seconds before it begins, and in the meantime nobody waits for that.
"""

from __future__ import annotations

import anyio

from bench.dying import workload
from bench.dying.workload import until
from harness.cluster.kube import Kube


async def emptied(kube: Kube, *names: str) -> None:
    """Delete namespaces with their content, and wait until no pod is left and a fingerprint tells nothing of them.

    Nothing can be made in them any more; that they are still listed for some seconds is all that there is to see.
    """
    async with anyio.create_task_group() as together:
        for name in names:
            together.start_soon(workload.emptied, kube, name)


async def gone(kube: Kube, name: str = "") -> None:
    """Wait until no namespace, or not the one of this name, is on its way out."""

    async def so() -> bool:
        found = await kube.list("/api/v1/namespaces")
        going = {item["metadata"]["name"] for item in found if item["metadata"].get("deletionTimestamp")}
        return name not in going if name else not going

    await until(so)
