"""Fold the log into what became of each step, what comes next, and which deviations nobody has answered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness.errors import UsageError
from harness.gameday.log import FILE, Entry
from harness.gameday.plan import GameDay, Step
from harness.model.verdict import Verdict

# What the log calls what happened.
WORD, BEGIN, END, REFUSED = "word", "begin", "end", "refused"
NOTE, ACTION, ACCEPTED = "note", "action", "accepted risk"
LOOK, ABORT, STOPPED, FINGERPRINT, CLOSED = "look", "abort", "stopped", "fingerprint", "closed"
# The coordinator's words.
GO, SKIP, STOP = "go", "skip", "stop"
NOT_RUN = "NOT RUN"
# After any other end the day stays at the hold point: nothing was learnt about the system.
LEARNT = (Verdict.PASS, Verdict.DEVIATED, Verdict.DIRTY)


@dataclass(slots=True)
class State:
    """What became of one step: its runs and answers, with where in the log they stand, and whether it was skipped."""

    step: Step
    runs: list[tuple[int, Entry]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    skipped: Entry | None = None

    @property
    def verdict(self) -> str:
        """Return the verdict of the last run."""
        return str(self.runs[-1][1].data.get("verdict")) if self.runs else NOT_RUN

    @property
    def done(self) -> bool:
        """Say whether the next step may come."""
        return self.skipped is not None or self.verdict in LEARNT

    @property
    def right(self) -> bool:
        """Say whether it ended as expected."""
        return bool(self.runs and self.runs[-1][1].data.get("right"))

    @property
    def deviations(self) -> list[tuple[int, str]]:
        """List what was not as expected, each with where in the log it stands."""
        wrong = [(at, run.data) for at, run in self.runs if not run.data.get("right")]
        found = [(at, f"{run.get('verdict')} instead of {run.get('expected')}: {run.get('why')}") for at, run in wrong]
        why = self.skipped.data.get("why") if self.skipped else "nobody said why"
        return found if self.runs else [(-1, f"{NOT_RUN}: {why}")]

    @property
    def unanswered(self) -> list[str]:
        """List the deviations after which neither an action nor an accepted risk was written down."""
        return [said for at, said in self.deviations if at >= max(self.answers, default=-2)]


def fold(day: GameDay, entries: Sequence[Entry]) -> list[State]:
    """Return what became of each step; raises UsageError where the plan has another order than what was run."""
    states = {step.number: State(step) for step in day.steps}
    for at, entry in enumerate(entries):
        number, name = entry.data.get("step"), entry.data.get("experiment")
        if not isinstance(number, int):
            continue
        state = states.get(number)
        if state is None or name != state.step.name:
            raise UsageError(
                f"step {number} was {name} in the log, and is {state.step.name if state else 'none'} now",
                where=str(day.folder / FILE),
                hint="a day that has begun keeps its order: append experiments, or make another game day",
            )
        if entry.type == END:
            state.runs.append((at, entry))
        elif entry.type in (ACTION, ACCEPTED):
            state.answers.append(at)
        elif entry.data.get("word") == SKIP:
            state.skipped = entry
    return [*states.values()]


def upcoming(states: Iterable[State]) -> State | None:
    """Return the step whose hold point the day stands at; None when all are done."""
    return next((state for state in states if not state.done), None)


def running(entries: Iterable[Entry]) -> Entry | None:
    """Return the beginning of a run whose end nobody has written: it goes on, or its driver died."""
    last = [entry for entry in entries if entry.type in (BEGIN, END, REFUSED)][-1:]
    return last[0] if last and last[0].type == BEGIN else None


def closed(entries: Iterable[Entry]) -> bool:
    """Say whether the day was closed."""
    return any(entry.type == CLOSED for entry in entries)
