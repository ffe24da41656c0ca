"""Peers by label or Service become the addresses that a pod meets."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import UsageError
from harness.faults import FAULTS
from harness.targets import peers
from tests.unit.targets.fakes import PODS, FakeKube

pytestmark = pytest.mark.anyio
SERVICE = "/api/v1/namespaces/shop/services/cart"


def addressed(*ips: str) -> dict[str, Any]:
    return {"metadata": {"name": "x"}, "status": {"podIPs": [{"ip": ip} for ip in ips]}}


def shop(*pods: dict[str, Any], **spec: Any) -> FakeKube:
    return FakeKube({PODS: list(pods), SERVICE: {"spec": spec}})


BY_SELECTOR = {"namespace": "shop", "selector": "app=cart"}
BY_SERVICE = {"namespace": "shop", "service": "cart"}


async def test_a_network_stays_and_pods_are_their_addresses_of_both_kinds():
    kube = shop(addressed("10.1.0.1", "fd00::1"), addressed("10.1.0.2"), {"metadata": {}, "status": {}})
    found = await peers.resolve(kube, ["10.9.0.0/16", BY_SELECTOR, "10.9.0.0/16"])  # type: ignore[arg-type]
    assert found == ["10.9.0.0/16", "10.1.0.1/32", "fd00::1/128", "10.1.0.2/32"]


async def test_a_pod_that_has_ended_is_no_peer():
    ended = addressed("10.1.0.9")
    ended["status"]["phase"] = "Succeeded"
    assert await peers.resolve(shop(addressed("10.1.0.1"), ended), [BY_SELECTOR]) == ["10.1.0.1/32"]  # type: ignore[arg-type]


async def test_a_service_is_its_own_addresses_and_its_pods():
    kube = shop(addressed("10.1.0.1"), clusterIPs=["10.96.0.5"], selector={"app": "cart"})
    assert await peers.resolve(kube, [BY_SERVICE]) == ["10.96.0.5/32", "10.1.0.1/32"]  # type: ignore[arg-type]


@pytest.mark.parametrize("address", [{"clusterIP": "None"}, {"clusterIPs": ["None"]}, {}])
async def test_a_service_without_an_address_is_its_pods(address):
    kube = shop(addressed("10.1.0.1"), selector={"app": "cart"}, **address)
    assert await peers.resolve(kube, [BY_SERVICE]) == ["10.1.0.1/32"]  # type: ignore[arg-type]


async def test_a_peer_that_is_nobody_is_refused():
    with pytest.raises(UsageError, match="shop/app=cart is nobody"):
        await peers.resolve(shop(), [BY_SELECTOR])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no Service shop/cart"):
        await peers.resolve(FakeKube({PODS: []}), [BY_SERVICE])  # type: ignore[arg-type]


async def test_a_service_without_pods_or_address_picks_no_other_pods():
    with pytest.raises(UsageError, match="is nobody"):
        await peers.resolve(shop(addressed("10.1.0.1"), clusterIP="None"), [BY_SERVICE])  # type: ignore[arg-type]


async def test_the_plan_has_addresses_in_the_place_of_names():
    kube = shop(addressed("10.1.0.1"))
    found = await FAULTS["pod_partition"].resolve(kube, {"peers": [BY_SELECTOR], "direction": "both"})  # type: ignore[arg-type]
    assert found == {"peers": ["10.1.0.1/32"], "direction": "both"}
