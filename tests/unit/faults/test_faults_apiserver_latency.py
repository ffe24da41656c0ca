"""What reaches the API server is delayed: alone, less than a lease bears, seen from outside, over by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.agent.resident.packets import effects, spec
from harness.engine import abort
from harness.engine.planning import caps, plan
from harness.errors import InjectionFailed, ObservationFailed, UsageError
from harness.faults import FAULTS, answers, nodewide
from harness.model.experiment import Experiment
from harness.model.plan import PlannedFault
from harness.resources import resource
from harness.targets import components
from tests.unit.faults.documents import stated
from tests.unit.targets.fakes import SCHEDULER, FakeKube, planned, reach

pytestmark = pytest.mark.anyio
KIND = FAULTS["apiserver_latency"]
SERVER = replace(SCHEDULER, name="kube-apiserver-main", container="kube-apiserver", node="main")
FAULT = "/apis/chaos.harness.dev/v1alpha1/nodefaults"
GIVEN = {"delay": 0.5, "jitter": 0.1, "correlation": 0.0, "interfaces": ["eth0"], "lasts": 30.0}
MET = {"seen": 9, "did": {"delayed": 7}}


class Cluster(FakeKube):
    """A control plane whose agent says the next word at each look, and whose leaders renew at each look."""

    context = "here"

    def __init__(self, *said: dict[str, Any], ready: bool = True) -> None:
        super().__init__()
        self.said, self.looks, self.ready = list(said), 0, ready
        self.command = ["kube-apiserver", "--secure-port=7443", "--v=2"]

    async def get(self, path: str, **more: Any) -> dict[str, Any]:
        if path.startswith(FAULT):
            return {"status": {"evidence": {"packets": self.said.pop(0)}}}
        if "/leases/" in path:
            self.looks += 1
            return {"metadata": {"resourceVersion": str(self.looks)}}
        return self.pod()

    def pod(self) -> dict[str, Any]:
        conditions = [{"type": "Ready", "status": str(self.ready)}]
        container = {"name": "kube-apiserver", "command": self.command}
        metadata = {"name": SERVER.name, "uid": SERVER.uid}
        return {
            "metadata": metadata,
            "spec": {"nodeName": "main", "containers": [container]},
            "status": {"conditions": conditions},
        }

    async def list(self, path: str, *, labels: str = "", **_: Any) -> list[dict[str, Any]]:
        return [self.pod()] if labels == "component=kube-apiserver" else []


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(components, "PAUSE_SECONDS", 0.0)


def takes(monkeypatch: pytest.MonkeyPatch, *seconds: float | None) -> list[float | None]:
    """Have requests take so long, one after the other, and return what is not asked yet."""
    left = list(seconds)

    async def ask(reach: object, url: str, limit: float) -> float | None:
        assert url == "/version"
        return left.pop(0)

    monkeypatch.setattr(answers, "ask", ask)
    return left


def of(**more: Any) -> PlannedFault:
    made = planned("apiserver_latency")
    return PlannedFault(made.id, made.kind, made.activity, made.hand, SERVER, {**GIVEN, **more})


async def ordered(cluster: Cluster, fault: PlannedFault) -> dict[str, Any]:
    assert KIND.order
    return dict(await KIND.order(fault, reach(cluster, seed=7)))


async def test_the_agent_is_told_which_packets_how_long_and_until_when(monkeypatch: pytest.MonkeyPatch) -> None:
    takes(monkeypatch, 0.01, 0.02, 0.03)
    told = await ordered(Cluster(), of())
    assert told == {
        "op": "packets",
        "effect": {"kind": "latency", "delay_ms": 500.0, "jitter_ms": 100.0, "correlation": 0.0},
        "match": {"direction": "ingress", "protocol": "tcp", "own_ports": [7443], "interfaces": ["eth0"]},
        "seed": "7-1",
        "seconds": 30.0,
    }
    del told["op"]
    effects.make(spec.read({**told, "fault": "run-1", "netns": "/n", "lease": 5.0}))


async def test_an_api_server_that_is_not_told_its_port_listens_at_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    takes(monkeypatch, 0.01, 0.01, 0.01)
    cluster = Cluster()
    cluster.command = ["kube-apiserver"]
    assert (await ordered(cluster, of()))["match"]["own_ports"] == [6443]


async def test_an_api_server_that_is_slow_or_not_well_to_begin_with_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    takes(monkeypatch, 0.01, None, 0.01)
    with pytest.raises(InjectionFailed, match="slow to begin with"):
        await ordered(Cluster(), of())
    with pytest.raises(InjectionFailed, match="not well"):
        await ordered(Cluster(ready=False), of())


async def felt(monkeypatch: pytest.MonkeyPatch, cluster: Cluster, *seconds: float | None) -> Any:
    takes(monkeypatch, 0.01, 0.01, 0.01, *seconds)
    fault, at = of(), reach(cluster)
    assert KIND.order
    await KIND.order(fault, at)
    return await KIND.felt(fault, at)


async def test_requests_that_take_as_much_longer_are_the_evidence_and_the_agents_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    facts = await felt(monkeypatch, Cluster({}, *[MET] * 3), 0.02, 0.3, 0.5, 0.52)
    assert facts == {"request": "500 ms", "before": "10 ms", "agent": "saw 9, delayed 7"}


async def test_requests_that_are_as_quick_as_ever_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # One that asks for more words than there are was not content with these.
    with pytest.raises(IndexError):
        await felt(monkeypatch, Cluster(*[MET] * 9), *[0.02] * 9)


async def test_packets_that_passed_without_it_make_it_not_felt(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ObservationFailed, match="3 packets passed"):
        await felt(monkeypatch, Cluster({**MET, "missed": 3}))


async def test_it_is_healed_when_requests_are_quick_again_and_leaders_are_at_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = takes(monkeypatch, 0.01, 0.01, 0.01, 0.5, None, 0.02, 0.9)
    fault, at = of(), reach(Cluster())
    assert KIND.order
    await KIND.order(fault, at)
    assert await KIND.healed(fault, at) == {"request": "answered", "leases": "renewed"}
    assert left == [0.9]


def test_it_is_written_down_for_the_agent_of_the_control_planes_node() -> None:
    body = resource.body(of(), "run", [], {"op": "packets"})
    assert (body["kind"], resource.path(of())) == ("NodeFault", f"{FAULT}/run-1")
    assert body["metadata"]["labels"]["chaos.harness.dev/node"] == "main"


def test_three_of_the_longest_delays_are_less_than_a_leader_waits_and_than_a_run_does() -> None:
    longest = next(one.maximum for one in KIND.parameters if one.name == "delay")
    assert longest
    # A leader of client-go asks twice within the 10 s that it has to renew its lease.
    assert 3 * longest < 10 / 2
    assert 3 * longest < abort.RENEW_SECONDS


def written(more: str, component: str = "kube-apiserver") -> Experiment:
    target = f"{{component: {component}}}"
    return stated("apiserver_latency", more, target=target, radius="namespaces: [shop]")


async def test_the_plan_names_the_api_server_and_what_is_meant() -> None:
    one, cluster = written("delay: 500ms"), Cluster()
    found = await plan.resolve(cluster, one, run="r", seed=1, alone=True)  # type: ignore[arg-type]
    shown = plan.text(one, found)
    assert "apiserver_latency kube-apiserver-main (container kube-apiserver)  uid-s" in shown
    assert "what it receives; over eth0" in shown
    assert found.faults[0].victim.node == "main"


def test_it_stands_alone_in_a_run() -> None:
    with pytest.raises(UsageError, match="apiserver_latency stands alone in a run, this one has 2 faults"):
        caps.require_alone(written("delay: 500ms"), [planned("pod_kill"), of()])


@pytest.mark.parametrize(
    ("more", "component", "line", "words"),
    [
        ("delay: 1100ms", "kube-apiserver", 9, "'1100ms' is above 1"),
        ("delay: 800ms, jitter: 300ms", "kube-apiserver", 10, "come to more than 1 s"),
        ("delay: 100ms, jitter: 200ms", "kube-apiserver", 10, "'jitter' is above the delay"),
        ("delay: 500ms", "etcd", 8, "etcd is not the API server"),
        ("delay: 500ms, lasts: 1h", "kube-apiserver", 10, "'1h' is above 600"),
        ("lasts: 30s", "kube-apiserver", 7, "needs 'delay'"),
    ],
)
def test_what_it_cannot_be_is_refused_with_its_line(more: str, component: str, line: int, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        written(more.replace(", ", ",\n"), component)
    assert words in str(refused.value)
    assert refused.value.where == f"x.yaml:{line}"


def test_it_asks_for_faults_of_nodes_alone() -> None:
    assert KIND.needs(written("delay: 500ms").faults[0].target) == nodewide.RIGHTS
