"""What packet faults tell the agents, what counts as felt, and what is asked at the end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import ApiError, ClusterUnreachable, InjectionFailed, ObservationFailed
from harness.faults import FAULTS, answers, packets
from harness.hands.node import asking
from harness.resources import resource
from harness.targets.reach import Reach
from tests.unit.faults.scripted import CUT, FAULT, HEAL, Over, Scripted
from tests.unit.targets.fakes import FakeKube, planned, pod, reach

pytestmark = pytest.mark.anyio
DELAYED = {"first": "now", "did": "delayed"}


class Cluster(Scripted):
    """A pod that answers each request after the next of some seconds, and a fault whose agent says the next word."""

    def __init__(self, *took: Any, said: list[dict[str, Any]] | None = None) -> None:
        target = pod()
        target["spec"] = {"containers": [{"name": "web", "ports": [{"containerPort": 8080}]}]}
        super().__init__(target, *took)
        self.said, self.now = list(said or []), 0.0

    async def get_text(self, path: str) -> str:
        took = await super().get_text(path)
        self.now += float(took)
        return took

    async def get(self, path: str, **more: Any) -> dict[str, Any]:
        if not path.startswith(FAULT):
            return await super().get(path, **more)
        if not self.said:
            raise Over
        told = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        return {"status": {**self.status, "evidence": {"packets": told}}}


def there(kube: Cluster, monkeypatch: pytest.MonkeyPatch, **more: Any) -> Reach:
    """Reach a cluster whose clock goes on by its answers alone."""
    monkeypatch.setattr(answers, "time", SimpleNamespace(monotonic=lambda: kube.now))
    return reach(kube, **more)


ORDERS = {
    "pod_latency": (
        {"delay": 0.1, "jitter": 0.01, "correlation": 0.5, "peers": ["10.0.0.0/8"], "direction": "egress"},
        {"kind": "latency", "delay_ms": 100.0, "jitter_ms": 10.0, "correlation": 0.5},
        {"peers": ["10.0.0.0/8"], "direction": "egress"},
    ),
    "pod_loss": (
        {"share": 0.1, "protocol": "tcp", "ports": [5432]},
        {"kind": "loss", "share": 0.1, "correlation": 0.0},
        {"protocol": "tcp", "ports": [5432]},
    ),
    "pod_partition": ({"peers": ["10.1.0.0/16"]}, {"kind": "partition"}, {"peers": ["10.1.0.0/16"]}),
    "pod_blackhole": ({"spare": ["10.2.0.1/32"]}, {"kind": "blackhole"}, {"spare": ["10.2.0.1/32"]}),
    "pod_corruption": ({"share": 0.2}, {"kind": "corruption", "share": 0.2}, {}),
    "pod_duplication": ({"share": 0.2}, {"kind": "duplication", "share": 0.2}, {}),
    "pod_reorder": ({"share": 0.2, "delay": 0.01}, {"kind": "reorder", "share": 0.2, "delay_ms": 10.0}, {}),
    "pod_bandwidth": (
        {"rate": 1e6, "queue": 0.2},
        {"kind": "bandwidth", "bits_per_second": 1e6, "queue_ms": 200.0},
        {},
    ),
    "pod_reset": ({"ports": [80]}, {"kind": "reset"}, {"ports": [80], "protocol": "tcp"}),
    "pod_dns_delay": ({"delay": 1.0}, {"kind": "dns_delay", "delay_ms": 1000.0, "names": []}, {}),
    "pod_dns_error": ({"code": "SERVFAIL"}, {"kind": "dns_error", "code": "SERVFAIL", "names": []}, {}),
    "pod_dns_wrong": (
        {"addresses": ["192.0.2.1"], "names": ["a.b"]},
        {"kind": "dns_wrong", "addresses": ["192.0.2.1"], "names": ["a.b"]},
        {},
    ),
}


def test_every_packet_fault_is_tried_here():
    assert {name for name, kind in FAULTS.items() if kind.rights is packets.RIGHTS} == set(ORDERS)


@pytest.mark.parametrize("kind", ORDERS)
async def test_the_agent_is_told_what_the_document_says(kind, monkeypatch):
    parameters, effect, match = ORDERS[kind]
    order = FAULTS[kind].order
    assert order
    told = await order(planned(kind, **parameters), there(Cluster(0.1, 0.1, 0.1), monkeypatch, seed=7))
    assert told == {"op": "packets", "effect": effect, "match": match, "seed": "7-1"}


@pytest.mark.parametrize("kind", ORDERS)
async def test_the_agent_takes_what_it_is_told(kind, monkeypatch):
    from harness.agent.resident.packets import effects, spec

    parameters, _, _ = ORDERS[kind]
    order = FAULTS[kind].order
    assert order
    told = dict(await order(planned(kind, **parameters), there(Cluster(0.1, 0.1, 0.1), monkeypatch)))
    del told["op"]
    effects.make(spec.read({**told, "fault": "run-1", "netns": "/n", "lease": 5.0, "seconds": 60.0}))


def test_the_order_stands_in_the_faults_resource_beside_its_parameters():
    body = resource.body(planned("pod_loss", share=0.1), "run", [], {"op": "packets"})
    assert body["spec"]["parameters"] == {"share": 0.1, "node": {"op": "packets"}}
    assert body["metadata"]["labels"]["chaos.harness.dev/node"] == "worker"


async def looked(kind: str, kube: Cluster, monkeypatch: pytest.MonkeyPatch, **parameters: Any) -> Any:
    """Look at the pod before, as three requests take 10 ms, and return what waits for the evidence."""
    kube.script[:0] = [0.01, 0.01, 0.01]
    at, fault = there(kube, monkeypatch), planned(kind, **parameters)
    order = FAULTS[kind].order
    assert order
    await order(fault, at)
    return await FAULTS[kind].felt(fault, at)


async def test_latency_is_felt_when_requests_take_as_much_longer_and_the_agent_has_met_packets(monkeypatch):
    kube = Cluster(0.01, 0.12, 0.12, 0.12, said=[{}, {}, DELAYED])
    facts = await looked("pod_latency", kube, monkeypatch, delay=0.1)
    assert facts == {"request": "120 ms", "before": "10 ms", "agent": "delayed the first packet"}
    assert set(kube.asked) == {"/api/v1/namespaces/shop/pods/web-1:8080/proxy/"}


@pytest.mark.parametrize(
    ("took", "said"),
    [([0.01] * 9, DELAYED), ([0.12] * 9, {}), ([0.12, 0.01, 0.01] * 3, DELAYED)],
    ids=["requests as quick as before", "slow requests that the agent never met", "one slow request in three"],
)
async def test_latency_is_not_felt_by(took, said, monkeypatch):
    with pytest.raises(Over):
        await looked("pod_latency", Cluster(*took, said=[said]), monkeypatch, delay=0.1)


async def test_a_jitter_makes_the_shortest_delay_that_is_to_be_felt(monkeypatch):
    kube = Cluster(0.07, 0.07, 0.07, said=[DELAYED])
    assert await looked("pod_latency", kube, monkeypatch, delay=0.1, jitter=0.04)


@pytest.mark.parametrize("parameters", [{"peers": ["10.0.0.0/8"]}, {"ports": [5432]}, {"protocol": "udp"}])
async def test_what_no_request_from_outside_can_meet_is_felt_by_the_agents_count(parameters, monkeypatch):
    kube = Cluster(*[0.01] * 9, said=[{}, DELAYED, {"seen": 8, "did": {"delayed": 8}, "missed": 0}])
    facts = await looked("pod_latency", kube, monkeypatch, delay=0.1, **parameters)
    assert facts == {"agent": "saw 8, delayed 8"}


async def test_packets_that_passed_without_the_effect_make_it_not_felt(monkeypatch):
    kube = Cluster(*[0.12] * 9, said=[{"seen": 9, "did": {"delayed": 8}, "missed": 3}])
    with pytest.raises(ObservationFailed, match="3 packets passed"):
        await looked("pod_latency", kube, monkeypatch, delay=0.1)


async def test_a_blackhole_is_felt_when_a_request_stays_without_an_answer(monkeypatch):
    kube = Cluster(0.01, CUT, said=[{"did": "dropped"}])
    assert (await looked("pod_blackhole", kube, monkeypatch))["request"] == "silent for 1 s"


async def test_a_partition_from_others_is_felt_by_the_agents_count_and_from_us_by_silence(monkeypatch):
    kube = Cluster(*[0.01] * 9, said=[{"did": "dropped"}])
    assert await looked("pod_partition", kube, monkeypatch, peers=["10.0.0.1/32"]) == {
        "agent": "dropped the first packet"
    }
    kube = Cluster(0.01, CUT, said=[{"did": "dropped"}])
    assert (await looked("pod_partition", kube, monkeypatch, peers=["0.0.0.0/0"]))["request"] == "silent for 1 s"


@pytest.mark.parametrize("answer", [ApiError(404, "NotFound", ""), ApiError(500, "InternalError", "the app's own")])
async def test_an_error_of_the_pods_own_is_an_answer(answer, monkeypatch):
    with pytest.raises(Over):
        await looked("pod_blackhole", Cluster(*[answer] * 3, said=[{"did": "dropped"}]), monkeypatch)


class Answering(FakeKube):
    """A cluster with one fault, in the states that its agent takes it through."""

    def __init__(self, *states: dict[str, Any] | None) -> None:
        items = [{"metadata": {"uid": "u", "name": "run-1"}, "status": one} for one in states if one is not None]
        super().__init__({FAULT: items[:1]}, [("MODIFIED", item) for item in items[1:]])
        if states[-1] is None:
            self.changes.append(("DELETED", items[-1]))
        self.marked: dict[str, Any] = {}

    async def patch(self, path: str, body: Any, **_: Any) -> dict[str, Any]:
        await super().patch(path, body)
        return self.marked


PATH = f"{FAULT}/run-1"
APPLIED = {"appliedAt": "now"}


async def test_a_fault_is_injected_when_its_agent_says_so():
    assert await asking.applied(Answering({}, APPLIED), PATH) == APPLIED  # type: ignore[arg-type]


async def test_a_fault_that_was_over_by_the_time_that_it_was_looked_at_was_injected():
    over = {**APPLIED, "healedAt": "now", "message": "its target is gone"}
    assert await asking.applied(Answering({}, over), PATH) == over  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "status",
    [{"message": "refused: no such thing"}, {"message": "refused: no such thing", "healedAt": "now"}],
)
async def test_a_refusal_is_told_in_the_agents_own_words(status):
    with pytest.raises(InjectionFailed, match="no such thing"):
        await asking.applied(Answering({}, status), PATH)  # type: ignore[arg-type]


async def test_a_fault_that_no_agent_took_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(asking, "APPLIED_SECONDS", 0.0)
    with pytest.raises(InjectionFailed, match="no agent did it"):
        await asking.applied(Answering({}), PATH)  # type: ignore[arg-type]


async def test_a_resource_that_goes_before_the_agent_did_anything_ends_the_injection():
    with pytest.raises(InjectionFailed, match="resource is gone"):
        await asking.applied(Answering({}, None), PATH)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "states",
    [
        (APPLIED, {**APPLIED, "healedAt": "now"}),
        ({}, {"healedAt": "now", "message": "it was never begun"}),
        ({"message": "refused: no such thing"},),
        (APPLIED, None),
    ],
    ids=["healed", "never begun", "refused", "deleted meanwhile"],
)
async def test_healing_is_asked_for_by_a_mark_and_waited_for(states):
    kube = Answering(*states)
    ended = await asking.heal(kube, PATH)  # type: ignore[arg-type]
    assert kube.patched == [(PATH, HEAL)]
    assert ended == asking.Ended(states[-1] or {})


async def test_a_fault_whose_resource_is_gone_is_undone_by_that():
    class Gone(Answering):
        async def patch(self, path: str, body: Any, **_: Any) -> dict[str, Any]:
            raise ApiError(404, "NotFound", "")

    assert await asking.heal(Gone({}), PATH) == asking.Ended()  # type: ignore[arg-type]


async def test_a_node_that_left_the_cluster_took_the_fault_with_it(monkeypatch):
    monkeypatch.setattr(asking, "PATIENT_SECONDS", 0.01)
    kube = Answering(APPLIED)
    kube.marked = {"metadata": {"labels": {"chaos.harness.dev/node": "worker"}}, "status": APPLIED}
    assert await asking.heal(kube, PATH) == asking.Ended()  # type: ignore[arg-type]


@pytest.mark.parametrize("why", [None, ApiError(403, "Forbidden", ""), ClusterUnreachable("no answer")])
async def test_an_agent_is_waited_for_as_long_as_its_node_may_be_there(monkeypatch, why):
    class Kept(Answering):
        async def get(self, path: str, **_: Any) -> dict[str, Any]:
            kube.objects[FAULT] = [{"metadata": {"uid": "u", "name": "run-1"}, "status": OVER}]
            if why:
                raise why
            return {}

    monkeypatch.setattr(asking, "PATIENT_SECONDS", 0.01)
    kube = Kept(APPLIED)
    kube.marked = {"metadata": {"labels": {"chaos.harness.dev/node": "worker"}}, "status": APPLIED}
    assert (await asking.heal(kube, PATH)).status == OVER  # type: ignore[arg-type]


OVER = {**APPLIED, "healedAt": "then"}


@pytest.mark.parametrize(
    ("message", "early"),
    [("its worker died", "its worker died"), ("its target is gone", "")],
    ids=["died", "no target"],
)
async def test_a_fault_that_had_ended_before_it_was_asked_to_is_not_felt_as_it_was_meant(message, early):
    kube = Answering({**OVER, "message": message})
    kube.marked = {"status": {**OVER, "message": message}}
    events: list[tuple[str, dict[str, Any]]] = []
    at = reach(kube, emit=lambda *one: events.append(one))
    await FAULTS["pod_latency"].heal(planned("pod_latency"), at)
    assert [data["why"] for _, data in events] == ([f"it ended early: {early}"] if early else [])


async def test_a_fault_that_ended_before_it_was_felt_is_not_waited_for(monkeypatch):
    kube = Cluster(*[0.01] * 9, said=[{}])
    kube.status = {"healedAt": "then", "message": "its worker died"}
    with pytest.raises(ObservationFailed, match="its worker died"):
        await looked("pod_latency", kube, monkeypatch, delay=0.1)


async def test_an_api_server_that_is_away_says_nothing_of_the_pod(monkeypatch):
    kube = Cluster(ClusterUnreachable("away"), ClusterUnreachable("away"), CUT, said=[{"did": "dropped"}])
    assert (await looked("pod_blackhole", kube, monkeypatch))["request"] == "silent for 1 s"
    assert kube.script == []


@pytest.mark.parametrize("hiccup", [ClusterUnreachable("away"), ApiError(503, "ServiceUnavailable", "")], ids=str)
async def test_an_api_server_that_has_no_answer_once_does_not_end_the_wait_for_the_agents_word(hiccup):
    class Away(FakeKube):
        async def get(self, path: str, **_: Any) -> dict[str, Any]:
            raise hiccup

    assert await asking.told(Away(), f"{FAULT}/run-1", "packets", "shop/web") == {}


async def test_what_the_agent_missed_up_to_the_end_makes_a_fault_not_felt_afterwards():
    told = {"seen": 9, "did": {"delayed": 8}, "missed": 3, "held_ms": {"p50": 100.5}}
    kube = Answering(APPLIED, {"healedAt": "now", "evidence": {"packets": told}})
    events: list[tuple[str, dict[str, Any]]] = []
    await FAULTS["pod_latency"].heal(planned("pod_latency"), reach(kube, emit=lambda *one: events.append(one)))
    (kept, not_felt) = events
    said = {"agent": "saw 9, delayed 8, held 100.5 ms at the median"}
    assert kept == ("fault.told", {"id": "run-1", "evidence": said, "packets": told})
    assert not_felt[0] == "fault.not_felt"
    assert "3 packets passed" in not_felt[1]["why"]


async def test_latency_is_healed_when_a_request_is_as_quick_as_before(monkeypatch):
    kube = Cluster(0.12, CUT, 0.01)
    at, fault = there(kube, monkeypatch), planned("pod_latency", delay=0.1)
    at.note(fault).update(url="u", usual=0.01, ready=True)
    facts = await FAULTS["pod_latency"].healed(fault, at)
    assert facts == {"ready": True, "request": "answered"}
    assert kube.script == []
