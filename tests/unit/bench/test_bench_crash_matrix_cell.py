"""One cell: it proves that the promise was held or broken, or says why it proves nothing."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from bench.crash_matrix import causes, cells, measure
from bench.crash_matrix.causes import Case
from bench.crash_matrix.cells import CAUSES, Cell
from bench.crash_matrix.record import State
from bench.dying import run
from bench.dying.looks import Part
from harness.errors import UsageError
from harness.model.fault import Hand


class Broken:
    """A cluster that is other than before while a file is there."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.kube: Any = None

    async def fit(self) -> None:
        pass

    async def suit(self, fault: str, namespace: str) -> None:
        pass

    async def fingerprint(self, only: Collection[str] = ()) -> dict[str, str]:
        return {"thing": str(self.file.exists())}

    async def steady(self) -> dict[str, str]:
        return await self.fingerprint()

    async def unlike(self, before: dict[str, str], seconds: float) -> list[str]:
        return [] if await self.fingerprint() == before else ["thing"]


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Broken:
    """A cluster and an engine that break and mend one file."""

    @contextlib.asynccontextmanager
    async def lent(*_: Any) -> AsyncIterator[str]:
        yield "t-x"

    async def around(_: Any) -> list[str]:
        return []

    found = Broken(tmp_path / "broken")
    monkeypatch.setattr(run, "HARNESS", (sys.executable, str(Path(__file__).with_name("engine_stand_in.py"))))
    monkeypatch.setattr(measure.workload, "lent", lent)
    monkeypatch.setattr(measure.workload, "around", around)
    monkeypatch.setattr(measure.document, "written", lambda *_: json.dumps({"description": str(found.file)}))
    monkeypatch.setattr(causes, "AGAIN_SECONDS", 0.01)
    promise(monkeypatch, 120.0)
    return found


def promise(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Promise other times than the real ones: what is tried here is no clock."""
    monkeypatch.setattr(cells, "promised", lambda cause, *, of_api: replace(CAUSES[cause], limit=seconds))
    monkeypatch.setattr(measure, "PATIENCE_SECONDS", 0.0)


@pytest.mark.parametrize("cause", ["sigterm", "sighup", "ctrl-c", "ctrl-c-twice", "terminal-closed"])
def test_a_run_that_heals_holds_the_promise(broken: Any, cause: str) -> None:
    row = anyio.run(measure.measured, broken, Cell("pod_freeze", Hand.NODE, cause))
    assert (row.state, row.verdict, row.exit, row.why) == (State.HELD, "ABORTED", 130, "")
    assert row.removed is not None
    assert not broken.file.exists()


def test_a_run_that_dies_and_is_not_healed_breaks_it(broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    promise(monkeypatch, 0.1)
    row = anyio.run(measure.measured, broken, Cell("pod_freeze", Hand.NODE, "engine-killed"))
    assert (row.state, row.verdict, row.exit) == (State.BROKEN, "", -9)
    assert "left behind: thing" in row.why
    assert "still there" in row.why


def test_a_run_that_goes_on_after_the_strike_is_ended(broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    healer_dies(broken, monkeypatch)
    row = anyio.run(measure.measured, broken, Cell("pod_freeze", Hand.NODE, "healer-killed"))
    assert (row.state, row.verdict, row.exit) == (State.HELD, "ABORTED", 130)


def healer_dies(broken: Any, monkeypatch: pytest.MonkeyPatch, *, there: bool = True) -> None:
    """Have a healer that heals as it dies, or one that had ended before."""

    def dies() -> bool:
        broken.file.unlink()
        return there

    async def healer(*_: Any) -> Callable[[], bool]:
        return dies

    monkeypatch.setattr(causes.strikes, "healer", healer)


def test_a_run_that_goes_on_without_its_keeper_breaks_the_promise(broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    healer_dies(broken, monkeypatch)
    monkeypatch.setattr(measure, "GOES_ON_SECONDS", 0.1)
    row = anyio.run(measure.measured, broken, Cell("node_freeze", Hand.HOST, "healer-killed"))
    assert (row.state, row.why) == (State.BROKEN, "the run went on until it was interrupted")


def test_an_engine_that_wakes_up_and_goes_on_breaks_the_promise(broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    promise(monkeypatch, 0.1)
    monkeypatch.setattr(causes, "ASLEEP_SECONDS", 0.0)
    monkeypatch.setattr(measure, "GOES_ON_SECONDS", 0.1)
    row = anyio.run(measure.measured, broken, Cell("pod_freeze", Hand.NODE, "engine-suspended"))
    assert row.state is State.BROKEN
    assert "the run went on until it was interrupted" in row.why


def test_a_healer_that_had_ended_before_proves_nothing(broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    healer_dies(broken, monkeypatch, there=False)
    row = anyio.run(measure.measured, broken, Cell("pod_freeze", Hand.NODE, "healer-killed"))
    assert (row.state, row.why) == (
        State.UNMEASURED,
        "ObservationFailed: who was to be killed had ended before",
    )


def test_a_run_that_is_over_before_the_strike_proves_nothing(broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ended(case: Case, before: dict[str, str]) -> dict[str, str]:
        case.run.interrupt()
        await run.aside(case.run.process.wait)
        return before

    monkeypatch.setattr(measure, "_during", ended)
    row = anyio.run(measure.measured, broken, Cell("pod_kill", Hand.API, "engine-killed"))
    assert (row.state, row.why) == (
        State.UNMEASURED,
        "ObservationFailed: the run was over before it was struck",
    )


def test_what_was_measured_counts_also_where_the_web_servers_do_not_go(
    broken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.asynccontextmanager
    async def stuck(*_: Any) -> AsyncIterator[str]:
        yield "t-x"
        raise TimeoutError("the end of namespace t-x did not come within 120 s")

    monkeypatch.setattr(measure.workload, "lent", stuck)
    row = anyio.run(measure.measured, broken, Cell("pod_freeze", Hand.NODE, "ctrl-c"))
    assert (row.state, row.why) == (State.HELD, "")


@pytest.mark.parametrize(
    ("fault", "asked"),
    [
        ("component_pause", [["container/worker/residue", "container/worker/state"]]),
        ("node_restart", []),
        ("pod_freeze", [[]]),
    ],
)
def test_what_passes_by_itself_is_looked_for_where_it_is_and_a_boot_is_nobodys_to_undo(
    fault: str, asked: list[list[str]]
) -> None:
    only: list[list[str]] = []

    class There:
        async def fingerprint(self, some: Collection[str] = ()) -> dict[str, str]:
            only.append([*some])
            return dict.fromkeys(some, "other")

    there: Any = There()
    nobody: Any = None
    case = Case(Cell(fault, Hand.HOST, "ctrl-c"), there, nobody, {"name": "worker"})
    before = dict.fromkeys(["container/worker/residue", "container/worker/state", "lever"], "")
    during = anyio.run(measure._during, case, before)
    assert only == asked
    own = dict.fromkeys((line for some in asked for line in some), "other")
    assert during == {**({} if fault == "pod_freeze" else before), **own}


def test_what_the_api_server_keeps_is_counted_from_its_return_whoever_does_the_fault() -> None:
    nobody: Any = None
    case = Case(Cell("node_spot_reclaim", Hand.HOST, "api-stopped"), nobody, nobody, {}, since=100.0, returned=125.0)
    assert case.counted(Part("node/a/taints", api=True)) == (125.0, 2.0)
    assert case.counted(Part("container/a/state")) == (100.0, 17.0)
    case.cell = Cell("node_taint", Hand.API, "node-restarted")
    assert case.counted(Part("node/a/taints", api=True)) == (100.0, 2.0)
    assert case.counted(Part("container/a/state")) == (100.0, 17.0)


def test_a_fault_without_an_example_is_told_and_is_not_the_clusters_doing(
    broken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwritten(*_: Any) -> str:
        raise UsageError("there is no example of a target of kind moon")

    monkeypatch.setattr(measure.document, "written", unwritten)
    row = anyio.run(measure.measured, broken, Cell("pod_freeze", Hand.NODE, "ctrl-c"))
    assert (row.state, row.why) == (State.UNMEASURED, "UsageError: there is no example of a target of kind moon")


def test_a_run_that_ends_before_its_fault_is_no_measurement(broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "HARNESS", ("/bin/sh", "-c", "echo no cluster; exit 4"))
    row = anyio.run(measure.measured, broken, Cell("pod_freeze", Hand.NODE, "ctrl-c"))
    assert row.state is State.UNMEASURED
    assert "the run ended with 4 before fault.injected why no cluster" in row.why
