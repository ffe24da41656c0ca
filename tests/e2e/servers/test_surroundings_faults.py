"""Faults of nodes, namespaces, pods and the DNS on a real cluster: felt from outside, undone as found.

Each is undone by its run, and by the keeper alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.engine.planning import plan
from harness.errors import ApiError
from harness.model.plan import Victim
from harness.targets import admission
from harness.targets.reach import Reach
from harness.workloads.pod import is_ready
from tests.e2e.live import kubectl
from tests.e2e.undoing import Undo, begun, by_the_keeper, by_the_run, of, over
from tests.e2e.victims import APP, NAMESPACE, node_of, planned, pod_of, renewed, until, walk

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]
# What a pod that needs a name does: prints whether it was found.
ASK = """
import socket
try:
    socket.getaddrinfo("kubernetes.default.svc.cluster.local.", 443)
    print("found")
except OSError:
    print("lost")
"""


@pytest.fixture(params=(by_the_run, by_the_keeper), ids=lambda one: one.__name__)
def undone(request: pytest.FixtureRequest) -> Undo:
    """Undo by the run's requests or by the keeper's kubectl; the resource alone is tried with what heals sooner."""
    found: Undo = request.param
    return found


async def test_a_node_is_tainted_with_a_key_of_its_own_and_untainted(reach: Reach, kube: Kube, undone: Undo) -> None:
    victim = await node_of(kube)
    before = (await kube.get(paths.nodes(victim.name)))["spec"].get("taints")
    fault = planned("node_taint", victim, effect="NoSchedule")
    assert await begun(reach, fault) == {"tainted": True}
    await over(reach, fault, undone)
    assert (await kube.get(paths.nodes(victim.name)))["spec"].get("taints") == before


async def test_a_taint_that_somebody_put_beside_it_stays(reach: Reach, kube: Kube, undone: Undo) -> None:
    victim, theirs = await node_of(kube), {"key": "theirs", "effect": "PreferNoSchedule"}
    fault = planned("node_taint", victim, effect="NoSchedule")
    await begun(reach, fault)
    taints = (await kube.get(paths.nodes(victim.name)))["spec"]["taints"]
    try:
        await kube.patch(paths.nodes(victim.name), {"spec": {"taints": [theirs, *taints]}})
        await over(reach, fault, undone)
        keys = [one["key"] for one in (await kube.get(paths.nodes(victim.name)))["spec"]["taints"]]
        assert "theirs" in keys
        assert not [key for key in keys if key.startswith("chaos.harness.dev/")]
    finally:
        item = await kube.get(paths.nodes(victim.name))
        left = [one for one in item["spec"].get("taints") or [] if one["key"] != "theirs"]
        await kube.patch(paths.nodes(victim.name), {"spec": {"taints": left or None}})


async def test_every_pod_that_the_plan_names_leaves_a_node_that_nothing_tolerates(reach: Reach, kube: Kube) -> None:
    victim = await node_of(kube)
    takes = await plan.takes(kube, "node_taint", victim, {"effect": "NoExecute"})
    fault = replace(planned("node_taint", victim, effect="NoExecute"), takes=takes)
    assert any(pod.namespace == NAMESPACE for pod in takes)
    seen = await walk(reach, fault)
    assert seen["felt"]["going"]

    async def left() -> bool:
        there = {pod["metadata"]["uid"] for pod in await kube.list("/api/v1/pods")}
        return not there & {pod.uid for pod in takes}

    await until(left)


async def test_a_pod_is_dead_where_it_is_and_lives_again(reach: Reach, kube: Kube, undone: Undo) -> None:
    await renewed(kube)
    fault = planned("pod_failure", await pod_of(kube))
    path = paths.pods(NAMESPACE, fault.victim.name)
    before = (await kube.get(path))["spec"]["containers"]
    assert (await begun(reach, fault))["state"] in ("waiting", "terminated")
    there = {pod["metadata"]["uid"] for pod in await kube.list(paths.pods(NAMESPACE), labels=f"app={APP}")}
    assert fault.victim.uid in there
    assert len(there) == 2
    assert await over(reach, fault, undone) == {"ready": True}
    assert (await kube.get(path))["spec"]["containers"] == before


async def test_nothing_is_created_while_admission_fails_and_all_else_passes(
    reach: Reach, kube: Kube, undone: Undo
) -> None:
    victim = await of(kube, paths.namespace(NAMESPACE), f"Namespace/{NAMESPACE}", "namespace")
    fault = planned("admission_failure", victim, of="pods")
    assert (await begun(reach, fault))["refused"] == "pods"
    assert "failed calling webhook" in await admission.refusal(kube, NAMESPACE, "pods")
    assert await admission.refusal(kube, NAMESPACE, "services") == ""
    assert await admission.refusal(kube, "default", "pods") == ""
    # What an undo does: changes and deletions.
    pod = paths.pods(NAMESPACE, (await pod_of(kube)).name)
    await kube.patch(pod, {"metadata": {"annotations": {"asked": "yes"}}})
    await kube.delete(pod)
    assert await over(reach, fault, undone) == {"webhook": "gone"}

    async def replaced() -> bool:
        return sum(map(is_ready, await kube.list(paths.pods(NAMESPACE), labels=f"app={APP}"))) == 2

    await until(replaced)


async def test_the_cluster_has_no_dns_until_it_is_back(reach: Reach, kube: Kube) -> None:
    path = paths.deployments("kube-system", "coredns")
    found = await kube.get(path)
    uid, owner = found["metadata"]["uid"], "Deployment/coredns"
    victim = Victim("workload", "coredns", uid, "kube-system", owner=owner, container="coredns", path=path)
    asker = (await pod_of(kube)).name

    def asked() -> str:
        assert reach.cluster
        return kubectl(reach.cluster, "exec", f"--namespace={NAMESPACE}", asker, "--", "python3", "-c", ASK).strip()

    assert asked() == "found"
    fault = planned("dns_loss", victim)
    assert "kube-dns" in (await begun(reach, fault))["served_by_nobody"]
    assert asked() == "lost"
    # One way to undo it is enough: it is that of a workload that was scaled, which is undone in all of them.
    assert (await over(reach, fault, by_the_keeper))["ready"] == found["spec"]["replicas"]

    async def found_again() -> bool:
        return asked() == "found"

    # Each node hears of the new endpoints in its own time.
    await until(found_again)
    # On a worker they would be within reach of every fault of a node.
    assert reach.cluster
    serving = await kube.list(paths.pods("kube-system"), labels="k8s-app=kube-dns")
    assert {pod["spec"]["nodeName"] for pod in serving} == {reach.cluster.control_plane}


async def test_nothing_is_admitted_while_the_quota_is_exhausted(reach: Reach, kube: Kube, undone: Undo) -> None:
    uid = (await kube.get(paths.namespace(NAMESPACE)))["metadata"]["uid"]
    owner, path = f"Namespace/{NAMESPACE}", paths.namespace(NAMESPACE)
    fault = planned(
        "namespace_quota_exhaustion", Victim("namespace", NAMESPACE, uid, NAMESPACE, owner=owner, path=path)
    )
    fault = replace(fault, parameters={"of": "configmaps"})
    assert (await begun(reach, fault))["hard"] == "0"

    async def refused() -> bool:
        try:
            await kube.create(paths.core(NAMESPACE, "configmaps"), {"metadata": {"name": "one-more"}})
        except ApiError as error:
            return "exceeded quota" in str(error)
        await kube.delete(paths.core(NAMESPACE, "configmaps", "one-more"))
        return False

    # An API server admits by a cache of its own, which follows what the quota controller wrote within moments.
    await until(refused, 5)
    assert await over(reach, fault, undone) == {"quota": "gone"}

    async def admitted() -> bool:
        return bool(await kube.create(paths.core(NAMESPACE, "configmaps"), {"metadata": {"name": "one-more"}}))

    await until(admitted)
    await kube.delete(paths.core(NAMESPACE, "configmaps", "one-more"))


@pytest.fixture
async def service(kube: Kube) -> AsyncIterator[None]:
    """A Service in front of the web servers."""
    path = paths.core(NAMESPACE, "services", "front")
    spec = {"selector": {"app": APP}, "ports": [{"port": 80, "targetPort": 8080}]}
    await kube.patch(
        path, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "front"}, "spec": spec}, kind="apply"
    )

    async def sent() -> bool:
        slices = await kube.list(
            f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices",
            labels="kubernetes.io/service-name=front",
        )
        return sum(len(item.get("endpoints") or []) for item in slices) == 2

    await until(sent)
    yield
    await kube.delete(path)


async def test_a_pod_leaves_the_rotation_is_replaced_and_comes_back_or_goes(
    reach: Reach, kube: Kube, service: None, undone: Undo
) -> None:
    fault = planned("pod_unready", await pod_of(kube))
    # The web servers may have a Service of their own beside this one.
    assert "front" in (await begun(reach, fault))["out_of"].split(", ")
    assert is_ready(await kube.get(paths.pods(NAMESPACE, fault.victim.name)))

    async def replaced() -> bool:
        return len(await kube.list(paths.pods(NAMESPACE), labels=f"app={APP}")) == 2

    await until(replaced)
    found = await over(reach, fault, undone)
    assert found["pod"] in ("back", "gone")

    await until(replaced)
