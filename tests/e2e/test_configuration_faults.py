"""Faults of the API hand against a real cluster: felt from outside, undone as found by whoever has what was written.

Each is undone in three ways: by the run's own requests, by the keeper's kubectl, and by a process that has nothing but
the Fault's resource.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest

from bench.dying.certificate import HOST
from bench.dying.workload import PORT, TLS_PORT
from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.engine import plan
from harness.engine.undo import _one
from harness.errors import ApiError, InjectionFailed
from harness.faults import FAULTS
from harness.hands.healer import Nobody
from harness.keeper import container
from harness.model.plan import PlannedFault, Victim
from harness.resources import resource
from harness.targets import admission
from harness.targets.reach import Reach
from harness.workloads.pod import is_ready
from tests.e2e.live import docker, kubectl
from tests.e2e.victims import APP, NAMESPACE, SERVER, node_of, planned, pod_of, server, until, walk, written

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]
WEB, DB = paths.deployments(NAMESPACE, APP), paths.apps(NAMESPACE, "statefulsets", "db")
SETTINGS, SECRET = paths.core(NAMESPACE, "configmaps", "settings"), paths.core(NAMESPACE, "secrets", "db")
CERTIFICATE = paths.core(NAMESPACE, "secrets", APP)
VALUE = base64.b64encode(b"swordfish").decode()
Undo = Callable[[Reach, PlannedFault], Awaitable[None]]
# What a pod that needs a name does: prints whether it was found.
ASK = """
import socket
try:
    socket.getaddrinfo("kubernetes.default.svc.cluster.local.", 443)
    print("found")
except OSError:
    print("lost")
"""


async def by_the_run(reach: Reach, fault: PlannedFault) -> None:
    await FAULTS[fault.kind].heal(fault, reach)


async def by_the_keeper(reach: Reach, fault: PlannedFault) -> None:
    await reach.by(fault).heal(fault.id)


async def by_the_resource(reach: Reach, fault: PlannedFault) -> None:
    item = await reach.kube.get(f"{resource.collection(fault)}/{resource.name(fault)}")
    failed: list[str] = []
    await _one(item, Reach(reach.kube, Nobody()), print, failed)
    assert failed == []


@pytest.fixture(params=[by_the_run, by_the_keeper, by_the_resource], ids=lambda one: one.__name__)
def undone(request: pytest.FixtureRequest) -> Undo:
    found: Undo = request.param
    return found


async def begun(reach: Reach, fault: PlannedFault) -> dict[str, Any]:
    """Take a fault as far as its evidence."""
    await written(reach, fault)
    with anyio.fail_after(90):
        await FAULTS[fault.kind].inject(fault, reach)
        evidence = await FAULTS[fault.kind].felt(fault, reach)
    assert evidence
    return evidence


async def over(reach: Reach, fault: PlannedFault, undo: Undo) -> dict[str, Any]:
    """Undo a fault twice, see it healed, and strike it off."""
    await undo(reach, fault)
    await by_the_run(reach, fault)
    with anyio.fail_after(120):
        found = await FAULTS[fault.kind].healed(fault, reach)
    await reach.by(fault).forget(fault.id)
    await resource.delete(reach.kube, fault)
    return found


async def of(kube: Kube, path: str, owner: str, kind: str = "workload", container: str = "") -> Victim:
    """Name an object as the plan does."""
    metadata = (await kube.get(path))["metadata"]
    return Victim(kind, metadata["name"], metadata["uid"], NAMESPACE, owner=owner, container=container, path=path)


async def web(kube: Kube) -> Victim:
    return await of(kube, WEB, f"Deployment/{APP}", container="web")


async def template(kube: Kube, path: str = WEB) -> dict[str, Any]:
    found: dict[str, Any] = (await kube.get(path))["spec"]["template"]
    return found


# -- scale ------------------------------------------------------------------------------------------------------------


async def test_a_workload_is_scaled_to_none_and_back(reach: Reach, kube: Kube, undone: Undo) -> None:
    fault = planned("workload_scale", await web(kube), keep=0.0)
    assert await begun(reach, fault) == {"pods": 0, "before": 2}
    assert (await kube.get(WEB))["spec"]["replicas"] == 0
    assert await over(reach, fault, undone) == {"owner": f"Deployment/{APP}", "ready": 2, "desired": 2}


async def test_a_share_stays(reach: Reach, kube: Kube, undone: Undo) -> None:
    fault = planned("workload_scale", await web(kube), keep=0.5)
    assert await begun(reach, fault) == {"pods": 1, "before": 2}
    await over(reach, fault, undone)
    assert (await kube.get(WEB))["spec"]["replicas"] == 2


async def test_what_somebody_else_set_meanwhile_is_left(reach: Reach, kube: Kube, undone: Undo) -> None:
    fault = planned("workload_scale", await web(kube), keep=0.0)
    await begun(reach, fault)
    try:
        await kube.patch(f"{WEB}/scale", {"spec": {"replicas": 1}})
        await over(reach, fault, undone)
        assert (await kube.get(WEB))["spec"]["replicas"] == 1
    finally:
        await kube.patch(f"{WEB}/scale", {"spec": {"replicas": 2}})


# -- rollout ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fails", "reasons"), [("image-pull", ("Pull",)), ("crash-loop", ("Crash", "Run", "Start"))])
async def test_a_release_that_cannot_start_is_rolled_out_and_taken_back(
    reach: Reach, kube: Kube, undone: Undo, fails: str, reasons: tuple[str, ...]
) -> None:
    before, fault = await template(kube), planned("workload_bad_rollout", await web(kube), fails=fails)
    evidence = await begun(reach, fault)
    assert any(word in evidence["reason"] for word in reasons), evidence
    assert sum(map(is_ready, await kube.list(paths.pods(NAMESPACE), labels=f"app={APP}"))) == 2
    await over(reach, fault, undone)
    assert await template(kube) == before

    async def swept() -> bool:
        sets = await kube.list(paths.apps(NAMESPACE, "replicasets"), labels=f"app={APP}")
        return "chaos.invalid" not in json.dumps(sets)

    await until(swept)


async def test_a_release_of_somebody_else_is_left(reach: Reach, kube: Kube, undone: Undo) -> None:
    before, fault = await template(kube), planned("workload_bad_rollout", await web(kube), fails="crash-loop")
    await begun(reach, fault)
    theirs = {"name": "web", "command": ["python3", "-u", "-c", SERVER + "# another\n"]}
    try:
        await kube.patch(WEB, {"spec": {"template": {"spec": {"containers": [theirs]}}}}, kind="strategic")
        await over(reach, fault, undone)
        assert (await template(kube))["spec"]["containers"][0]["command"] == theirs["command"]
    finally:
        ours = {"name": "web", "command": before["spec"]["containers"][0]["command"]}
        await kube.patch(WEB, {"spec": {"template": {"spec": {"containers": [ours]}}}}, kind="strategic")


@pytest.fixture
async def stateful(kube: Kube, image: str) -> AsyncIterator[None]:
    """A StatefulSet of two, one after the other."""
    labels = {"app": "db"}
    spec = {"terminationGracePeriodSeconds": 2, "containers": [server(image)]}
    whole = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
    await kube.patch(DB, whole, kind="apply")

    async def ready() -> bool:
        return bool((await kube.get(DB)).get("status", {}).get("readyReplicas") == 2)

    await until(ready)
    yield
    await kube.delete(DB)


async def test_a_stateful_set_that_waits_for_a_bad_pod_comes_back(
    reach: Reach, kube: Kube, stateful: None, undone: Undo
) -> None:
    victim = await of(kube, DB, "StatefulSet/db", container="web")
    fault = planned("workload_bad_rollout", victim, fails="image-pull")
    await begun(reach, fault)
    assert (await over(reach, fault, undone))["ready"] == 2


# -- config -----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def configured(kube: Kube, image: str) -> AsyncIterator[None]:
    """A ConfigMap, a Secret, and a pod that reads both."""
    about = {"metadata": {"name": "settings"}, "apiVersion": "v1", "kind": "ConfigMap"}
    await kube.patch(SETTINGS, {**about, "data": {"mode": "fast\n"}}, kind="apply")
    about = {"metadata": {"name": "db"}, "apiVersion": "v1", "kind": "Secret"}
    await kube.patch(SECRET, {**about, "data": {"password": VALUE, "user": VALUE}}, kind="apply")
    reads = {"envFrom": [{"secretRef": {"name": "db"}}], "volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    spec = {"containers": [server(image, **reads)], "volumes": [{"name": "v", "configMap": {"name": "settings"}}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "reader"}, "spec": spec}
    await kube.patch(paths.pods(NAMESPACE, "reader"), pod, kind="apply")
    yield
    for path in (paths.pods(NAMESPACE, "reader"), SETTINGS, SECRET):
        await kube.delete(path, grace=0)


async def configuring(kube: Kube, path: str, owner: str, **told: Any) -> PlannedFault:
    """Plan a change with the pods that read what is changed, as the engine does."""
    fault = planned("config_change", await of(kube, path, owner, "config"), **told)
    return replace(fault, takes=await plan.takes(kube, fault.kind, fault.victim, fault.parameters))


CHANGES = [{"change": "removed"}, {"change": "emptied"}, {"change": "garbled"}, {"change": "set", "to": "slow"}]


@pytest.mark.parametrize("told", CHANGES, ids=lambda told: told["change"])
async def test_a_key_of_a_config_map_is_changed_and_back(
    reach: Reach, kube: Kube, configured: None, undone: Undo, told: dict[str, str]
) -> None:
    fault = await configuring(kube, SETTINGS, "ConfigMap/settings", key="mode", **told)
    assert (await begun(reach, fault))["pods"] == "reader"
    assert (await kube.get(SETTINGS)).get("data", {}).get("mode") != "fast\n"
    assert await over(reach, fault, undone) == {"config": "back"}
    assert (await kube.get(SETTINGS))["data"] == {"mode": "fast\n"}
    assert await copies(kube) == []


@pytest.mark.parametrize("change", ["removed", "emptied", "garbled"])
async def test_the_value_of_a_secret_is_in_no_ledger_and_in_no_resource_and_comes_back(
    reach: Reach, kube: Kube, configured: None, undone: Undo, change: str
) -> None:
    fault = await configuring(kube, SECRET, "Secret/db", key="password", change=change)
    await begun(reach, fault)
    assert (await kube.get(SECRET))["data"].get("password") != VALUE
    assert reach.cluster
    faults = kubectl(reach.cluster, "get", "faults", "-n", NAMESPACE, "-o", "yaml")
    show = "print(open('/ledger/ledger.json').read())"
    ledger = docker(reach.cluster, "exec", container.NAME, "python3", "-c", show)
    assert fault.id in faults
    assert fault.id in ledger
    assert [word for word in (VALUE, "swordfish") if word in faults + ledger] == []
    await over(reach, fault, undone)
    assert (await kube.get(SECRET))["data"] == {"password": VALUE, "user": VALUE}
    assert await copies(kube) == []


async def copies(kube: Kube) -> list[str]:
    """Name what was kept beside a target and is still there."""
    found: list[str] = []
    for plural in ("configmaps", "secrets"):
        listed = await kube.list(paths.core(NAMESPACE, plural))
        found += [item["metadata"]["name"] for item in listed if item["metadata"]["name"].startswith("chaos-")]
    return found


async def test_what_somebody_else_wrote_into_a_secret_meanwhile_is_left(
    reach: Reach, kube: Kube, configured: None, undone: Undo
) -> None:
    fault = await configuring(kube, SECRET, "Secret/db", key="password", change="removed")
    await begun(reach, fault)
    await kube.patch(SECRET, {"data": {"password": "bmV3"}})
    await over(reach, fault, undone)
    assert (await kube.get(SECRET))["data"] == {"password": "bmV3", "user": VALUE}
    assert await copies(kube) == []


async def test_an_immutable_config_map_is_refused_and_nothing_is_kept(
    reach: Reach, kube: Kube, configured: None
) -> None:
    await kube.patch(SETTINGS, {"immutable": True})
    fault = await configuring(kube, SETTINGS, "ConfigMap/settings", key="mode", change="removed")
    with pytest.raises(InjectionFailed, match="immutable"):
        await written(reach, fault)
    assert await copies(kube) == []


# -- certificate ------------------------------------------------------------------------------------------------------


async def expiring(kube: Kube, **parameters: Any) -> PlannedFault:
    victim = await of(kube, CERTIFICATE, f"Secret/{APP}", "config")
    parameters = {"service": APP, "port": TLS_PORT, **parameters}
    takes = await plan.takes(kube, "certificate_expiry", victim, parameters)
    return replace(planned("certificate_expiry", victim, **parameters), takes=takes)


async def test_a_service_shows_an_expired_certificate_and_then_its_own_again(
    reach: Reach, kube: Kube, undone: Undo
) -> None:
    before = (await kube.get(CERTIFICATE))["data"]
    fault = await expiring(kube, host=HOST)
    assert "a certificate that ended" in (await begun(reach, fault))["shown"]
    assert (await kube.get(CERTIFICATE))["data"]["tls.key"] == before["tls.key"]
    assert "valid until 2126" in (await over(reach, fault, undone))["shown"]
    assert (await kube.get(CERTIFICATE))["data"] == before
    assert await copies(kube) == []


async def test_where_the_service_shows_no_certificate_none_is_changed(reach: Reach, kube: Kube) -> None:
    before = (await kube.get(CERTIFICATE))["data"]
    with pytest.raises(InjectionFailed, match="no pod of the Service shows a certificate"):
        await written(reach, await expiring(kube, port=PORT))
    assert (await kube.get(CERTIFICATE))["data"] == before


# -- node, namespace, pod ---------------------------------------------------------------------------------------------


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


async def test_the_cluster_has_no_dns_until_it_is_back(reach: Reach, kube: Kube, undone: Undo) -> None:
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
    assert (await over(reach, fault, undone))["ready"] == found["spec"]["replicas"]
    assert asked() == "found"


async def test_nothing_is_admitted_while_the_quota_is_exhausted(reach: Reach, kube: Kube, undone: Undo) -> None:
    uid = (await kube.get(paths.namespace(NAMESPACE)))["metadata"]["uid"]
    owner, path = f"Namespace/{NAMESPACE}", paths.namespace(NAMESPACE)
    fault = planned(
        "namespace_quota_exhaustion", Victim("namespace", NAMESPACE, uid, NAMESPACE, owner=owner, path=path)
    )
    fault = replace(fault, parameters={"of": "configmaps"})
    assert (await begun(reach, fault))["hard"] == "0"
    with pytest.raises(ApiError, match="exceeded quota"):
        await kube.create(paths.core(NAMESPACE, "configmaps"), {"metadata": {"name": "one-more"}})
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
