"""The watcher over the machine: it samples, it says when it cannot, and whatever happens it never ends a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from harness.cluster.host import machine as machines
from harness.cluster.host.machine import Machine
from harness.cluster.host.procfs import Cpu
from harness.cluster.local import LocalCluster
from harness.engine.session import Session
from harness.engine.watching import machine
from harness.errors import ObservationFailed
from harness.journal import reader

pytestmark = pytest.mark.anyio
CLUSTER = LocalCluster("c", Path("k"), "unix:///nowhere/docker.sock", "n", {"a": "a"}, "a", Path("keeper.sock"))
SERIES = {"idle", "others", "steal", "cluster", "harness", "pressure", "pressure-io", "pressure-memory"}


@pytest.fixture
def local(session: Session, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A run on a local cluster, sampled as often as the kernel's counters allow."""
    session.cluster = CLUSTER
    session.worker = SimpleNamespace(pid=None)  # type: ignore[assignment]
    monkeypatch.setattr(machine, "PERIOD_SECONDS", machine.LEAST_SECONDS)
    monkeypatch.setattr(machine, "NAMING_SECONDS", machine.LEAST_SECONDS)
    return session


def samples(session: Session) -> list[dict[str, Any]]:
    return [dict(event.data) for event in reader.read(session.directory) if event.type == "sample"]


async def watched(session: Session, count: int) -> list[dict[str, Any]]:
    """Watch until so many samples are written, then cancel as the end of a run does."""
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(machine.watch, session)
            while len(samples(session)) < count:
                await anyio.sleep(0.02)
            group.cancel_scope.cancel()
    return samples(session)


async def test_a_cluster_elsewhere_is_said_to_be_out_of_sight_once(session: Session) -> None:
    await machine.watch(session)
    assert samples(session) == [{"series": "machine/idle", "value": None, "labels": {"why": machine.ELSEWHERE}}]


async def test_every_look_writes_all_series_at_one_moment(local: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "find", lambda cluster, beside: Machine())
    found = await watched(local, 2 * len(SERIES))
    moments: dict[float, set[str]] = {}
    for sample in found:
        moments.setdefault(sample["time"], set()).add(sample["series"].removeprefix("machine/"))
    assert list(moments.values())[:2] == [SERIES, SERIES]
    assert all(0 <= sample["value"] <= 1 for sample in found if sample["value"] is not None)


async def test_a_machine_that_cannot_be_seen_is_said_once_and_looked_for_again(
    local: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Any] = [ObservationFailed("no", why="no node runs"), ObservationFailed("no", why="no node runs")]

    def find(cluster: LocalCluster, beside: list[str]) -> Machine:
        if answers:
            raise answers.pop()
        return Machine()

    monkeypatch.setattr(machines, "find", find)
    found = await watched(local, 1 + len(SERIES))
    assert [sample["labels"]["why"] for sample in found if "why" in sample["labels"]] == ["no node runs"]
    assert {sample["series"] for sample in found[1:]} == {f"machine/{name}" for name in SERIES}


async def test_a_bug_in_the_watcher_is_no_data_and_no_more(local: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(cluster: LocalCluster, beside: list[str]) -> Machine:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(machines, "find", find)
    found = await watched(local, 1)
    assert (found[0]["value"], found[0]["labels"]) == (None, {"why": "ZeroDivisionError: a bug"})


async def test_files_that_cannot_be_read_are_no_data(local: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "find", lambda *_: Machine({"a": PurePosixPath("/nowhere")}))
    monkeypatch.setattr(machines, "text", lambda path: "")
    found = await watched(local, len(SERIES))
    shares = {sample["series"]: sample["value"] for sample in found}
    assert shares["machine/idle"] is shares["machine/others"] is shares["machine/pressure"] is None


async def test_the_last_moments_are_part_of_the_run(local: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(read: Callable[..., Any], *arguments: Any) -> Any:
        return read(*arguments)

    monkeypatch.setattr(machine, "PERIOD_SECONDS", 3600.0)
    monkeypatch.setattr(machine, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(machine, "_aside", at_once)
    monkeypatch.setattr(machines, "find", lambda *_: Machine())
    async with anyio.create_task_group() as group:
        group.start_soon(machine.watch, local)
        await anyio.wait_all_tasks_blocked()
        assert samples(local) == []
        group.cancel_scope.cancel()
    assert {sample["series"] for sample in samples(local)} == {f"machine/{name}" for name in SERIES}


def test_others_are_named_only_when_they_took_something(session: Session) -> None:
    machine_before = Machine().counters()
    after = machines.replace(machine_before, at=machine_before.at + 1.0, cpu=Cpu(1, 0.0, 0.0, 0.0))
    before = machines.replace(machine_before, cpu=Cpu(1, 0.0, 0.0, 0.0))
    machine._write(session, before, after, {"yes": 0.46, "sh": 0.004})
    machine._write(session, before, after, {"sh": 0.04})
    named = [sample["labels"] for sample in samples(session) if sample["series"] == "machine/others"]
    assert named == [{"by/yes": "0.460"}, {}]


def test_a_suspend_is_written_down_once(session: Session) -> None:
    start = Machine().counters()
    slept = machines.replace(start, awake=start.awake + 30.0, wall=start.wall + 30.0)
    reference = machine._jumped(session, start, slept)
    reference = machine._jumped(session, reference, slept)
    assert [(sample["series"], sample["value"], sample["labels"]) for sample in samples(session)] == [
        ("machine/clock-jump", 30.0, {"how": "suspended"})
    ]


def test_clocks_that_drift_slowly_are_told_when_they_are_far_enough_apart(session: Session) -> None:
    start = reference = Machine().counters()
    for step in range(1, 8):
        reference = machine._jumped(session, reference, machines.replace(start, wall=start.wall - 0.1 * step))
    assert [sample["value"] for sample in samples(session)] == [-0.6]
