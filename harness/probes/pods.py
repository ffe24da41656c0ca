"""Ask pods themselves, by way of the API server, which hands a request on to them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio

from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.errors import ApiError, ObservationFailed, first
from harness.probes import settings


def texts(namespace: str, selector: str, port: int, path: str, secrets: settings.Settings = None) -> dict[str, str]:
    """Return what each pod that a label selector picks answers on a port, by its name; all are asked at once.

    Raises ObservationFailed where there is no such pod or one does not answer, ClusterUnreachable.
    """
    try:
        return anyio.run(partial(_texts, namespace, selector, f"{port}/proxy/{path}", secrets))
    except ApiError as error:
        raise ObservationFailed("a pod was asked and did not answer", where=error.where, why=str(error)) from error


async def _texts(namespace: str, selector: str, where: str, secrets: settings.Settings) -> dict[str, str]:
    kubeconfig, context = settings.cluster(secrets)
    found: dict[str, str] = {}
    async with Kube.connect(Path(kubeconfig) if kubeconfig else None, context) as kube:

        async def ask(name: str) -> None:
            found[name] = await kube.get_text(f"{paths.pods(namespace, name)}:{where}")

        pods = await kube.list(paths.pods(namespace), labels=selector)
        if not pods:
            raise ObservationFailed("there is no pod to ask", where=f"{namespace}/{selector}")
        try:
            async with anyio.create_task_group() as together:
                for pod in pods:
                    together.start_soon(ask, pod["metadata"]["name"])
        except BaseExceptionGroup as group:
            raise first(group) from group
    return found
