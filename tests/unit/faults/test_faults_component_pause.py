"""A component of the control plane is paused for a short time: alone, seen while it lasts, over by itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import anyio
import pytest

from harness.engine.planning import caps, plan
from harness.errors import InjectionFailed, UsageError
from harness.faults import FAULTS
from harness.hands.host import inside
from harness.model.plan import PlannedFault, Victim
from harness.targets import components
from harness.targets.reach import Reach
from tests.unit.faults.documents import stated
from tests.unit.faults.keeper import Keeper
from tests.unit.targets.fakes import CLUSTER, SCHEDULER, FakeKube, planned

pytestmark = pytest.mark.anyio
KIND = FAULTS["component_pause"]
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
SERVER = replace(SCHEDULER, container="kube-apiserver")


class Cluster(FakeKube):
    """A control plane whose leaders in `renewing` have another version of their Lease at each look."""

    context = "here"

    def __init__(self) -> None:
        super().__init__()
        self.uid, self.ready, self.hangs = SCHEDULER.uid, True, False
        self.renewing = {*components.LEADERS}
        self.versions = Counter[str]()

    def pod(self, name: str) -> dict[str, Any]:
        metadata = {"name": name, "uid": self.uid}
        conditions = [{"type": "Ready", "status": str(self.ready)}]
        return {"metadata": metadata, "spec": {"nodeName": "main"}, "status": {"conditions": conditions}}

    async def get(self, path: str, **_: Any) -> dict[str, Any]:
        if self.hangs:
            await anyio.sleep_forever()
        name = path.rpartition("/")[2]
        if path.startswith(LEASES):
            self.versions[name] += name in self.renewing
            return {"metadata": {"resourceVersion": str(self.versions[name])}}
        return self.pod(name)

    async def list(self, path: str, *, labels: str = "", **_: Any) -> list[dict[str, Any]]:
        assert path == "/api/v1/namespaces/kube-system/pods"
        return [self.pod("kube-scheduler-main")] if labels == "component=kube-scheduler" else []


class Hanging(Keeper):
    """A keeper whose pause has an effect on the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self.cluster, self.works = cluster, True

    async def apply(self, fault_id: str, ops: Any) -> dict[str, Any]:
        if self.works:
            self.cluster.renewing.discard("kube-scheduler")
            self.cluster.hangs = ops[0]["argv"][5] == "kube-apiserver"
        return await super().apply(fault_id, ops)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANSWER_SECONDS", "RENEWED_SECONDS", "PAUSE_SECONDS"):
        monkeypatch.setattr(components, name, 0.01)


def there() -> tuple[Cluster, Hanging, Reach]:
    cluster = Cluster()
    keeper = Hanging(cluster)
    return cluster, keeper, Reach(cluster, healer=keeper, cluster=CLUSTER)  # type: ignore[arg-type]


def of(victim: Victim) -> PlannedFault:
    made = planned("component_pause")
    return PlannedFault(made.id, made.kind, made.activity, made.hand, victim, {"lasts": 5.0})


@pytest.mark.parametrize(
    ("victim", "missed"),
    [(SCHEDULER, {"lease": "not renewed for 0.01 s"}), (SERVER, {"request": "no answer within 0.01 s"})],
)
async def test_what_is_missed_while_it_lasts_is_the_evidence(victim: Victim, missed: dict[str, str]) -> None:
    fault = of(victim)
    _, keeper, reach = there()
    assert KIND.undo(fault, reach) == [inside.resume("c-worker", victim.container, "run-1")]
    await KIND.inject(fault, reach)
    assert keeper.done == [inside.pause("c-worker", victim.container, "run-1", 5.0)]
    assert await KIND.felt(fault, reach) == missed


@pytest.mark.parametrize("victim", [SCHEDULER, SERVER])
async def test_a_pause_without_an_effect_is_not_felt(victim: Victim) -> None:
    fault = of(victim)
    _, keeper, reach = there()
    keeper.works = False
    await KIND.inject(fault, reach)
    assert await KIND.felt(fault, reach) is None


@pytest.mark.parametrize(("field", "value"), [("uid", "another"), ("ready", False)])
async def test_a_component_that_is_another_or_not_well_is_left_alone(field: str, value: Any) -> None:
    cluster, keeper, reach = there()
    setattr(cluster, field, value)
    with pytest.raises(InjectionFailed, match="not as it was planned, or not well"):
        await KIND.inject(of(SCHEDULER), reach)
    assert keeper.done == []


async def test_it_is_healed_when_every_leader_renews_its_lease() -> None:
    fault = of(SCHEDULER)
    cluster, _, reach = there()
    cluster.renewing = {"kube-controller-manager"}
    with anyio.move_on_after(0.1) as waiting:
        await KIND.healed(fault, reach)
    assert waiting.cancelled_caught
    cluster.renewing = {*components.LEADERS}
    assert await KIND.healed(fault, reach) == {"leases": "renewed"}


def written(func: str, target: str) -> Any:
    return stated(func, target=target, radius="namespaces: [shop], pods: 9")


async def test_it_is_found_by_its_name_and_the_plan_names_its_pod() -> None:
    one = written("component_pause", "{component: kube-scheduler}")
    cluster: Any = Cluster()
    found = await plan.resolve(cluster, one, run="r", seed=1, alone=True)
    assert "component_pause kube-scheduler-main (container kube-scheduler)  uid-s" in plan.text(one, found)
    assert found.faults[0].victim.node == "main"
    with pytest.raises(UsageError, match="no component matches"):
        await plan.resolve(cluster, written("component_pause", "{component: etcd}"), run="r", seed=1, alone=True)


async def test_it_stands_alone_in_a_run() -> None:
    pause = of(SCHEDULER)
    one = written("component_pause", "{component: kube-scheduler}")
    caps.require_alone(one, [pause])
    caps.require_alone(one, [planned("pod_kill"), planned("pod_kill")])
    with pytest.raises(UsageError, match="component_pause stands alone in a run, this one has 2 faults"):
        caps.require_alone(one, [planned("pod_kill"), pause])


@pytest.mark.parametrize(
    ("func", "target", "words"),
    [
        ("component_pause", "{component: kubelet}", "'kubelet' is none of kube-apiserver, etcd,"),
        ("component_pause", "{namespace: kube-system}", "'namespace' says nothing of a component"),
        ("component_pause", "{selector: a=b}", "a target needs 'component'"),
        ("pod_kill", "{namespace: shop, selector: a=b, pods: 1, component: etcd}", "says nothing of a pod"),
        ("pod_kill", "{namespace: shop, selector: a=b, pods: 1, config: ConfigMap/a}", "says nothing of a pod"),
        ("node_stop", "{selector: a=b, nodes: 1, config: ConfigMap/a}", "says nothing of a node"),
    ],
)
def test_a_target_that_means_nothing_is_refused(func: str, target: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        written(func, target)
    assert words in str(refused.value)
