"""Faults of workloads, ConfigMaps and Secrets on a real cluster: felt from outside, undone as found in three ways."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from bench.dying.certificate import HOST
from bench.dying.workload import PORT, TLS_PORT
from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.engine.planning import plan
from harness.errors import InjectionFailed
from harness.keeper import container
from harness.model.plan import PlannedFault, Victim
from harness.targets.reach import Reach
from harness.workloads.pod import is_ready
from tests.e2e.live import docker, kubectl
from tests.e2e.undoing import Undo, begun, by_the_keeper, of, over
from tests.e2e.victims import APP, NAMESPACE, SERVER, looked_after, planned, server, until, written

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]
WEB, DB = paths.deployments(NAMESPACE, APP), paths.apps(NAMESPACE, "statefulsets", "db")
SETTINGS, SECRET = paths.core(NAMESPACE, "configmaps", "settings"), paths.core(NAMESPACE, "secrets", "db")
CERTIFICATE = paths.core(NAMESPACE, "secrets", APP)
VALUE = base64.b64encode(b"swordfish").decode()


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
async def stateful(kube: Kube, image: str) -> None:
    """A StatefulSet of two, one after the other; it stays until its namespace goes."""
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


async def test_a_service_shows_an_expired_certificate_and_then_its_own_again(reach: Reach, kube: Kube) -> None:
    before = (await kube.get(CERTIFICATE))["data"]
    fault = await expiring(kube, host=HOST)
    async with looked_after(kube):
        assert "a certificate that ended" in (await begun(reach, fault))["shown"]
        assert (await kube.get(CERTIFICATE))["data"]["tls.key"] == before["tls.key"]
        # One way to undo it is enough: a change of a Secret is tried above.
        assert "valid until 2126" in (await over(reach, fault, by_the_keeper))["shown"]
    assert (await kube.get(CERTIFICATE))["data"] == before
    assert await copies(kube) == []


async def test_where_the_service_shows_no_certificate_none_is_changed(reach: Reach, kube: Kube) -> None:
    before = (await kube.get(CERTIFICATE))["data"]
    with pytest.raises(InjectionFailed, match="no pod of the Service shows a certificate"):
        await written(reach, await expiring(kube, port=PORT))
    assert (await kube.get(CERTIFICATE))["data"] == before
