"""The cluster's DNS is scaled to none and back: no other workload is, and nothing else is broken beside."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from harness.engine.planning import caps, plan
from harness.errors import ApiError, ClusterUnreachable, InjectionFailed, UsageError
from harness.faults import FAULTS, dns_loss
from harness.faults.kind import as_recorded
from harness.model.experiment import Experiment
from tests.unit.faults.documents import stated
from tests.unit.faults.recorded import elsewhere, injected
from tests.unit.faults.server import Server
from tests.unit.faults.workloads import PODS, VICTIM, WEB, planned, template, web

pytestmark = pytest.mark.anyio
KIND, FAULT = FAULTS["dns_loss"], planned("dns_loss")
SERVICE = "/api/v1/namespaces/shop/services/dns"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"
SLICE = f"{SLICES}/dns-1"
NAMES = [{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]
ANSWERS, GOING, GONE = {"ready": True, "serving": True}, {"ready": False, "serving": True}, {"ready": False}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_loss, "PAUSE_SECONDS", 0.0)


def shop(ports: list[dict[str, Any]] | None = None, selector: str = "web") -> Server:
    """Make a workload of two pods with a Service, as the DNS of a cluster is one."""
    server = Server(web(2, template=template(ports=NAMES if ports is None else ports)))
    server.objects[SERVICE] = {"metadata": {"name": "dns"}, "spec": {"selector": {"app": selector}}}
    serving(server, ANSWERS, ANSWERS)
    return server


def serving(server: Server, *conditions: dict[str, bool]) -> None:
    """Say as the EndpointSlice controller does what becomes of the Service's pods."""
    metadata = {"name": "dns-1", "labels": {"kubernetes.io/service-name": "dns"}}
    server.objects[SLICE] = {"metadata": metadata, "endpoints": [{"conditions": one} for one in conditions]}


async def test_it_is_scaled_to_none_and_back_by_what_was_written_down() -> None:
    server = shop()
    reach = await injected(server, FAULT)
    assert server.replicas(WEB) == 0
    for _ in range(2):
        assert await elsewhere(server, reach, FAULT) == []
        assert server.replicas(WEB) == 2


async def test_it_is_felt_when_nothing_serves_its_service_and_not_while_pods_are_going() -> None:
    server = shop()
    reach = await injected(server, FAULT)
    for number in (0, 1):
        server.objects[f"{PODS}/web-uid-{number}"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    for still in (ANSWERS, GOING, {}):
        serving(server, GONE, still)
        with anyio.move_on_after(0.05) as waiting:
            await KIND.felt(FAULT, reach)
        assert waiting.cancelled_caught
    serving(server, GONE, GONE)
    assert await KIND.felt(FAULT, reach) == {"pods": 0, "before": 2, "served_by_nobody": "dns"}


async def test_it_is_healed_when_its_service_is_served_again_and_every_pod_is_ready() -> None:
    server = shop()
    reach = await injected(server, FAULT)
    serving(server)
    await as_recorded(FAULT, reach)
    with anyio.move_on_after(0.05) as waiting:
        await KIND.healed(FAULT, reach)
    assert waiting.cancelled_caught
    serving(server, GONE, ANSWERS)
    found = await KIND.healed(FAULT, reach)
    assert found == {"owner": "Deployment/web", "ready": 2, "desired": 2, "served": "dns"}


@pytest.mark.parametrize("hiccup", [ClusterUnreachable("away"), ApiError(503, "ServiceUnavailable", "")], ids=str)
async def test_an_api_server_that_has_no_answer_once_is_asked_again(hiccup: Exception) -> None:
    server = shop()
    reach = await injected(server, FAULT)
    for path in [path for path in server.objects if path.startswith(PODS)]:
        del server.objects[path]
    serving(server)
    # The first look is at the pods.
    server.hiccups = {SLICES: [hiccup]}
    assert (await KIND.felt(FAULT, reach))["served_by_nobody"] == "dns"
    await as_recorded(FAULT, reach)
    server.objects |= {path: item for path, item in web(2).items() if path.startswith(PODS)}
    serving(server, ANSWERS)
    server.hiccups = {SLICES: [hiccup]}
    assert (await KIND.healed(FAULT, reach))["served"] == "dns"
    assert server.hiccups == {SLICES: []}


async def test_what_no_service_leads_to_is_left_alone() -> None:
    server = shop(selector="other")
    with pytest.raises(InjectionFailed, match="no Service leads to its pods"):
        await injected(server, FAULT)
    assert server.replicas(WEB) == 2


def written(namespace: str = "shop") -> Experiment:
    target = f"{{namespace: {namespace}, selector: app=web, workloads: 1}}"
    return stated("dns_loss", target=target, radius="namespaces: [shop], pods: 2")


async def test_the_plan_names_the_workload_and_counts_its_pods() -> None:
    kube: Any = shop()
    one = written()
    shown = plan.text(one, await plan.resolve(kube, one, run="r", seed=1, alone=True))
    assert "shop/web" in shown
    assert "at most 2 of these pods go" in shown


@pytest.mark.parametrize("ports", [[], NAMES[:1], [{"containerPort": 8053, "protocol": "UDP"}]])
async def test_a_workload_that_answers_no_names_is_refused(ports: list[dict[str, Any]]) -> None:
    kube: Any = shop(ports)
    with pytest.raises(UsageError, match="this workload is not the cluster's DNS") as refused:
        await plan.resolve(kube, written(), run="r", seed=1, alone=True)
    assert refused.value.where == "x.yaml:8: shop/web"
    assert "k8s-app=kube-dns" in refused.value.hint


def test_where_the_dns_is_must_be_said_in_the_blast_radius_too() -> None:
    with pytest.raises(UsageError, match="namespace 'kube-system' is outside the blast radius"):
        written("kube-system")


def test_it_stands_alone_in_a_run() -> None:
    caps.require_alone(written(), [FAULT])
    with pytest.raises(UsageError, match="dns_loss stands alone in a run"):
        caps.require_alone(written(), [planned("workload_scale", VICTIM), FAULT])
