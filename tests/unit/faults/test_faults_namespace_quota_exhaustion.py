"""Nothing more is admitted to a namespace while a quota of the fault's own is there, and only that one goes."""

from __future__ import annotations

from typing import Any

import pytest

from harness.engine.planning import plan
from harness.errors import ApiError, ClusterUnreachable, InjectionFailed, UsageError
from harness.faults import FAULTS
from harness.model.plan import Victim
from harness.targets import objects
from tests.unit.faults.documents import stated
from tests.unit.faults.recorded import elsewhere, injected
from tests.unit.faults.server import Server
from tests.unit.faults.workloads import planned

pytestmark = pytest.mark.anyio
KIND = FAULTS["namespace_quota_exhaustion"]
SHOP, QUOTAS = "/api/v1/namespaces/shop", "/api/v1/namespaces/shop/resourcequotas"
VICTIM = Victim("namespace", "shop", "uid-shop", "shop", owner="Namespace/shop", path=SHOP)
FAULT = planned("namespace_quota_exhaustion", VICTIM, of="pods")
OURS = f"{QUOTAS}/chaos-run-1"


def shop(phase: str = "Active") -> Server:
    theirs = {"metadata": {"name": "team", "uid": "uid-team"}, "spec": {"hard": {"pods": "20"}}}
    namespace = {"metadata": {"name": "shop", "uid": "uid-shop"}, "status": {"phase": phase}}
    return Server({SHOP: namespace, f"{QUOTAS}/team": theirs})


async def test_the_faults_own_quota_comes_and_goes_and_no_other() -> None:
    server = shop()
    reach = await injected(server, FAULT)
    assert server.objects[OURS]["spec"] == {"hard": {"pods": "0"}}
    for _ in range(2):
        assert await elsewhere(server, reach, FAULT) == []
    assert [path for path in server.objects if path.startswith(QUOTAS)] == [f"{QUOTAS}/team"]
    assert await KIND.healed(FAULT, reach) == {"quota": "gone"}


async def test_it_is_felt_when_the_quota_controller_says_that_nothing_is_left() -> None:
    server = shop()
    reach = await injected(server, FAULT)
    server.objects[OURS]["status"] = {"hard": {"pods": "0"}, "used": {"pods": "3"}}
    assert await KIND.felt(FAULT, reach) == {"hard": "0", "used": "3", "of": "pods"}


@pytest.mark.parametrize("hiccup", [ClusterUnreachable("away"), ApiError(503, "ServiceUnavailable", "")], ids=str)
async def test_an_api_server_that_has_no_answer_once_is_asked_again(hiccup: Exception, monkeypatch: Any) -> None:
    monkeypatch.setattr(objects, "PAUSE_SECONDS", 0)
    server = shop()
    reach = await injected(server, FAULT)
    server.objects[OURS]["status"] = {"hard": {"pods": "0"}, "used": {"pods": "3"}}
    server.failures = [hiccup]
    assert (await KIND.felt(FAULT, reach))["used"] == "3"
    await server.delete(OURS)
    server.failures = [hiccup]
    assert await KIND.healed(FAULT, reach) == {"quota": "gone"}
    assert server.failures == []


async def test_a_quota_of_that_name_is_not_taken_for_the_faults_own() -> None:
    server = shop()
    server.objects[OURS] = {"metadata": {"name": "chaos-run-1"}}
    with pytest.raises(InjectionFailed, match="there already"):
        await injected(server, FAULT)


def experiment(target: str = "{namespace: shop}", more: str = "") -> Any:
    return stated("namespace_quota_exhaustion", more, target=target, radius="namespaces: [shop]")


async def test_the_plan_names_the_namespace_and_no_pod_counts() -> None:
    kube: Any = shop()
    one = experiment()
    found = await plan.resolve(kube, one, run="r", seed=1, alone=True)
    assert "namespace_quota_exhaustion shop  uid-shop" in plan.text(one, found)
    with pytest.raises(UsageError, match="Namespace/shop is being deleted") as refused:
        await plan.resolve(shop("Terminating"), one, run="r", seed=1, alone=True)  # type: ignore[arg-type]
    assert refused.value.where == "x.yaml:8: shop"


@pytest.mark.parametrize(
    ("target", "more", "said"),
    [
        ("{}", "", "a target needs 'namespace'"),
        ("{namespace: shop, selector: a=b}", "", "'selector' says nothing of a namespace"),
        ("{namespace: shop, pods: 1}", "", "is aimed at namespaces, not pods"),
        ("{namespace: other}", "", "outside the blast radius"),
        ("{namespace: shop}", "of: nodes", "'of': 'nodes' is none of pods, "),
    ],
)
def test_a_target_that_says_too_little_or_too_much_is_refused(target: str, more: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        experiment(target, more)
