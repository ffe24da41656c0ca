"""One run of one night as plain data: what the history keeps of it, for as long as anybody wants to compare."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.errors import HarnessError
from harness.journal import reader
from harness.journal.event import Event
from harness.model.experiment import Experiment
from harness.model.verdict import State, Verdict
from harness.nightly.code import Code
from harness.nightly.sets import Result

SCHEMA = 1
# A verdict that says something about the system under test; all others say that nothing could be said.
JUDGED = frozenset({Verdict.PASS, Verdict.DEVIATED, Verdict.DIRTY})


@dataclass(frozen=True, slots=True)
class Record:
    """One run: `started` in epoch seconds, `recovery` in seconds or None; no verdict where an error came first."""

    night: str
    experiment: str
    attempt: int
    started: float
    seconds: float
    verdict: str
    expected: str
    right: bool
    exit: int
    title: str = ""
    begun: bool = True
    reason: str = ""
    cause: str = ""
    run: str = ""
    seed: int | None = None
    recovery: float | None = None
    within: float | None = None
    faults: tuple[str, ...] = ()
    objectives: tuple[str, ...] = ()
    code: Code = field(default_factory=Code)
    document: str = ""
    context: str = ""

    @property
    def judged(self) -> bool:
        """Say whether this run says anything about the system under test."""
        return self.right or self.verdict in JUDGED

    def plain(self) -> dict[str, Any]:
        """Return the record as JSON can hold it."""
        return {"schema": SCHEMA, **dataclasses.asdict(self)}


def parse(data: Mapping[str, Any]) -> Record:
    """Read a record from plain data; raises KeyError, TypeError or ValueError for what is none.

    Keys that are not known are left out: the same schema may have grown.
    """
    known = {one.name for one in dataclasses.fields(Record)}
    found = {name: value for name, value in dict(data).items() if name in known}
    code = dict(found.get("code") or {})
    found["code"] = Code(**{name: str(code.get(name, "")) for name in ("harness", "commit", "stack")})
    for name in ("faults", "objectives"):
        found[name] = tuple(map(str, found.get(name) or ()))
    for name in ("night", "experiment", "verdict", "expected"):
        found[name] = str(found[name])
    for name in ("title", "reason", "cause", "run", "document", "context"):
        found[name] = str(found.get(name) or "")
    for name in ("started", "seconds"):
        found[name] = _number(found[name])
    for name in ("recovery", "within"):
        found[name] = None if found.get(name) is None else _number(found[name])
    return Record(
        **found | {"attempt": int(found["attempt"]), "right": bool(found["right"]), "exit": int(found["exit"])}
    )


def _number(value: Any) -> float:
    """Read a time or how long something took; NaN, and what no calendar has, is neither."""
    if not -reader.LAST_WALL < (number := float(value)) < reader.LAST_WALL:
        raise ValueError(f"{value!r} is no time")
    return number


@dataclass(frozen=True, slots=True)
class Setting:
    """What all runs of a night share."""

    night: str
    seed: int
    code: Code
    context: str


def of(result: Result, attempt: int, setting: Setting) -> Record:
    """Make the record of one result; what only the journal knows is read there."""
    experiment, outcome = result.experiment, result.outcome
    events = _events(result)
    return Record(
        night=setting.night,
        experiment=experiment.name,
        attempt=attempt,
        started=events[0].wall if events else time.time() - (outcome.seconds if outcome else 0.0),
        seconds=round(outcome.seconds, 3) if outcome else 0.0,
        verdict=str(outcome.verdict) if outcome else "",
        expected=str(experiment.expect.verdict),
        right=result.right,
        exit=result.code,
        title=experiment.title,
        begun=bool(outcome and outcome.begun),
        reason=outcome.reason if outcome else str(result.error),
        cause=outcome.cause if outcome else "",
        run=outcome.run if outcome else "",
        seed=setting.seed,
        recovery=_recovery(events),
        within=_within(experiment),
        faults=tuple(sorted({fault.kind for fault in experiment.faults})),
        objectives=tuple(objective.checker for objective in experiment.objectives),
        code=setting.code,
        document=experiment.digest,
        context=setting.context,
    )


def _events(result: Result) -> Sequence[Event]:
    if result.outcome is None:
        return ()
    try:
        return reader.read(result.outcome.dir)
    except HarnessError:
        # The verdict stands without it.
        return ()


def _recovery(events: Sequence[Event]) -> float | None:
    """Return how long the system took to be steady again, where that was seen."""
    found = next(
        (event.data for event in events if event.type == "finding" and event.data["checker"] == "recovery"), {}
    )
    detail = found.get("detail") or {}
    if found.get("state") not in (State.HELD, State.BROKEN) or not detail.get("steady"):
        return None
    return round(float(detail["last_bad"]) - float(detail["from"]), 3)


def _within(experiment: Experiment) -> float | None:
    limits = [float(one.parameters["within"]) for one in experiment.objectives if one.checker == "recovery"]
    return min(limits, default=None)
