"""The report on the stack: rows that fail, raise or lack their part, their ground, the page, the exit code."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from bench.dying import place
from bench.stack_report import __main__ as report
from bench.stack_report import page, row, site
from bench.stack_report.row import NotHere, Result, Row, Seen, State, Subject
from bench.stack_report.site import Once
from harness.cluster import local
from harness.errors import Exit, PreconditionFailed, UsageError
from harness.stack import apply

NOW = datetime(2026, 11, 30, tzinfo=UTC)


async def good(ground: Any) -> Seen:
    return Seen(True, f"seen on {ground}")


async def bad(_: Any) -> Seen:
    return Seen(False, "something else")


async def raises(_: Any) -> Seen:
    raise ValueError("no such\n  thing")


async def grouped(_: Any) -> Seen:
    async with anyio.create_task_group() as together:
        together.start_soon(raises, None)
    raise AssertionError


async def absent(_: Any) -> Seen:
    raise NotHere("the stack has none")


def rows(**proofs: Any) -> list[Row]:
    return [Row(f"t/{name}", "1", "the seed says", "done", prove=prove) for name, prove in proofs.items()]


def subject(found: Sequence[Row], ground: Any = None) -> Subject:
    @contextlib.asynccontextmanager
    async def whole(place: Any) -> AsyncIterator[Any]:
        yield place

    return Subject("t", "Tests", found, ground or whole)


def proved(of: Subject, there: Sequence[str] = ("core",)) -> list[Result]:
    return anyio.run(row.prove, of, "the ground", there)


def states(results: Sequence[Result]) -> dict[str, State]:
    return {one.row.name: one.state for one in results}


def test_a_row_that_raises_is_failed_and_the_others_go_on() -> None:
    results = proved(subject(rows(first=raises, second=grouped, third=bad, fourth=good)))
    assert states(results) == {
        "t/first": State.FAILED,
        "t/second": State.FAILED,
        "t/third": State.FAILED,
        "t/fourth": State.PROVED,
    }
    assert [one.seen for one in results] == [
        "ValueError: no such thing",
        "ValueError: no such thing",
        "something else",
        "seen on the ground",
    ]


def test_a_row_that_ends_in_no_time_that_it_may_take_is_failed() -> None:
    async def never(_: Any) -> Seen:
        await anyio.sleep_forever()
        raise AssertionError

    (result,) = proved(subject([Row("t/never", "1", "", prove=never, within=0.01)]))
    assert (result.state, result.seen) == (State.FAILED, "given up after 0.01 s")


def test_a_row_whose_part_is_not_up_is_not_asked() -> None:
    (result,) = proved(subject([Row("t/mesh", "1", "", part="mesh", prove=raises)]))
    assert (result.state, "harness up --parts core,mesh" in result.seen) == (State.NOT_HERE, True)


def test_what_the_stack_lacks_is_not_here_with_the_reason() -> None:
    found = [*rows(none=absent), Row("t/never-asked", "1", "", why="no cloud")]
    results = {one.row.name: (one.state, one.seen) for one in proved(subject(found))}
    assert results == {
        "t/none": (State.NOT_HERE, "the stack has none"),
        "t/never-asked": (State.NOT_HERE, "no cloud"),
    }


def test_a_row_beside_the_others_waits_while_they_go_on() -> None:
    over, order = anyio.Event(), []

    async def waits(_: Any) -> Seen:
        await over.wait()
        order.append("beside")
        return Seen(True, "")

    async def ends(_: Any) -> Seen:
        order.append("one of the others")
        over.set()
        return Seen(True, "")

    found = [Row("t/waits", "1", "", prove=waits, beside=True), *rows(ends=ends)]
    assert [one.row.name for one in proved(subject(found))] == ["t/waits", "t/ends"]
    assert order == ["one of the others", "beside"]


def test_no_ground_is_a_failure_of_all_that_was_to_stand_on_it() -> None:
    @contextlib.asynccontextmanager
    async def none(place: Any) -> AsyncIterator[Any]:
        if place:
            raise PreconditionFailed("no image")
        yield

    found = [*rows(one=good, two=good), Row("t/elsewhere", "1", "", why="no cloud")]
    results = proved(subject(found, none))
    assert states(results) == {"t/one": State.FAILED, "t/two": State.FAILED, "t/elsewhere": State.NOT_HERE}
    assert "no image" in results[0].seen


def test_a_ground_that_the_stack_does_not_have_is_not_here() -> None:
    @contextlib.asynccontextmanager
    async def none(place: Any) -> AsyncIterator[Any]:
        if place:
            raise NotHere("no door")
        yield

    (result,) = proved(subject(rows(one=good), none))
    assert (result.state, result.seen) == (State.NOT_HERE, "no door")


def test_what_stays_behind_is_a_failure_of_its_own() -> None:
    @contextlib.asynccontextmanager
    async def sticks(place: Any) -> AsyncIterator[Any]:
        yield place
        raise TimeoutError("a namespace stays")

    results = proved(subject(rows(one=good), sticks))
    assert states(results) == {"t/one": State.PROVED, "t/undone": State.FAILED}
    assert "a namespace stays" in results[1].seen


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([State.PROVED, State.NOT_HERE], 0),
        ([State.PROVED, State.FAILED, State.NOT_HERE], 1),
        ([State.NOT_HERE], int(Exit.NOTHING_RAN)),
        ([], int(Exit.NOTHING_RAN)),
    ],
)
def test_one_failure_fails_the_command_and_nothing_asked_is_no_success(found: list[State], code: int) -> None:
    assert row.code([Result(Row("t/one", "1", ""), state, "") for state in found]) == code


def test_rows_are_chosen_by_how_their_names_begin() -> None:
    two = [subject(rows(one=good, other=good)), Subject("u", "", [Row("u/one", "1", "")])]
    assert [one.name for kept in row.chosen(two, ["t/o"]) for one in kept.rows] == ["t/one", "t/other"]
    assert [one.name for kept in row.chosen(two, ["u", "t/one"]) for one in kept.rows] == ["t/one", "u/one"]
    assert row.chosen(two, []) == two
    with pytest.raises(UsageError, match="'v/'"):
        row.chosen(two, ["u", "v/"])


def test_what_is_done_once_is_told_to_all_who_ask_whatever_came_of_it() -> None:
    done = []

    async def twice() -> None:
        async def do() -> str:
            done.append(1)
            if len(done) > 1:
                raise ValueError("done twice")
            return "done"

        async def fail() -> str:
            done.append(1)
            raise ValueError("failed")

        well, ill = Once(do), Once(fail)
        assert [await well(), await well()] == ["done", "done"]
        for _ in range(2):
            with pytest.raises(ValueError, match="failed"):
                await ill()

    anyio.run(twice)
    assert len(done) == 2


def test_the_page_has_a_line_for_each_row_and_counts_them() -> None:
    of = subject([Row("t/a", "1-2", "a | b", "c"), Row("t/b", "3", "d", "e"), Row("t/c", "4", "f")])
    found = [(State.PROVED, "well"), (State.FAILED, "ill\nat ease"), (State.NOT_HERE, "no cloud")]
    results = [Result(one, *came) for one, came in zip(of.rows, found, strict=True)]
    text = page.draw([of], results, ["core", "mesh"], NOW)
    assert "## 2026-11-30 00:00 UTC" in text
    assert "3 rows: 1 proved, 1 failed, 1 not here. Parts: core, mesh." in text
    assert "| a | 1-2 | a \\| b | c | well | proved |" in text
    assert "| b | 3 | d | e | ill at ease | **failed** |" in text
    assert "| c | 4 | f |   | no cloud | not here |" in text
    assert page.line(results[1]).startswith("x")


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[State]:
    """Have each chosen row end as the list says, in turn, and the page go elsewhere."""
    ends = [State.PROVED]

    async def ended(subjects: Sequence[Subject], parts: Sequence[str]) -> tuple[list[Result], list[str]]:
        found = [one for chosen in subjects for one in chosen.rows]
        return [Result(one, ends[number % len(ends)], "") for number, one in enumerate(found)], ["core"]

    monkeypatch.setattr(report, "_report", ended)
    monkeypatch.setattr(report, "refuse_during_a_run", lambda: None)
    monkeypatch.setattr(report, "PAGE", tmp_path / "stack.md")
    return ends


def test_the_page_of_all_rows_is_written_and_some_of_them_only_where_somebody_says(
    stand_in: list[State], tmp_path: Path
) -> None:
    assert report.main(["--only", "mesh"]) == 0
    assert not report.PAGE.exists()
    assert report.main(["--only", "mesh", "--out", str(tmp_path / "mesh.md")]) == 0
    assert (tmp_path / "mesh.md").read_text().startswith("# The seed, as it behaves")
    stand_in += [State.FAILED, State.NOT_HERE]
    assert report.main([]) == 1
    text = report.PAGE.read_text()
    assert all(f"| {one.name.partition('/')[2]} |" in text for of in report.SUBJECTS for one in of.rows)


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A cluster that remembers which parts it has; rows are not asked, but with which parts they would be is kept."""
    remembered = {"key": "k", "parts": "core,mesh,delivery"}

    @contextlib.asynccontextmanager
    async def found() -> AsyncIterator[Any]:
        yield SimpleNamespace(kube=None, cluster=SimpleNamespace(name="chaos-local"))

    async def told(*_: Any) -> dict[str, str]:
        return remembered

    async def nothing(*_: Any) -> list[Result]:
        return []

    monkeypatch.setattr(place, "found", found)
    monkeypatch.setattr(apply, "remembered", told)
    monkeypatch.setattr(site, "mended", nothing)
    monkeypatch.setattr(row, "prove", nothing)
    return remembered


@pytest.mark.parametrize(
    ("wanted", "parts"),
    [([], ["core", "mesh", "delivery"]), (["mesh"], ["core", "mesh"]), (["core"], ["core"])],
)
def test_rows_are_asked_of_the_parts_that_are_up_or_of_some_with_what_they_need(
    stack: dict[str, str], wanted: list[str], parts: list[str]
) -> None:
    assert anyio.run(report._report, report.SUBJECTS, wanted) == ([], parts)


def test_a_part_that_is_wanted_and_not_up_is_an_error(stack: dict[str, str]) -> None:
    stack["parts"] = "core"
    with pytest.raises(PreconditionFailed, match="not up: mesh"):
        anyio.run(report._report, report.SUBJECTS, ["mesh"])
    stack["key"] = ""
    with pytest.raises(PreconditionFailed, match="the stack is not up"):
        anyio.run(report._report, report.SUBJECTS, [])


def test_a_row_that_nobody_knows_is_a_mistake_of_the_user(
    stand_in: list[State], capsys: pytest.CaptureFixture[str]
) -> None:
    assert report.main(["--only", "mesh/nothing"]) == int(Exit.USAGE)
    assert "mesh/retries" in capsys.readouterr().err


def test_no_cluster_is_an_error_and_no_row(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(local, "current", lambda: None)
    assert report.main([]) == int(PreconditionFailed.exit)
    assert "there is no local cluster" in capsys.readouterr().err
