"""What every view of a night shows: each experiment's state in words, the nights before, and what was never tried."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.checkers import OBJECTIVES
from harness.errors import Exit
from harness.faults import FAULTS
from harness.model.verdict import Verdict
from harness.nightly import comparison, conduct, nights, repeats
from harness.nightly.comparison import Compared
from harness.nightly.history import History
from harness.nightly.interval import ALLOWED, Interval, wilson
from harness.nightly.nights import Night, Tried
from harness.nightly.record import Record
from harness.nightly.state import State
from harness.report.inert import inert

WORST_FIRST = (State.REGRESSION, State.WRONG, State.UNPROVEN, State.FLIP, State.RIGHT)


@dataclass(frozen=True, slots=True)
class Row:
    """One experiment: what it came to tonight, in words, and over all nights; `tried` is None when it did not run."""

    experiment: str
    title: str
    state: State | None
    tried: Tried | None
    said: tuple[str, ...]
    flipped: int
    nights: int
    too_often: bool
    verdicts: Mapping[str, int]

    @property
    def interval(self) -> Interval:
        """Return the interval of the flip rate."""
        return wilson(self.flipped, self.nights)

    @property
    def shown(self) -> str:
        """Return tonight's verdicts in order."""
        return ", then ".join(run.verdict or repeats.NONE for run in self.tried.runs) if self.tried else "not run"


@dataclass(frozen=True, slots=True)
class Sheet:
    """One night beside all others on the same cluster, the last of `nights`; all text in it is inert."""

    nights: tuple[Night, ...]
    rows: tuple[Row, ...]
    compared: tuple[Compared, ...]
    references: tuple[str, ...]
    states: Mapping[str, Mapping[str, State]]
    tried_faults: Mapping[tuple[str, str], int]
    components: tuple[str, ...]
    never: Mapping[str, tuple[str, ...]]
    unread: int
    code: int

    @property
    def night(self) -> Night:
        """Return the night that this is about."""
        return self.nights[-1]

    @property
    def counts(self) -> Mapping[State, int]:
        """Count tonight's states."""
        return Counter(row.state for row in self.rows if row.state)

    @property
    def verdict(self) -> str:
        """Name what the exit code stands for."""
        return Exit(self.code).name.replace("_", " ")

    @property
    def headline(self) -> str:
        """Say in one line what tonight came to."""
        total = len(self.night.tried)
        parts = [f"{self.night.right} of {total} experiments as declared"]
        for state in (State.REGRESSION, State.FLIP, State.WRONG, State.UNPROVEN):
            if number := self.counts.get(state, 0):
                parts.append(f"{number} {state}{'s' * (number != 1 and state in (State.REGRESSION, State.FLIP))}")
        if missing := sum(row.tried is None for row in self.rows):
            parts.append(f"{missing} not run")
        return ", ".join(parts)

    @property
    def green(self) -> Night | None:
        """Return the last night before this in which every experiment ended as declared."""
        return next((night for night in reversed(self.nights[:-1]) if night.right == len(night.tried)), None)


def build(
    history: History, known: Iterable[tuple[str, str]], since: str | None = None, night: str | None = None
) -> Sheet | None:
    """Return the sheet of one night, the last when none is named; None when there is none.

    `known` are the experiments, by name and title, that there are to try. Raises UsageError when `since` names a night
    that the history does not have.
    """
    records = [_inert(one) for one in history.records]
    seen = nights.until(records, night)
    if not seen:
        return None
    tonight = seen[-1]
    every = [run for night in seen for tried in night.tried.values() for run in tried.runs]
    recent = {name: tried.last.title for one in seen[-nights.WINDOW :] for name, tried in one.tried.items()}
    titles = recent | {inert(name): inert(title) for name, title in known}
    referred = comparison.references(since, [one for one in nights.fold(records) if one.name != tonight.name])
    compared = [
        found
        for name in sorted(tonight.tried)
        for reference in referred
        if (found := comparison.compare(name, reference, seen, among=len(tonight.tried)))
    ]
    states = {
        night.name: {name: comparison.state(name, seen[: number + 1]) for name in night.tried}
        for number, night in enumerate(seen)
    }
    rows = [_row(name, title, seen, states[tonight.name].get(name)) for name, title in titles.items()]
    order = [*WORST_FIRST, None]
    judged = [run for run in every if run.judged]
    return Sheet(
        nights=tuple(seen),
        rows=tuple(sorted(rows, key=lambda row: (order.index(row.state), row.experiment))),
        compared=tuple(compared),
        references=referred,
        states=states,
        tried_faults=Counter((component(run.experiment), kind) for run in judged for kind in run.faults),
        components=tuple(sorted({component(name) for name in titles})),
        never={
            "experiments": tuple(sorted(titles.keys() - {run.experiment for run in judged})),
            "faults": tuple(kind for kind in FAULTS if not any(kind in run.faults for run in judged)),
            "objectives": tuple(name for name in OBJECTIVES if not any(name in run.objectives for run in judged)),
        },
        unread=history.unread,
        code=conduct.code(seen),
    )


def component(experiment: str) -> str:
    """Name the part of the system that an experiment is filed under."""
    return experiment.rpartition("/")[0] or experiment


def _row(name: str, title: str, seen: Sequence[Night], state: State | None) -> Row:
    flips = nights.flips(name, seen)
    tried = seen[-1].tried.get(name)
    had = [night.tried[name] for night in seen if name in night.tried][-nights.WINDOW :]
    return Row(
        experiment=name,
        title=title,
        state=state,
        tried=tried,
        said=tuple(_said(name, state, tried, seen)) if tried and state else (),
        flipped=sum(flips),
        nights=len(flips),
        too_often=bool(tried) and nights.too_often(name, seen),
        verdicts=Counter(run.verdict or repeats.NONE for one in had for run in one.runs),
    )


def _said(name: str, state: State, tried: Tried, seen: Sequence[Night]) -> Iterable[str]:
    """Say what is behind a state that is not right."""
    if state is State.RIGHT:
        return
    if state is State.FLIP:
        flips = nights.flips(name, seen)
        share = f"{repeats.percent(sum(flips) / len(flips))}, {repeats.between(wilson(sum(flips), len(flips)))}"
        yield f"flipped in {sum(flips)} of {len(flips)} night{'s' * (len(flips) != 1)} ({share})"
        if nights.too_often(name, seen):
            yield f"more than the allowed {repeats.percent(ALLOWED)}, beyond chance: its first run counts"
    elif state is not State.UNPROVEN:
        found = comparison.compare(name, comparison.GREEN, seen)
        if found:
            yield f"since night {found.night}: {comparison.verdicts(found)}"
        else:
            yield "no earlier night was right" if len(seen) > 1 else "there is no earlier night"
    blamed = tried.first if state is State.FLIP else tried.last
    for text in (blamed.reason, blamed.cause):
        if text:
            yield " ".join(text.split())
    if blamed.verdict == Verdict.PASS:
        yield f"{blamed.expected} was declared"


def _inert(one: Record) -> Record:
    """Make what may hold other people's words harmless."""
    texts = ("night", "experiment", "title", "reason", "cause", "run", "verdict", "context")
    return dataclasses.replace(one, **{name: inert(getattr(one, name)) for name in texts})
