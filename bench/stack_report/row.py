"""One row of the report, what was seen of it, and how rows are gone through: one that raises is failed."""

from __future__ import annotations

import enum
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import anyio

from harness.errors import UsageError

WITHIN_SECONDS = 120.0
WIDEST = 300


class State(enum.StrEnum):
    """What came of a row."""

    PROVED = "proved"
    FAILED = "failed"
    NOT_HERE = "not here"


class NotHere(Exception):
    """The running stack does not have what a row is about; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen, and whether that is what the seed, or its correction, promises."""

    good: bool
    text: str


Prove = Callable[[Any], Awaitable[Seen]]


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that the seed says: in which lines, what is done to prove it, and with which part of the stack up.

    Without `prove` nothing is done and `why` says why. `beside` is a row that waits for long and disturbs nobody: it
    goes on beside the others of its subject. It is given up after so many seconds (`within`).
    """

    name: str
    lines: str
    says: str
    done: str = ""
    part: str = "core"
    prove: Prove | None = None
    why: str = ""
    beside: bool = False
    within: float = WITHIN_SECONDS


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one row, and how long it took."""

    row: Row
    state: State
    seen: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Subject:
    """Rows of one subject, and the ground that they are proved on: `ground` makes it and takes it away."""

    name: str
    title: str
    rows: Sequence[Row]
    ground: Callable[[Any], AbstractAsyncContextManager[Any]] | None = None


def listed(rows: list[Row], name: str, lines: str, **about: Any) -> Callable[[Prove], Prove]:
    """Put the function below into a list of rows, as what proves the one that is told here."""

    def put(prove: Prove) -> Prove:
        rows.append(Row(name, lines, prove=prove, **about))
        return prove

    return put


def chosen(subjects: Sequence[Subject], only: Sequence[str]) -> list[Subject]:
    """Keep the rows whose names begin with one of these words, or all; raises UsageError for a word that keeps none."""
    names = [row.name for subject in subjects for row in subject.rows]
    for word in only:
        if not any(name.startswith(word) for name in names):
            raise UsageError(f"no row's name begins with {word!r}", hint=f"one of {', '.join(names)}")
    kept = []
    for one in subjects:
        rows = [row for row in one.rows if not only or row.name.startswith(tuple(only))]
        kept += [Subject(one.name, one.title, rows, one.ground)] if rows else []
    return kept


async def prove(
    subject: Subject, place: Any, there: Collection[str], tell: Callable[[Result], None] = lambda _: None
) -> list[Result]:
    """Go through the rows of a subject, in their order, with these parts of the stack up.

    What stays behind of the ground is a result of its own, failed.
    """
    results: dict[str, Result] = {}

    def keep(result: Result) -> None:
        results[result.row.name] = result
        tell(result)

    todo = []
    for row in subject.rows:
        if row.prove is None:
            keep(Result(row, State.NOT_HERE, row.why))
        elif row.part not in there:
            keep(
                Result(
                    row,
                    State.NOT_HERE,
                    f"the part {row.part} is not up, or not asked for: harness up --parts core,{row.part}",
                )
            )
        else:
            todo.append(row)
    if todo and subject.ground:
        try:
            async with subject.ground(place) as ground:
                await _all(todo, ground, keep)
        except NotHere as reason:
            for row in todo:
                keep(Result(row, State.NOT_HERE, str(reason)))
        except Exception as error:
            left = [row for row in todo if row.name not in results]
            for row in left:
                keep(Result(row, State.FAILED, f"there was no ground to prove it on: {told(error)}"))
            if not left:
                undone = Row(f"{subject.name}/undone", "", "", "what was made for it is taken away")
                keep(Result(undone, State.FAILED, told(error)))
    order = [row.name for row in subject.rows]
    return sorted(results.values(), key=lambda one: order.index(one.row.name) if one.row.name in order else len(order))


async def _all(rows: Sequence[Row], ground: Any, keep: Callable[[Result], None]) -> None:
    async def one(row: Row) -> None:
        keep(await _one(row, ground))

    async with anyio.create_task_group() as together:
        for row in rows:
            if row.beside:
                together.start_soon(one, row)
        for row in rows:
            if not row.beside:
                await one(row)


async def _one(row: Row, ground: Any) -> Result:
    assert row.prove
    began, state = time.monotonic(), State.FAILED
    try:
        with anyio.fail_after(row.within):
            seen = await row.prove(ground)
        state, text = State.PROVED if seen.good else State.FAILED, seen.text
    except NotHere as reason:
        state, text = State.NOT_HERE, str(reason)
    # Whatever it is, the other rows are not to suffer for it.
    except Exception as error:
        late = time.monotonic() - began >= row.within
        text = f"given up after {row.within:g} s" if late else told(error)
    return Result(row, state, text, time.monotonic() - began)


def told(error: BaseException) -> str:
    """Tell of an error in one line; of several that came together, of the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:WIDEST]


def code(results: Sequence[Result]) -> int:
    """Return the exit status: 1 where a row failed, 5 where nothing was asked, else 0."""
    states = {one.state for one in results}
    return 1 if State.FAILED in states else 0 if State.PROVED in states else 5
