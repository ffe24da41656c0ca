"""The crash matrix: which cells there are, which are stale, what is read, drawn and judged."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from bench.crash_matrix import __main__ as command
from bench.crash_matrix import cells, measure, page, record
from bench.crash_matrix.cells import CAUSES, Cell
from bench.crash_matrix.record import Row, State
from bench.dying.looks import Part, Seen
from harness.errors import PreconditionFailed
from harness.faults import FAULTS
from harness.model.fault import Hand

EVERY = [name for name, cause in CAUSES.items() if cause.every]
SIGNALS = [name for name, cause in CAUSES.items() if not cause.every]
ROW = Row("pod_freeze", "engine-killed", "node", "2026-11-29T10:00:00Z", "c0de", State.HELD, 0.84, 0.05, 3.1, 2.0)
NOW = datetime(2026, 11, 30, tzinfo=UTC)


def test_every_fault_of_the_folder_meets_every_cause_and_one_of_each_hand_the_signals() -> None:
    found = cells.every(FAULTS)
    assert {(cell.fault, cell.cause) for cell in found} >= {(name, cause) for name in FAULTS for cause in EVERY}
    signalled = {cell.fault for cell in found if cell.cause in SIGNALS}
    assert {FAULTS[name].hand for name in signalled} == {kind.hand for kind in FAULTS.values()}
    assert len(signalled) == len({kind.hand for kind in FAULTS.values()})
    assert not any(FAULTS[name].instant for name in signalled)


def test_a_fault_that_is_new_is_in_the_matrix_by_itself() -> None:
    new = dataclasses.replace(FAULTS["pod_freeze"], name="pod_doze")
    found = [cell.cause for cell in cells.every({**FAULTS, "pod_doze": new}) if cell.fault == "pod_doze"]
    assert found == EVERY


def test_each_cause_can_be_struck() -> None:
    assert set(measure.causes.STRIKES) == set(CAUSES)


@pytest.mark.parametrize(
    ("fault", "cause", "why"),
    [
        ("node_freeze", "target-restarted", "its target is a node"),
        ("node_freeze", "target-deleted", "does not come back as it was found"),
        ("node_freeze", "node-restarted", ""),
        ("zone_outage", "node-restarted", ""),
        ("zone_outage", "target-restarted", "no process of its own"),
        ("component_pause", "node-restarted", "nothing of the control plane is ended"),
        ("pod_kill", "target-deleted", "over at once"),
        ("pod_kill", "engine-killed", ""),
        ("pod_freeze", "target-restarted", ""),
        ("pod_failure", "target-restarted", "does not run meanwhile"),
        ("pod_crash_loop", "target-restarted", "does not run meanwhile"),
        ("pod_crash_loop", "target-deleted", ""),
    ],
)
def test_a_cell_without_meaning_says_why(fault: str, cause: str, why: str) -> None:
    found = cells.meaningless(FAULTS[fault], cause)
    assert why in found
    assert bool(found) == bool(why)


@pytest.mark.parametrize(
    ("hand", "cause", "limit", "since"),
    [
        (Hand.HOST, "engine-killed", 2, "its death"),
        (Hand.HOST, "healer-killed", 17, "its death"),
        (Hand.HOST, "api-stopped", 17, "its stop"),
        (Hand.API, "api-stopped", 2, "the API server's return"),
        (Hand.NODE, "node-restarted", 17, "Ctrl-C"),
        (Hand.API, "node-restarted", 2, "Ctrl-C"),
    ],
)
def test_the_promise_is_counted_from_where_it_can_be_kept(hand: Hand, cause: str, limit: float, since: str) -> None:
    promise = Cell("x", hand, cause).promise
    assert (promise.limit, promise.since) == (limit, since)


def test_what_is_no_pod_and_no_node_is_on_no_node_and_is_not_restarted() -> None:
    kind = dataclasses.replace(FAULTS["node_cordon"], target="workload")
    assert "on no node" in cells.meaningless(kind, "node-restarted")
    assert "no process" in cells.meaningless(kind, "target-restarted")
    assert cells.meaningless(kind, "engine-killed") == ""


def test_shards_have_every_cell_once_and_only_narrows_by_fault_and_by_cause() -> None:
    every = cells.every(FAULTS)
    parts = [cells.narrowed(every, shard=f"{number}/3") for number in (1, 2, 3)]
    assert sorted(map(str, (cell for part in parts for cell in part))) == sorted(map(str, every))
    found = cells.narrowed(every, only="pod_freeze,node_stop engine-killed")
    assert sorted(map(str, found)) == ["node_stop x engine-killed", "pod_freeze x engine-killed"]


@pytest.mark.parametrize("of", [2, 3, 4, 8])
def test_each_shard_has_its_share_of_each_cause(of: int) -> None:
    every = cells.every(FAULTS)
    parts = [cells.narrowed(every, shard=f"{number}/{of}") for number in range(1, of + 1)]
    assert all(part == [cell for cell in every if cell in part] for part in parts)
    for cause in CAUSES:
        counts = [sum(cell.cause == cause for cell in part) for part in parts]
        assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(("only", "shard"), [("pod_frieze", ""), ("", "4/3"), ("", "0/3"), ("", "half")])
def test_what_cannot_be_meant_is_refused(only: str, shard: str) -> None:
    with pytest.raises(ValueError, match=r"there is no fault or cause|a shard is"):
        cells.narrowed(cells.every(FAULTS), only, shard)


def test_a_cell_is_stale_when_what_it_depends_on_has_changed_and_not_by_another_fault(tmp_path: Path) -> None:
    for name in ("faults/__init__.py", "faults/kind.py", "faults/pod_doze.py", "faults/pod_nap.py", "engine/undo.py"):
        path = tmp_path / "harness" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "harness" / "report").mkdir()
    first = record.code("pod_doze", tmp_path)
    for name, stale in (("faults/pod_nap.py", False), ("report/page.py", False), ("faults/pod_doze.py", True)):
        (tmp_path / "harness" / name).write_text("x = 1")
        assert (record.code("pod_doze", tmp_path) != first) == stale
    (tmp_path / "harness" / "faults" / "pod_doze.py").write_text("from harness.faults import kind, pod_nap")
    for name in ("faults/kind.py", "engine/undo.py", "faults/pod_nap.py"):
        before = record.code("pod_doze", tmp_path)
        (tmp_path / "harness" / name).write_text("x = 2")
        assert record.code("pod_doze", tmp_path) != before


def test_only_what_held_with_this_code_is_fresh() -> None:
    assert record.fresh(ROW, "c0de")
    assert not record.fresh(ROW, "other")
    assert not record.fresh(dataclasses.replace(ROW, state=State.BROKEN), "c0de")
    assert not record.fresh(None, "c0de")


def test_the_newest_row_of_a_cell_counts_and_a_broken_file_loses_no_other(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    older = dataclasses.replace(ROW, at="2026-11-28T10:00:00Z", removed=1.9)
    record.write(path, [ROW])
    newest = path.read_text()
    record.write(path, [older])
    broken = ['{"fault": "pod_fr', "[1]", '{"fault": "x"}', newest.strip().replace("0.84", '"soon"'), "\x00"]
    path.write_text(newest + "\n".join(broken) + "\n" + path.read_text())
    found, amiss = record.read(path)
    assert found == {ROW.key: ROW}
    assert [line.split(":")[1] for line in amiss] == ["2", "3", "4", "5", "6"]
    assert record.read(tmp_path / "none.jsonl") == ({}, [])


def draw(*rows: Row, code: str = "c0de") -> str:
    codes = dict.fromkeys(FAULTS, code)
    return page.draw({row.key: row for row in rows}, FAULTS, cells.every(FAULTS), codes, NOW)


def line_of(text: str, fault: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"| {fault} |"))


def test_a_cell_shows_its_heal_time_and_day_and_whether_it_is_stale_or_broken() -> None:
    assert "| 0.84 11-29 |" in line_of(draw(ROW), "pod_freeze")
    assert "| *0.84 11-29* |" in line_of(draw(ROW, code="new"), "pod_freeze")
    broken = dataclasses.replace(ROW, state=State.BROKEN, why="still there 2.4 s later", verdict="ABORTED", exit=3)
    text = draw(broken)
    assert "| **0.84** 11-29 |" in line_of(text, "pod_freeze")
    assert "- pod_freeze, engine-killed (broken, 2026-11-29): still there 2.4 s later" in text
    assert "| ABORTED 3 |" in text
    nothing = dataclasses.replace(ROW, fault="pod_kill", removed=None)
    assert "| none 11-29 |" in line_of(draw(nothing), "pod_kill")
    left = dataclasses.replace(broken, removed=None)
    assert "| **left** 11-29 |" in line_of(draw(left), "pod_freeze")
    unmeasured = dataclasses.replace(ROW, state=State.UNMEASURED, removed=None)
    assert "| ? 11-29 |" in line_of(draw(unmeasured), "pod_freeze")


def test_the_page_counts_what_is_there_and_says_what_has_no_meaning() -> None:
    text = draw(ROW, dataclasses.replace(ROW, cause="both-killed", state=State.BROKEN), code="new")
    assert "1 held, 1 broke the promise, 0 could not be measured" in text
    assert "2 are stale" in text
    assert "- target-deleted, " in text
    assert "hours" not in text
    assert "They took 2.5 hours." in draw(dataclasses.replace(ROW, took=9000.0))


def test_the_page_says_what_is_promised_of_what_the_api_server_keeps() -> None:
    text = draw()
    assert "| node-restarted | the target's node is restarted, then Ctrl-C | 17 s after Ctrl-C |" in text
    assert "|   | of what the API server keeps | 2 s after Ctrl-C |" in text
    assert "|   | of what the API server keeps | 2 s after the API server's return |" in text


def judged(seen: Seen, left: list[str] | None = None, **row: Any) -> Row:
    begun = dataclasses.replace(ROW, state=State.UNMEASURED, removed=None, blur=None, clean=None, exit=-9)
    lasts, went_on = row.pop("lasts", True), row.pop("went_on", False)

    def counted(part: Part) -> tuple[float, float]:
        return (200.0, 2.0) if part.api else (100.0, 2.0)

    begun = dataclasses.replace(begun, **row)
    return measure.judged(begun, 100.0, counted, seen, left or [], 4.0, lasts=lasts, went_on=went_on)


def seen(broken: float, whole: float) -> Seen:
    return Seen([Part("first", 99.0, 100.1), Part("second", broken, whole)])


def test_the_last_that_was_gone_counts() -> None:
    row = judged(seen(101.5, 101.6))
    assert (row.state, row.removed, row.blur, row.clean) == (State.HELD, 1.6, 0.1, 4.0)


def test_a_look_that_began_within_the_limit_breaks_no_promise() -> None:
    assert judged(seen(101.9, 102.6)).state is State.HELD
    late = judged(seen(102.5, 102.6))
    assert (late.state, late.removed) == (State.BROKEN, 2.6)
    assert "still there 2.5 s later, promised were 2 s" in late.why


def test_a_promise_at_whose_end_nobody_looked_for_longer_than_it_lasts_is_not_measured() -> None:
    blind = judged(seen(99.5, 125.4))
    assert (blind.state, blind.removed) == (State.UNMEASURED, 25.4)
    assert blind.why == "seen to be gone after 25.4 s, not whether it was after 2 s"


def test_what_is_left_or_never_gone_breaks_the_promise() -> None:
    assert "left behind: fault/a" in judged(seen(100.2, 100.3), ["fault/a: absent -> present"]).why
    never = judged(seen(160.0, math.inf))
    assert (never.state, never.removed, never.why) == (State.BROKEN, None, "still there: second")
    assert judged(seen(100.2, 100.3), exit=7).state is State.BROKEN
    assert judged(seen(100.2, 100.3), exit=None).state is State.BROKEN


def test_what_was_gone_before_the_strike_proves_nothing_unless_the_strike_took_it_away() -> None:
    assert judged(Seen([Part("first", 98.0, 99.0)])).state is State.UNMEASURED
    deleted = judged(Seen([Part("first", 98.0, 99.0)]), cause="target-deleted")
    assert (deleted.state, deleted.removed) == (State.HELD, 0.0)


def test_what_is_over_at_once_has_nothing_to_be_removed() -> None:
    row = judged(Seen(), lasts=False)
    assert (row.state, row.removed, row.blur) == (State.HELD, None, None)
    moment = judged(Seen([Part("first", 98.0, 99.0)]), lasts=False)
    assert (moment.state, moment.removed, moment.blur) == (State.HELD, None, None)


def test_what_the_api_server_keeps_and_what_a_node_has_are_counted_each_by_its_own_promise() -> None:
    found = Seen([Part("node", 101.0, 101.4), Part("taint", 199.0, 201.7, api=True)])
    assert (judged(found).state, judged(found).removed) == (State.HELD, 1.7)
    late = judged(Seen([Part("node", 101.0, 101.4), Part("taint", 202.5, 203.0, api=True)]))
    assert (late.state, late.why) == (State.BROKEN, "still there 2.5 s later, promised were 2 s")
    node = judged(Seen([Part("node", 103.0, 103.1), Part("taint", 199.0, 201.7, api=True)]))
    assert (node.state, node.removed) == (State.BROKEN, 3.1)


def test_an_engine_that_ended_before_it_was_killed_proves_nothing() -> None:
    for cause in ("engine-killed", "both-killed"):
        row = judged(seen(100.2, 100.3), exit=3, cause=cause)
        assert (row.state, row.why) == (State.UNMEASURED, "the engine had ended before it was killed")
    assert judged(seen(100.2, 100.3), exit=3, cause="healer-killed").state is State.HELD


def test_a_run_that_goes_on_as_if_nothing_was_struck_breaks_the_promise() -> None:
    row = judged(seen(100.2, 100.3), exit=130, cause="engine-suspended", went_on=True)
    assert (row.state, row.why) == (State.BROKEN, "the run went on until it was interrupted")


def test_a_fault_that_lasts_and_that_nobody_saw_proves_nothing() -> None:
    row = judged(Seen())
    assert (row.state, row.why) == (State.UNMEASURED, "the fingerprint saw nothing of it")


@pytest.fixture
def struck(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Name the cells that were struck; each holds, but one is broken."""
    names: list[str] = []

    async def stand_in(cell: Cell) -> Row:
        names.append(str(cell))
        state = State.BROKEN if cell.cause == "both-killed" else State.HELD
        code = record.code(cell.fault)
        return Row(cell.fault, cell.cause, str(cell.hand), "2026-11-30T10:00:00Z", code, state, 1.0, 0.1, 2.0, 2.0)

    monkeypatch.setattr(command, "_measure", stand_in)
    return names


def test_what_held_is_not_struck_again_and_what_was_broken_is(
    struck: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(tmp_path / "cells.jsonl"), "--only", "pod_freeze engine-killed both-killed"]
    assert command.main(words) == 1
    assert struck == ["pod_freeze x engine-killed", "pod_freeze x both-killed"]
    assert command.main(words) == 1
    assert struck[2:] == ["pod_freeze x both-killed"]
    said = capsys.readouterr().out
    assert "v pod_freeze x engine-killed  removed 1.00 s (-0.10)  limit 2 s  clean 2.0 s" in said
    assert "1 of 2 cells held" in said
    assert "| **1.00** 11-30 |" in (tmp_path / "cells.md").read_text()
    assert command.main([*words, "--draw"]) == 1
    assert len(struck) == 3


def test_what_is_still_there_is_not_told_as_nothing_to_remove() -> None:
    still = dataclasses.replace(ROW, state=State.BROKEN, removed=None, why="still there: x", took=93.4)
    assert command.line(still) == "x pod_freeze x engine-killed  limit 2 s  clean 3.1 s  took 93 s  still there: x"


def test_a_cluster_that_cannot_be_made_fit_ends_the_command_after_some_cells(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    struck: list[str] = []
    # Of these causes the third has one that is only not measured: what follows begins anew.
    whys = [measure.UNFIT, measure.UNFIT, "", *[measure.UNFIT] * 9]

    async def unfit(cell: Cell) -> Row:
        struck.append(cell.cause)
        return dataclasses.replace(ROW, cause=cell.cause, state=State.UNMEASURED, why=f"{whys[len(struck) - 1]}x")

    monkeypatch.setattr(command, "_measure", unfit)
    assert command.main(["--data", str(tmp_path / "cells.jsonl"), "--only", "pod_freeze"]) == 1
    assert len(struck) == 6
    assert "error: 2 cells were not tried: no cell can begin" in capsys.readouterr().err


def test_a_cell_that_is_passed_over_says_why(
    struck: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--data", str(tmp_path / "cells.jsonl"), "--only", "node_stop target-deleted"]) == 0
    assert struck == []
    assert "node_stop x target-deleted  passed over: a node that is deleted" in capsys.readouterr().out


def test_no_cluster_is_an_error_and_no_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command.place.local, "current", lambda: None)
    assert command.main(["--data", str(tmp_path / "cells.jsonl"), "--only", "pod_freeze engine-killed"]) == 4
    assert "there is no local cluster" in capsys.readouterr().err
    assert not (tmp_path / "cells.jsonl").exists()


def test_what_keeps_a_cell_from_being_measured_is_in_its_row() -> None:
    class Unfit:
        async def fit(self) -> None:
            raise PreconditionFailed("the keeper is away")

    place: Any = Unfit()
    row = anyio.run(measure.measured, place, Cell("pod_freeze", Hand.NODE, "ctrl-c"))
    why = "the cluster could not be made fit: PreconditionFailed: the keeper is away"
    assert (row.state, row.why) == (State.UNMEASURED, why)
