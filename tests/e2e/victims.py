"""Two web servers of the tests' own, and what the tests do to them."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio

from bench.dying import workload
from bench.dying.place import AGENTS, SYSTEM
from bench.dying.workload import APP, SERVER, until
from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.engine.preflight import scope
from harness.errors import HarnessError
from harness.faults import FAULTS
from harness.keeper import client
from harness.model.plan import PlannedFault, Victim
from harness.resources import resource
from harness.targets.reach import Reach
from harness.workloads.pod import is_done, is_going, is_ready

NAMESPACE = "chaos-keeper-test"
LEASE = f"{scope.LEASES.format(scope.SYSTEM)}/{scope.LEASE}"
LEASE_SECONDS, RENEW_SECONDS = 15, 3.0
__all__ = [
    "APP",
    "LEASE",
    "LEASE_SECONDS",
    "NAMESPACE",
    "RENEW_SECONDS",
    "SERVER",
    "agents_renewed",
    "held",
    "looked_after",
    "node_of",
    "planned",
    "pod_of",
    "renew",
    "renewed",
    "server",
    "settled",
    "until",
    "walk",
    "written",
]


async def settled(kube: Kube) -> None:
    """Wait until the budget lets one of two ready web servers go."""
    await workload.settled(kube, NAMESPACE)


async def pod_of(kube: Kube, *, besides: str = "") -> Victim:
    """Name one of the web servers."""
    items = await kube.list(paths.pods(NAMESPACE), labels=f"app={APP}")
    # One that its kubelet evicted stays as a pod that has ended, until somebody deletes it.
    items = [item for item in items if not (is_going(item) or is_done(item)) and item["metadata"]["uid"] != besides]
    item = sorted(items, key=lambda item: str(item["metadata"]["name"]))[0]
    metadata = item["metadata"]
    return Victim("pod", metadata["name"], metadata["uid"], NAMESPACE, item["spec"]["nodeName"], container="web")


async def node_of(kube: Kube) -> Victim:
    """Name a worker that hosts a web server."""
    name = (await pod_of(kube)).node
    item = await kube.get(paths.nodes(name))
    return Victim("node", name, item["metadata"]["uid"], node=name)


async def renew(kube: Kube, run: str) -> None:
    """Renew the Lease of a run as its engine does."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
    spec = {"holderIdentity": run, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now}
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": scope.LEASE}, "spec": spec}
    await kube.patch(LEASE, body, kind="apply", fieldManager="test", force="true")


@contextlib.asynccontextmanager
async def held(kube: Kube, run: str) -> AsyncIterator[None]:
    """Hold the Lease for a run as long as the API server answers: agents heal what nobody renews."""

    async def go_on() -> None:
        while True:
            await anyio.sleep(RENEW_SECONDS)
            with contextlib.suppress(HarnessError):
                await renew(kube, run)

    await renew(kube, run)
    async with anyio.create_task_group() as renewing:
        renewing.start_soon(go_on)
        yield
        renewing.cancel_scope.cancel()
    await kube.delete(LEASE)


@contextlib.asynccontextmanager
async def looked_after(kube: Kube, app: str = APP) -> AsyncIterator[None]:
    """Have the kubelets look at an app's pods each second, as at any pod that was changed, and not when it is time.

    They show a changed Secret after a minute, and start a container again up to 15 s after its back-off is over.
    """

    async def touch() -> None:
        for number in itertools.count():
            with contextlib.suppress(HarnessError):
                for pod in await kube.list(paths.pods(NAMESPACE), labels=f"app={app}"):
                    touched = {"metadata": {"annotations": {"looked-at": str(number)}}}
                    await kube.patch(paths.pods(NAMESPACE, pod["metadata"]["name"]), touched)
            await anyio.sleep(1)

    async with anyio.create_task_group() as touching:
        touching.start_soon(touch)
        yield
        touching.cancel_scope.cancel()


async def renewed(kube: Kube) -> None:
    """Replace the web servers that were started again, so that nobody waits for a kubelet's back-off."""
    await workload.renew(kube, NAMESPACE)
    await settled(kube)


async def agents_renewed(kube: Kube) -> None:
    """Replace the agents that were started again, as with their node, so that nobody waits for a kubelet's back-off."""
    await workload.renew(kube, SYSTEM, AGENTS)
    nodes = len(await kube.list(paths.nodes()))

    async def whole() -> bool:
        found = await kube.list(paths.pods(SYSTEM), labels=AGENTS)
        return len(found) == nodes and all(is_ready(pod) and not is_going(pod) for pod in found)

    await until(whole)


def planned(kind: str, victim: Victim, name: str = "f", **parameters: Any) -> PlannedFault:
    """Plan one fault as the engine does."""
    return PlannedFault(f"{name}-{time.monotonic_ns()}", kind, "a test", FAULTS[kind].hand, victim, parameters)


async def written(reach: Reach, fault: PlannedFault) -> None:
    """Put a fault's undo on the ledger and write it down in the cluster, as the engine does before the effect.

    An agent acts as soon as it is there, and for no longer than its run's Lease is renewed.
    """
    kind = FAULTS[fault.kind]
    assert isinstance(reach.healer, client.Keeper)
    if kind.prepare:
        reach.note(fault)["undo"] = await kind.prepare(fault, reach)
    undo = kind.undo(fault, reach)
    if undo:
        await reach.by(fault).register(fault.id, undo)
    order = await kind.order(fault, reach) if kind.order else None
    await resource.create(reach.kube, fault, reach.healer.run, undo, order)


async def walk(reach: Reach, fault: PlannedFault) -> dict[str, Any]:
    """Take a fault through its whole life and return what was seen, with the seconds it took."""
    kind = FAULTS[fault.kind]
    await written(reach, fault)
    seen: dict[str, Any] = {"kind": fault.kind}
    began = time.monotonic()
    with anyio.fail_after(120):
        seen["facts"] = await kind.inject(fault, reach)
        seen["felt"] = await kind.felt(fault, reach)
        seen["felt_after"] = round(time.monotonic() - began, 2)
        began = time.monotonic()
        await kind.heal(fault, reach)
        seen["undone_after"] = round(time.monotonic() - began, 2)
        seen["healed"] = await kind.healed(fault, reach)
        seen["healed_after"] = round(time.monotonic() - began, 2)
    await reach.healer.forget(fault.id)
    await resource.delete(reach.kube, fault)
    assert reach.cluster
    assert fault.id not in await client.owed(reach.cluster.keeper_socket)
    print(json.dumps(seen, default=str))
    return seen


def server(image: str, **more: Any) -> dict[str, Any]:
    """Make a container that serves."""
    command, requests = ["python3", "-u", "-c", SERVER], {"cpu": "10m", "memory": "32Mi"}
    about = {"name": "web", "image": image, "imagePullPolicy": "IfNotPresent", "command": command}
    return {**about, "resources": {"requests": requests}, **more}
