"""Leave the cluster without its DNS for a time: what keeps the pods that answer names is scaled to none, and back.

The target is that workload, named with its namespace, which the blast radius has to name, too:
`{namespace: kube-system, selector: k8s-app=kube-dns, workloads: 1}`. One whose pods have no port 53 for UDP, or that no
Service leads to, is refused. It is alone in its run: while names mean nothing, no other fault shows what it is about.
The undo asks the cluster for no name: a kubeconfig has the API server's address, agents have it from Kubernetes, and
the keeper and the nodes have a DNS of their own. It sets the replicas that were written down before, as
`workload_scale` does. What clients remember, and what a DNS cache on the nodes does, is answered meanwhile, and so is
whoever asks pods that were told to go, until they are gone.

Felt when none of the pods is there to stay and no endpoint of their Services serves any more (some seconds: CoreDNS
goes on for 5 s). Healed when as many pods are ready as before, and each of these Services has an endpoint again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anyio

from harness.cluster import observe
from harness.errors import InjectionFailed
from harness.faults import workload_scale
from harness.faults.kind import FaultKind, Object, Unfit, as_recorded, recorded
from harness.model.disturbance import Disturbance
from harness.model.fault import Hand, Undo
from harness.model.plan import PlannedFault, Victim
from harness.targets import objects, services
from harness.targets.reach import Facts, Reach

PAUSE_SECONDS = 0.25
PORT = 53
NOT_THE_ONE = "this workload is not the cluster's DNS"
HINT = "{namespace: kube-system, selector: k8s-app=kube-dns, workloads: 1}, where kubeadm has put it"


def _template(workload: Object) -> Mapping[str, Any]:
    found: Mapping[str, Any] = workload.get("spec", {}).get("template") or {}
    return found


def _answers_names(workload: Object) -> bool:
    containers = _template(workload).get("spec", {}).get("containers") or []
    ports = [port for one in containers for port in one.get("ports") or []]
    return any(port.get("containerPort") == PORT and port.get("protocol") == "UDP" for port in ports)


def unfit(parameters: Mapping[str, Any], scale: Object, victim: Victim) -> Unfit | None:
    """Say that the workload answers no names, or why it cannot be scaled."""
    if not _answers_names(scale.get("of") or {}):
        return Unfit(NOT_THE_ONE, f"no container of {victim.owner} has port {PORT} for UDP", HINT)
    return workload_scale.unfit(parameters, scale, victim)


async def prepare(fault: PlannedFault, reach: Reach) -> Undo:
    """Find the Services that lead to its pods, and read how many replicas there are."""
    template = _template(await objects.read(reach.kube, fault))
    pod = {"metadata": {**(template.get("metadata") or {}), "namespace": fault.victim.namespace}}
    names = sorted(item["metadata"]["name"] for item in await services.of(reach, pod))
    if not names:
        raise InjectionFailed(NOT_THE_ONE, where=str(fault.victim), why="no Service leads to its pods", hint=HINT)
    reach.note(fault)["services"] = names
    return await workload_scale.prepare(fault, reach)


async def felt(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until none of its pods is there to stay, and nothing serves its Services."""
    facts, names = await workload_scale.felt(fault, reach), reach.note(fault)["services"]
    await _until(lambda served: not {*names} & served, fault, reach)
    return facts | {"served_by_nobody": ", ".join(names)}


async def healed(fault: PlannedFault, reach: Reach) -> Facts:
    """Wait until the workload is complete, and each of its Services is served."""
    facts, names = await workload_scale.healed(fault, reach), reach.note(fault)["services"]
    await _until(lambda served: {*names} <= served, fault, reach)
    return facts | {"served": ", ".join(names)}


async def _until(true: Callable[[set[str]], bool], fault: PlannedFault, reach: Reach) -> None:
    while True:
        with observe.asked_again():
            if true(await services.served(fault, reach)):
                return
        await anyio.sleep(PAUSE_SECONDS)


FAULT = FaultKind(
    name="dns_loss",
    hand=Hand.API,
    target="workload",
    summary="Leave the cluster without its DNS: its workload is scaled to none, and back; alone in a run.",
    evidence="none of its pods is there, and no endpoint of its Services serves",
    healed_when="as many of its pods are ready as before, and its Services have endpoints again",
    disturbs=frozenset({Disturbance.NETWORK}),
    rights=(
        *workload_scale.FAULT.rights,
        {"apiGroups": [""], "resources": ["services"], "verbs": ["list"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"]},
    ),
    reaches=objects.every,
    spends=True,
    alone=True,
    part=workload_scale.SCALE,
    unfit=unfit,
    most=workload_scale.most,
    prepare=prepare,
    undo=recorded,
    inject=workload_scale.inject,
    felt=felt,
    heal=as_recorded,
    healed=healed,
)
