"""A pod is taken out of its Services' rotation by a label, and comes back by the same label."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import ApiError, ClusterUnreachable, InjectionFailed
from harness.faults import FAULTS, pod_unready
from harness.model.plan import Victim
from tests.unit.faults.recorded import elsewhere, injected
from tests.unit.faults.server import Server
from tests.unit.faults.workloads import APPS, PODS, planned, web

pytestmark = pytest.mark.anyio
KIND = FAULTS["pod_unready"]
VICTIM = Victim("pod", "web-uid-0", "uid-0", "shop", "worker", owner="Deployment/web")
FAULT, POD = planned("pod_unready", VICTIM), f"{PODS}/web-uid-0"
SLICE = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/web-1"


def shop(selector: dict[str, str] | None, **labels: str) -> Server:
    """Make two pods that a Service picks by a selector; the ReplicaSet picks them by their app."""
    server = Server(web(2))
    server.objects[f"{APPS}/replicasets/web-abc"]["spec"]["selector"] = {"matchLabels": {"app": "web"}}
    for number in (0, 1):
        metadata = server.objects[f"{PODS}/web-uid-{number}"]["metadata"]
        metadata["labels"] |= labels
        metadata["resourceVersion"] = "7"
    service = {"metadata": {"name": "web"}, "spec": {"selector": selector} if selector else {}}
    server.objects["/api/v1/namespaces/shop/services/web"] = service
    rotation(server, "uid-0", "uid-1")
    return server


def rotation(server: Server, *uids: str) -> None:
    """Say as the EndpointSlice controller does which pods the Service sends requests."""
    endpoints = [{"targetRef": {"uid": uid}, "conditions": {"ready": True}} for uid in uids]
    labels = {"kubernetes.io/service-name": "web"}
    server.objects[SLICE] = {"metadata": {"name": "web-1", "labels": labels}, "endpoints": endpoints}


@pytest.mark.parametrize(
    ("selector", "labels", "gone"),
    [
        ({"app": "web"}, {}, "app"),
        ({"app": "web", "live": "yes"}, {"live": "yes"}, "live"),
        ({"a": "1", "app": "web", "tier/of": "x"}, {"a": "1", "tier/of": "x"}, "a"),
        ({"app": "web", "tier/of": "x"}, {"tier/of": "x"}, "tier/of"),
    ],
)
async def test_a_label_goes_by_which_the_controller_does_not_know_it_if_there_is_one(
    selector: dict[str, str], labels: dict[str, str], gone: str
) -> None:
    server = shop(selector, **labels)
    before = dict(server.objects[POD]["metadata"]["labels"])
    reach = await injected(server, FAULT)
    assert before.keys() - server.objects[POD]["metadata"].get("labels", {}).keys() == {gone}
    for _ in range(2):
        await elsewhere(server, reach, FAULT)
    assert server.objects[POD]["metadata"]["labels"] == before


@pytest.mark.parametrize("selector", [None, {"app": "other"}])
async def test_a_pod_that_no_service_picks_is_spared(selector: Any) -> None:
    with pytest.raises(InjectionFailed, match="in no rotation"):
        await injected(shop(selector), FAULT)


async def test_it_is_felt_when_no_endpoint_slice_has_it_and_healed_when_one_has_it_again() -> None:
    server = shop({"app": "web"})
    reach = await injected(server, FAULT)
    rotation(server, "uid-1")
    assert await KIND.felt(FAULT, reach) == {"out_of": "web"}
    await elsewhere(server, reach, FAULT)
    rotation(server, "uid-0", "uid-1")
    found = await KIND.healed(FAULT, reach)
    assert found == {"pod": "back", "owner": "Deployment/web", "ready": 2, "desired": 2}


@pytest.mark.parametrize("hiccup", [ClusterUnreachable("away"), ApiError(503, "ServiceUnavailable", "")], ids=str)
async def test_an_api_server_that_has_no_answer_once_is_asked_again(hiccup: Exception, monkeypatch: Any) -> None:
    monkeypatch.setattr(pod_unready, "PAUSE_SECONDS", 0)
    server = shop({"app": "web"})
    reach = await injected(server, FAULT)
    rotation(server, "uid-1")
    server.failures = [hiccup]
    assert await KIND.felt(FAULT, reach) == {"out_of": "web"}
    await elsewhere(server, reach, FAULT)
    rotation(server, "uid-0", "uid-1")
    server.failures = [hiccup]
    assert (await KIND.healed(FAULT, reach))["pod"] == "back"
    assert server.failures == []


async def test_a_refusal_of_the_api_server_ends_the_wait() -> None:
    server = shop({"app": "web"})
    reach = await injected(server, FAULT)
    for wait in (KIND.felt, KIND.healed):
        server.failures = [ApiError(403, "Forbidden", "no")]
        with pytest.raises(ApiError, match="403"):
            await wait(FAULT, reach)


async def test_a_pod_that_its_controller_let_go_for_its_replacement_is_healed() -> None:
    server = shop({"app": "web"})
    reach = await injected(server, FAULT)
    server.objects[f"{PODS}/web-new"] = {
        **server.objects[f"{PODS}/web-uid-1"],
        "metadata": {**server.objects[f"{PODS}/web-uid-1"]["metadata"], "uid": "new"},
    }
    await server.delete(POD)
    assert await elsewhere(server, reach, FAULT) == []
    assert (await KIND.healed(FAULT, reach))["pod"] == "gone"


async def test_a_pod_that_has_no_other_label_gets_its_own_back() -> None:
    server = shop({"app": "web"})
    server.objects[POD]["metadata"]["labels"] = {"app": "web"}
    reach = await injected(server, FAULT)
    assert "labels" not in server.objects[POD]["metadata"]
    for _ in range(2):
        assert await elsewhere(server, reach, FAULT) == []
    assert server.objects[POD]["metadata"]["labels"] == {"app": "web"}


@pytest.mark.parametrize("meanwhile", [{"tier": "x"}, {"tier": "y"}])
async def test_a_label_comes_back_whatever_somebody_made_of_another(meanwhile: dict[str, str]) -> None:
    server = shop({"live": "yes"}, live="yes", tier="x")
    other = {"metadata": {"name": "other"}, "spec": {"selector": {"tier": "x"}}}
    server.objects["/api/v1/namespaces/shop/services/other"] = other
    reach = await injected(server, FAULT)
    assert not {"live", "tier"} & server.objects[POD]["metadata"]["labels"].keys()
    server.objects[POD]["metadata"]["labels"] |= meanwhile
    left = await elsewhere(server, reach, FAULT)
    assert len(left) == (meanwhile != {"tier": "x"})
    labels = server.objects[POD]["metadata"]["labels"]
    assert {name: labels.get(name) for name in ("live", "tier")} == {"live": "yes", **meanwhile}


async def test_labels_that_a_webhook_puts_back_in_part_are_all_put_back_and_the_fault_is_refused() -> None:
    server = shop({"live": "yes"}, live="yes", tier="x")
    other = {"metadata": {"name": "other"}, "spec": {"selector": {"tier": "x"}}}
    server.objects["/api/v1/namespaces/shop/services/other"] = other
    before = dict(server.objects[POD]["metadata"]["labels"])
    server.webhook = lambda item: item["metadata"]["labels"].setdefault("tier", "default")
    with pytest.raises(InjectionFailed, match="rewritten on its way"):
        await injected(server, FAULT)
    assert server.objects[POD]["metadata"]["labels"] == before


async def test_a_label_that_somebody_set_meanwhile_stays_and_is_told_of() -> None:
    server = shop({"app": "web"})
    reach = await injected(server, FAULT)
    server.objects[POD]["metadata"]["labels"] = {"app": "quarantine"}
    (left,) = await elsewhere(server, reach, FAULT)
    assert '"quarantine"' in left
    assert server.objects[POD]["metadata"]["labels"]["app"] == "quarantine"
