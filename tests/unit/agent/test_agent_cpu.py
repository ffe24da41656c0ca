"""CPU stress, on real control groups: what the kernel counts there is the evidence, and nothing is left."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from harness.agent.resident import listening, supervising
from harness.agent.resident.healing import LOOK_EVERY
from harness.agent.resident.resources import __main__ as worker
from harness.agent.resident.resources import cpu, hogs
from harness.agent.resident.resources.effect import Effect
from harness.agent.resident.resources.groups import Groups
from harness.agent.resident.resources.order import Order
from harness.agent.resident.supervising import NOWHERE, Supervised
from tests.unit.agent.box import Box, removed
from tests.unit.agent.pod import V1
from tests.unit.agent.told import Told, settled

# A millisecond of every tenth of a second: what burns is throttled at once, and costs nobody anything.
QUOTA = 1000


def throttled(box: Box) -> int:
    lines = (box.folder("cpu") / "cpu.stat").read_text().split()
    return int(lines[lines.index("nr_throttled") + 1])


def test_a_container_is_throttled_by_its_own_limit_and_left_as_it_was(boxes: Callable[..., Box], make, told: Told):
    box, agent = boxes(cpu_quota_us=QUOTA), make()
    agent.do(box.fault(kind="cpu"))
    assert told.wait("appliedAt")
    assert len(box.others()) == 2
    felt = told.evidence("resource")
    assert felt["did"]["throttled"] >= cpu.FELT_PERIODS
    assert throttled(box) >= cpu.FELT_PERIODS
    assert agent.heal("key-1", "why")
    assert box.others() == []
    assert agent.ledger.faults() == {}
    counted = told.wait("healedAt")["evidence"]["resource"]
    assert counted["throttled"] <= throttled(box)
    assert counted["limit_cores"] == QUOTA / 1e5


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_whatever_a_worker_dies_of_its_processes_go_with_it(boxes: Callable[..., Box], make, told: Told, how: int):
    box, agent = boxes(cpu_quota_us=QUOTA), make()
    agent.do(box.fault(kind="cpu", workers=3))
    (one,) = agent.workers().values()
    one._process.send_signal(how)
    one._ended.wait()
    agent.tick()
    assert told.wait("healedAt")
    assert box.others() == []


@pytest.mark.parametrize(
    ("bounds", "why"),
    [({"lease": 0.1, "seconds": 60}, "its lease was not renewed"), ({"lease": 60, "seconds": 0.1}, "its time is over")],
)
def test_a_worker_that_nobody_renews_or_whose_time_is_over_ends(boxes: Callable[..., Box], bounds: dict, why: str):
    box = boxes(cpu_quota_us=QUOTA)
    of = {"fault": "run-1/f", "pod": box.uid, "container": box.container, "effect": {"kind": "cpu"}}
    one = Supervised({**of, **bounds}, NOWHERE, "", lambda found: None, program="resources")
    one._ended.wait()
    assert one.facts["why"] == why
    box.until(lambda: not box.others())
    one.end("the test is over")


def test_an_agent_with_many_files_sees_the_end_of_what_it_started_all_the_same(boxes: Callable[..., Box], make):
    box, agent = boxes(cpu_quota_us=QUOTA), make()
    agent.do(box.fault(kind="cpu", workers=1))
    (one,) = agent.workers().values()
    low, most = one._hogs, resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(most[0], 2048), max(most[1], 2048)))
    try:
        one._hogs = [fcntl.fcntl(handle, fcntl.F_DUPFD, 1024) for handle in low]
        assert agent.heal("key-1", "why")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, most)
        for handle in low:
            os.close(handle)
    assert box.others() == []


@contextmanager
def frozen(box: Box, pid: int) -> Iterator[None]:
    """Keep a process from doing anything, its own end included."""
    if not os.access(V1, os.W_OK):
        pytest.skip("no freezer of version 1 is here")
    folder = V1 / f"test-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    state = folder / "freezer.state"
    try:
        (folder / "cgroup.procs").write_text(str(pid))
        state.write_text("FROZEN")
        box.until(lambda: state.read_text().strip() == "FROZEN")
        yield
    finally:
        state.write_text("THAWED")
        with suppress(OSError):
            (V1 / "cgroup.procs").write_text(str(pid))
        box.until(lambda: removed(folder))


def test_a_fault_is_not_healed_before_all_that_it_started_has_ended(boxes: Callable[..., Box], make, monkeypatch):
    box, agent = boxes(cpu_quota_us=QUOTA), make()
    agent.do(box.fault(kind="cpu", workers=1))
    # The agent does not see it among the pod's processes, as it sees none that is ending.
    (hog,) = box.others()
    with frozen(box, hog), monkeypatch.context() as hasty:
        hasty.setattr(supervising, "END_SECONDS", 0.2)
        assert not agent.heal("key-1", "why")
        assert box.others() == [hog]
    assert agent.heal("key-1", "why")
    assert box.others() == []


def test_what_the_kernel_left_after_the_agents_death_is_ended_by_the_ledger(
    boxes: Callable[..., Box], make, told: Told
):
    box, first = boxes(cpu_quota_us=QUOTA), make()
    first.do(box.fault(kind="cpu", workers=1))
    (hog,) = box.others()
    box.show(hog)
    second = make()
    second.recover()
    assert box.others() == []
    assert second.ledger.faults() == {}


def test_a_container_that_ends_takes_the_fault_with_it(boxes: Callable[..., Box], make, told: Told):
    box, agent = boxes(cpu_quota_us=QUOTA), make()
    agent.do(box.fault(kind="cpu"))
    (one,) = agent.workers().values()
    box.process.kill()
    one._ended.wait()
    agent.tick()
    assert told.wait("healedAt")["message"] == "its target is gone"
    assert box.others() == []


def test_a_target_whose_only_processes_are_the_faults_own_is_not_missed_by_the_look(boxes: Callable[..., Box], make):
    box, agent = boxes(cpu_quota_us=QUOTA), make()
    agent.do(box.fault(kind="cpu"))
    for _ in range(LOOK_EVERY):
        agent.tick()
    settled()
    assert agent.workers()


@pytest.mark.parametrize(
    ("effect", "limits", "why"),
    [
        ({"kind": "cpu"}, {}, "no CPU limit"),
        ({"kind": "cpu"}, {"cpu_quota_us": 100_000 * (os.cpu_count() or 1)}, "the node would be taken"),
        ({"kind": "cpu", "workers": 0}, {"cpu_quota_us": QUOTA}, "workers is 0"),
        ({"kind": "cpu", "load": 2}, {"cpu_quota_us": QUOTA}, "load is 2"),
        ({"kind": "cpu", "cores": 2}, {"cpu_quota_us": QUOTA}, "no parameter cores"),
        ({"kind": "gpu"}, {}, "no effect 'gpu'"),
    ],
)
def test_what_would_not_be_held_back_is_refused(boxes: Callable[..., Box], make, told: Told, effect, limits, why):
    box, agent = boxes(**limits), make()
    agent.do(box.fault(**effect))
    assert why in told.wait("message")["message"]
    assert box.others() == []
    assert agent.ledger.faults() == {}


def test_a_container_of_another_pod_is_not_burdened(boxes: Callable[..., Box], make, told: Told):
    box, other, agent = boxes(cpu_quota_us=QUOTA), boxes(cpu_quota_us=QUOTA), make()
    fault = box.fault(kind="cpu")
    fault.effect["container"] = other.container
    agent.do(fault)
    assert "not of the pod" in told.wait("message")["message"]
    assert other.others() == []


def test_version_2_is_read_as_well(tmp_path: Path):
    identity = "f" * 64
    (tmp_path / "cgroup.controllers").touch()
    folder = tmp_path / f"kubepods.slice/kubepods-pod1.slice/cri-containerd-{identity}.scope"
    folder.mkdir(parents=True)
    (folder / "cpu.max").write_text("50000 100000\n")
    stat = "usage_usec 7000\nnr_periods 9\nnr_throttled 4\nthrottled_usec 3000\nnr_bursts 0\n"
    (folder / "cpu.stat").write_text(stat)
    found = Groups(tmp_path, identity)
    assert cpu.limit(found) == 0.5
    assert cpu.counters(found) == {"periods": 9, "throttled": 4, "throttled_ms": 3, "used_ms": 7}
    (folder / "cpu.max").write_text("max 100000\n")
    assert cpu.limit(found) is None


def served(monkeypatch: pytest.MonkeyPatch, effect: Effect) -> tuple[str, list[tuple[str, dict[str, Any]]]]:
    """Let a worker serve an effect; returns why it ended, and what it told, which is never too late for a report."""
    monkeypatch.setattr(worker, "REPORT_SECONDS", 60.0)
    pipes = [os.pipe(), os.pipe()]
    target = pipes[0][0]
    monkeypatch.setattr(listening, "INPUT", pipes[1][0])
    hog = hogs.start(signal.pause, [], 60)
    wanted = Order("run-1/f", "", "", {"kind": "memory"}, 60, 60)
    said: list[tuple[str, dict[str, Any]]] = []
    try:
        tell: Any = lambda event, **facts: said.append((event, facts))  # noqa: E731
        return worker.Worker(wanted, effect, [hog], target, tell).serve(target), said
    finally:
        assert hogs.end([hog]) == []
        for one in (*pipes[0], *pipes[1]):
            os.close(one)


def test_an_effect_that_must_not_go_on_ends_and_says_why(monkeypatch: pytest.MonkeyPatch):
    why = iter(["", "the node has almost no memory left"])
    assert served(monkeypatch, Effect([], (), dict, lambda: next(why)))[0] == "the node has almost no memory left"


def test_what_is_felt_is_told_with_all_that_was_counted_then(monkeypatch: pytest.MonkeyPatch):
    counted = iter([{"writes": 0, "did": {}}, {"writes": 5, "did": {"writes": 5}}])
    why = iter(["", "it is over"])
    _, said = served(monkeypatch, Effect([], (), lambda: next(counted), lambda: next(why)))
    facts = {"writes": 5, "did": {"writes": 5}}
    # An older report that is told of later would take back what was counted.
    assert said == [("report", {"writes": 0, "did": {}}), ("report", facts), ("first", facts)]
