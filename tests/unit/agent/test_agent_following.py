"""What the agent makes of what the API server says, in whatever order it says it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from harness.agent.resident.fault import Fault
from harness.agent.resident.following import Runs, Wanted
from harness.agent.resident.leases import Leases
from harness.agent.resident.ledger import Ledger
from harness.agent.resident.refused import Refused
from harness.agent.resident.statuses import merged


class FakeAgent:
    """An agent whose `do` waits until a test lets it go on."""

    def __init__(self, tmp_path: Path) -> None:
        self.ledger, self.leases = Ledger(tmp_path / "ledger.json"), Leases(600)
        self.go, self.healed, self.over_runs = threading.Event(), threading.Event(), []
        self.takes = True

    def do(self, fault: Any) -> bool:
        assert self.go.wait(30)
        return self.takes

    def heal(self, key: str, why: str) -> None:
        self.healed.set()

    def keys(self) -> dict[str, Any]:
        return {}

    def over(self, run: str, why: str) -> None:
        self.ledger.expire(run)
        self.over_runs.append((run, why))


@pytest.fixture
def agent(tmp_path: Path) -> FakeAgent:
    return FakeAgent(tmp_path)


def item(uid: str = "u1") -> dict[str, Any]:
    target = {"kind": "pod", "name": "p", "uid": "12345678"}
    spec = {"hand": "node", "run": "run-1", "target": target, "parameters": {"node": {"op": "freeze"}}}
    return {"metadata": {"uid": uid, "name": "f", "namespace": "shop"}, "spec": spec}


def test_a_fault_that_goes_before_the_agent_knew_it_is_healed(agent: FakeAgent):
    wanted = Wanted(agent, "faults", lambda path, facts: None, its_own)
    wanted([item()])
    wanted([])
    agent.go.set()
    assert agent.healed.wait(30)


def its_own(item: dict[str, Any], fault: Fault) -> None:
    """Find that a fault is in its own namespace."""


def test_a_fault_of_a_pod_of_another_namespace_is_refused_and_never_begun(agent: FakeAgent):
    heard = threading.Event()
    told: list[Any] = []

    def tell(path: str, facts: dict[str, Any]) -> None:
        told.append(facts)
        heard.set()

    def anothers(item: dict[str, Any], fault: Fault) -> None:
        raise Refused("pod shop/p is another one", f"its UID is not {fault.pod}")

    agent.do = lambda fault: told.append(fault)  # type: ignore[assignment,func-returns-value]
    Wanted(agent, "faults", tell, anothers)([item()])  # type: ignore[arg-type]
    assert heard.wait(30)
    assert told == [{"message": "refused: pod shop/p is another one: its UID is not 12345678"}]


HEAL = {"chaos.harness.dev/heal": "true"}


def marked(status: dict[str, Any] | None = None, hand: str = "node") -> dict[str, Any]:
    found = item()
    found["metadata"]["annotations"] = HEAL
    found["spec"]["hand"] = hand
    return {**found, "status": status or {}}


def test_a_fault_that_was_to_be_healed_before_the_agent_knew_it_is_told_of(agent: FakeAgent):
    told: list[Any] = []
    wanted = Wanted(agent, "faults", lambda path, facts: told.append(facts), its_own)
    wanted([marked()])
    wanted([marked()])
    assert [("healedAt" in facts, facts["message"]) for facts in told] == [(True, "it was never begun")]


def test_nothing_is_told_of_a_fault_that_is_owed_or_healed_or_of_another_hand(agent: FakeAgent):
    told: list[Any] = []
    wanted = Wanted(agent, "faults", lambda path, facts: told.append(facts), its_own)
    wanted([marked(hand="host")])
    wanted([marked({"healedAt": "2026-01-01T00:00:00Z"})])
    agent.ledger.owe("u1", {"run": "run-1", "path": "p", "pod": "", "op": "freeze", "chain": ""})
    wanted([marked()])
    assert told == []


BEFORE = [(True, "the agent before this one undid it")]


def test_a_fault_of_an_agent_that_died_before_it_told_of_its_undo_is_told_of_when_it_is_to_be_healed(agent: FakeAgent):
    told: list[Any] = []
    wanted = Wanted(agent, "faults", lambda path, facts: told.append(facts), its_own)
    applied = {"appliedAt": "2026-01-01T00:00:00Z"}
    wanted([{**item(), "status": applied}])
    assert told == []
    wanted([marked(applied)])
    wanted([marked(applied)])
    assert [("healedAt" in facts, facts["message"]) for facts in told] == BEFORE


def test_so_is_one_that_the_ledger_does_not_let_be_begun_again(agent: FakeAgent):
    heard = threading.Event()
    told: list[Any] = []

    def tell(path: str, facts: dict[str, Any]) -> None:
        told.append(facts)
        heard.set()

    agent.takes = False
    wanted = Wanted(agent, "faults", tell, its_own)
    wanted([item()])
    wanted([marked()])
    assert told == []
    agent.go.set()
    assert heard.wait(30)
    assert [("healedAt" in facts, facts["message"]) for facts in told] == BEFORE


def test_one_that_was_begun_is_told_of_by_its_healing_alone(agent: FakeAgent):
    told: list[Any] = []
    wanted = Wanted(agent, "faults", lambda path, facts: told.append(facts), its_own)
    wanted([item()])
    wanted([marked()])
    agent.go.set()
    assert agent.healed.wait(30)
    assert told == []


def lease(holder: str, version: str, **annotations: str) -> dict[str, Any]:
    metadata = {"uid": "lease", "resourceVersion": version, "annotations": annotations}
    return {"metadata": metadata, "spec": {"holderIdentity": holder}}


def test_only_a_lease_that_changed_renews_a_run(agent: FakeAgent, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("harness.agent.resident.leases.boottime", lambda: now[0])
    agent.leases.seconds = 15
    runs = Runs(agent)
    runs([lease("run-1", "1")])
    now[0] = 14
    runs([lease("run-1", "2")])
    now[0] = 28
    runs([lease("run-1", "2")])
    assert not agent.leases.lapsed("run-1")
    now[0] = 29
    assert agent.leases.lapsed("run-1")


@pytest.mark.parametrize(
    "after",
    [[], [lease("", "2")], [lease("run-2", "2")], [lease("run-1", "2", **{"chaos.harness.dev/expired": "run-1"})]],
)
def test_a_run_that_lost_its_lease_is_over(agent: FakeAgent, after: list):
    runs = Runs(agent)
    runs([lease("run-1", "1")])
    runs(after)
    runs(after)
    assert [run for run, _ in agent.over_runs] == ["run-1"]


def test_a_run_that_holds_another_lease_is_not_over(agent: FakeAgent):
    runs = Runs(agent)
    other = lease("run-1", "1")
    other["metadata"]["uid"] = "other"
    runs([lease("run-1", "1"), other])
    runs([other])
    assert agent.over_runs == []


def test_a_run_that_was_never_heard_of_has_its_first_time(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("harness.agent.resident.leases.boottime", lambda: now[0])
    leases = Leases(15)
    leases.begin("run-1")
    assert not leases.lapsed("run-1")
    now[0] = 115
    assert leases.lapsed("run-1")
    assert leases.lapsed("run-2")


def test_a_ledger_remembers_what_was_begun_and_which_runs_are_over(tmp_path: Path):
    first = Ledger(tmp_path / "ledger.json")
    assert first.owe("k1", {"run": "run-1"})
    first.forget("k1")
    first.expire("run-2")
    second = Ledger(tmp_path / "ledger.json")
    assert not second.owe("k1", {"run": "run-1"})
    assert not second.owe("k2", {"run": "run-2"})
    assert second.faults() == {}


def test_later_facts_are_laid_over_earlier_ones():
    old = {"phase": "Injected", "evidence": {"packets": {"seen": 1, "first": "t"}}}
    assert merged(old, {"evidence": {"packets": {"seen": 2}}, "healedAt": "t"}) == {
        "phase": "Injected",
        "evidence": {"packets": {"seen": 2, "first": "t"}},
        "healedAt": "t",
    }
