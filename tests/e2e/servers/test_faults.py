"""Each fault against real pods and nodes: felt from outside, healed as found."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import anyio
import pytest

from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.engine.planning import plan
from harness.errors import InjectionFailed
from harness.faults import FAULTS
from harness.model.plan import Victim
from harness.resources import resource
from harness.targets import nodes
from harness.targets.reach import Reach
from harness.workloads.pod import is_ready
from tests.e2e.live import docker
from tests.e2e.victims import NAMESPACE, node_of, planned, pod_of, server, until, walk, written

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]
MANIFESTS = "/etc/kubernetes/manifests"


async def test_a_killed_pod_is_replaced(reach: Reach, kube: Kube) -> None:
    victim = await pod_of(kube)
    seen = await walk(reach, planned("pod_kill", victim, grace=0))
    assert seen["felt"]["uid"] == victim.uid
    assert seen["healed"]["ready"] >= seen["healed"]["desired"] == 2


async def test_a_pod_that_was_replaced_before_is_not_touched(reach: Reach, kube: Kube) -> None:
    victim = await pod_of(kube)
    stale = Victim("pod", victim.name, "00000000-0000-0000-0000-000000000000", NAMESPACE, victim.node)
    for kind in ("pod_kill", "pod_evict", "container_kill", "pod_freeze"):
        begin = FAULTS[kind].order or FAULTS[kind].inject
        with pytest.raises(InjectionFailed, match="deleted between"):
            await begin(planned(kind, stale), reach)
    assert (await kube.get(paths.pods(NAMESPACE, victim.name)))["metadata"]["uid"] == victim.uid


async def test_the_budget_refuses_the_second_eviction(reach: Reach, kube: Kube) -> None:
    first = await pod_of(kube)
    second = await pod_of(kube, besides=first.uid)
    faults = [planned("pod_evict", victim, f"e{number}") for number, victim in enumerate((first, second))]
    async with anyio.create_task_group() as group:
        for fault in faults:
            group.start_soon(FAULTS["pod_evict"].inject, fault, reach)
    answers = [data for kind, data in reach.notes["observed"]["events"] if kind == "eviction"]
    assert [(data["status"], data["allowed"]) for data in answers] == [(201, 1), (429, 0)]
    assert {data["desired"] for data in answers} == {1}
    for fault in faults:
        assert await FAULTS["pod_evict"].felt(fault, reach)
        await FAULTS["pod_evict"].healed(fault, reach)


async def test_an_eviction_with_a_deadline_asks_again(reach: Reach, kube: Kube) -> None:
    first = await pod_of(kube)
    second = await pod_of(kube, besides=first.uid)
    one, two = planned("pod_evict", first, "e1"), planned("pod_evict", second, "e2", deadline=60.0)
    await FAULTS["pod_evict"].inject(one, reach)
    facts = await FAULTS["pod_evict"].inject(two, reach)
    assert facts["status"] == 201
    assert facts["attempts"] > 1
    for fault in (one, two):
        await FAULTS["pod_evict"].healed(fault, reach)


async def test_a_killed_container_starts_again_in_its_pod(leased: Reach, kube: Kube) -> None:
    victim = await pod_of(kube)
    seen = await walk(leased, planned("container_kill", victim))
    assert seen["felt"]["exit_code"] == 137
    assert seen["healed"]["id"] not in ("", seen["facts"]["id"])
    assert (await kube.get(paths.pods(NAMESPACE, victim.name)))["metadata"]["uid"] == victim.uid


@pytest.fixture
async def static(kube: Kube, workload: LocalCluster, image: str) -> AsyncIterator[Victim]:
    """A static pod beside those of the control plane, which take half a minute to be ready again."""
    node, namespace = workload.control_plane, "kube-system"
    file, name = "static-web.json", f"static-web-{node}"
    spec = {"terminationGracePeriodSeconds": 1, "containers": [server(image)]}
    metadata = {"name": "static-web", "namespace": namespace}
    text = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    async def there() -> bool:
        return is_ready(await kube.get(paths.pods(namespace, name)))

    async def gone() -> bool:
        return not await kube.list(paths.pods(namespace), fields=f"metadata.name={name}")

    try:
        # Moved there as a whole: a kubelet reads at once what it finds.
        write = f"echo {base64.b64encode(text.encode()).decode()} | base64 -d > /root/{file}"
        docker(workload, "exec", node, "sh", "-c", f"{write} && mv /root/{file} {MANIFESTS}/{file}")
        await until(there)
        uid = (await kube.get(paths.pods(namespace, name)))["metadata"]["uid"]
        yield Victim("pod", name, uid, namespace, node, container="web")
    finally:
        docker(workload, "exec", node, "rm", "-f", f"{MANIFESTS}/{file}")
        await until(gone)


async def test_a_killed_container_of_a_static_pod_starts_again(leased: Reach, static: Victim) -> None:
    seen = await walk(leased, planned("container_kill", static))
    assert seen["felt"]["exit_code"] == 137
    assert seen["healed"]["ready"] is True


async def test_a_frozen_pod_answers_nothing_until_it_thaws(leased: Reach, kube: Kube) -> None:
    victim = await pod_of(kube)
    seen = await walk(leased, planned("pod_freeze", victim))
    assert "silent" in seen["felt"].get("request", "") or seen["felt"].get("ready") is False
    assert seen["healed"] == {"ready": True, "request": "answered"}


async def test_a_pod_that_its_liveness_probe_gave_up_while_frozen_comes_back(leased: Reach, kube: Kube) -> None:
    fault = planned("pod_freeze", await pod_of(kube))
    kind = FAULTS["pod_freeze"]
    await written(leased, fault)
    await kind.inject(fault, leased)

    async def given_up() -> bool:
        events = await kube.list(
            f"/api/v1/namespaces/{NAMESPACE}/events", fields=f"involvedObject.uid={fault.victim.uid}"
        )
        return any(item["reason"] == "Killing" for item in events)

    await until(given_up)
    await kind.heal(fault, leased)
    with anyio.fail_after(120):
        assert (await kind.healed(fault, leased))["ready"] is True
    await resource.delete(kube, fault)


async def test_a_cordoned_node_is_uncordoned(reach: Reach, kube: Kube) -> None:
    victim = await node_of(kube)
    seen = await walk(reach, planned("node_cordon", victim))
    assert seen["felt"]["unschedulable"] is True
    node = await kube.get(paths.nodes(victim.name))
    assert "unschedulable" not in node["spec"]
    assert nodes.CORDONED_BY not in node["metadata"].get("annotations", {})


async def test_a_node_that_someone_else_cordoned_stays_cordoned(reach: Reach, kube: Kube) -> None:
    victim = await node_of(kube)
    await kube.patch(paths.nodes(victim.name), {"spec": {"unschedulable": True}})
    try:
        fault = planned("node_cordon", victim)
        await reach.healer.register(fault.id, FAULTS["node_cordon"].undo(fault, reach))
        with pytest.raises(InjectionFailed, match="cordoned already"):
            await FAULTS["node_cordon"].inject(fault, reach)
        await FAULTS["node_cordon"].heal(fault, reach)
        await reach.healer.heal(fault.id)
        assert (await kube.get(paths.nodes(victim.name)))["spec"]["unschedulable"] is True
    finally:
        await kube.patch(paths.nodes(victim.name), {"spec": {"unschedulable": None}})


async def test_a_drained_node_loses_its_pods_and_takes_pods_again(reach: Reach, kube: Kube) -> None:
    victim = await node_of(kube)
    takes = await plan.takes(kube, "node_drain", victim, {})
    seen = await walk(reach, replace(planned("node_drain", victim, deadline=60.0), takes=takes))
    assert any(name.startswith(NAMESPACE) for name in seen["felt"]["evicted"])
    assert "unschedulable" not in (await kube.get(paths.nodes(victim.name)))["spec"]


async def test_a_frozen_node_falls_silent_and_answers_again(reach: Reach, kube: Kube) -> None:
    seen = await walk(reach, planned("node_freeze", await node_of(kube)))
    assert seen["felt"]["kubelet"] == "silent"
    assert seen["healed"]["ready"] is True


async def test_a_stopped_node_comes_back_with_its_address(reach: Reach, kube: Kube) -> None:
    victim = await node_of(kube)
    seen = await walk(reach, planned("node_stop", victim))
    assert (await reach.healer.inspect(victim.name))["addresses"] == seen["facts"]["addresses"]
