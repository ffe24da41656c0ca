"""A container that is ended each time that it runs, by whatever id it has then, and left alone afterwards."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from harness.agent.resident import effecting
from harness.agent.resident.fault import Fault
from harness.agent.resident.processes import crashing, pods
from harness.agent.resident.processes.crashing import Crashing
from tests.unit.agent.pod import Pod
from tests.unit.agent.told import Told

NAME = "web"


@pytest.fixture(autouse=True)
def seen(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The processes that a kubelet has told the name of; they are old enough at once, and looked for all the time."""
    named = {pod.process.pid}
    pod.stay()
    monkeypatch.setattr(pods, "name_of", lambda pid: NAME if pid in named else "")
    monkeypatch.setattr(crashing, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(crashing, "RUNS_SECONDS", 0.0)
    return named


def fault(pod: Pod, **more: Any) -> Fault:
    told = {"op": "crash", "container": pod.container, "name": NAME, "seconds": 60, **more}
    return Fault("key-1", "/apis/x/faults/f", "run-1", "f", pod.uid, told)


def again(pod: Pod, seen: set[int]) -> None:
    """Start the container anew, as its kubelet does."""
    pod.revive()
    seen.add(pod.process.pid)


def looked(worker: Any) -> None:
    """Wait until a look that began after this has ended: the one that goes on now may have begun before."""
    assert isinstance(worker, Crashing)
    for _ in range(2):
        before = worker._looked
        while worker._looked == before:
            assert worker.alive


def test_a_container_is_ended_each_time_that_it_runs_and_no_more_once_it_is_healed(pod: Pod, make, seen: set[int]):
    agent, lives = make(), [pod.container]
    agent.do(fault(pod))
    for _ in range(2):
        assert pod.process.wait() == -signal.SIGKILL
        again(pod, seen)
        lives.append(pod.container)
    assert pod.process.wait() == -signal.SIGKILL
    (worker,) = agent.workers().values()
    assert len({*lives}) == 3
    assert agent.heal("key-1", "why")
    assert worker.facts == {"ended": 3, "did": {"ended": 3}}
    again(pod, seen)
    assert not worker.alive
    assert pod.process.poll() is None
    assert agent.ledger.faults() == {}


def test_a_pod_that_has_no_process_between_two_lives_of_its_container_is_not_gone(pod: Pod, make, seen: set[int]):
    """CRI-O keeps no sandbox's process where it can do without; the kubelet keeps the pod's control group."""
    pod.leave()
    agent = make()
    agent.do(fault(pod))
    assert pod.process.wait() == -signal.SIGKILL
    (worker,) = agent.workers().values()
    looked(worker)
    again(pod, seen)
    assert pod.process.wait() == -signal.SIGKILL


def test_what_it_ended_is_told_when_it_is_healed(pod: Pod, make, told: Told, seen: set[int]):
    agent = make()
    agent.do(fault(pod))
    assert agent.heal("key-1", "why")
    assert told.wait("healedAt")["evidence"]["crash"] == {"ended": 1, "did": {"ended": 1}, "why": "why"}


def test_the_other_containers_of_its_pod_are_left_alone(pod: Pod, make, seen: set[int]):
    agent = make()
    agent.do(fault(pod))
    pod.process.wait()
    pod.revive()
    (worker,) = agent.workers().values()
    looked(worker)
    assert worker.facts["ended"] == 1
    assert pod.process.poll() is None


def test_what_its_runtime_still_makes_is_waited_for(pod: Pod, make, seen: set[int], monkeypatch):
    agent = make()
    agent.do(fault(pod))
    pod.process.wait()
    monkeypatch.setattr(crashing, "RUNS_SECONDS", 600.0)
    again(pod, seen)
    (worker,) = agent.workers().values()
    looked(worker)
    assert worker.facts["ended"] == 1
    assert pod.process.poll() is None


@pytest.mark.parametrize(("how", "why"), [("lease", "its lease was not renewed"), ("time", "its time is over")])
def test_it_ends_by_itself_and_that_is_told(pod: Pod, make, told: Told, seen: set[int], monkeypatch, how, why):
    if how == "lease":
        monkeypatch.setattr(effecting, "WORKER_LEASE_SECONDS", 0.1)
    agent = make()
    agent.do(fault(pod, **({"seconds": 0.1} if how == "time" else {})))
    (worker,) = agent.workers().values()
    worker._thread.join(30)
    assert not worker.alive
    agent.tick()
    assert told.wait("healedAt")["message"] == why


def test_the_next_agent_ends_nothing_and_forgets_it(pod: Pod, make, told: Told, seen: set[int], tmp_path: Path):
    first = make()
    first.do(fault(pod))
    pod.process.wait()
    ledger = (tmp_path / "ledger.json").read_text()
    first.end()
    # It was killed: what it had written down is still there.
    (tmp_path / "ledger.json").write_text(ledger)
    told.facts.clear()
    again(pod, seen)
    second = make()
    second.recover()
    assert told.wait("healedAt")["message"] == "the agent started anew"
    assert pod.process.poll() is None
    assert second.ledger.faults() == {}


def test_a_container_that_would_not_be_known_again_is_not_ended(pod: Pod, make, told: Told, seen: set[int]):
    seen.clear()
    agent = make()
    agent.do(fault(pod))
    assert "not be known again" in told.wait("message")["message"]
    assert pod.process.poll() is None
    assert agent.ledger.faults() == {}


def test_a_pod_that_is_gone_ends_it(pod: Pod, make, told: Told, seen: set[int]):
    agent = make()
    agent.do(fault(pod))
    pod.delete()
    (worker,) = agent.workers().values()
    worker._thread.join(30)
    assert not worker.alive
    agent.tick()
    assert told.wait("healedAt")["message"] == "its target is gone"
