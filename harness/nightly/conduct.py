"""Run a night: the set, then once more whatever was not as declared; each run is in the history before the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from harness.engine.options import Options
from harness.errors import Exit
from harness.model.experiment import Experiment
from harness.model.verdict import worst
from harness.nightly import comparison, history, nights, parts, record, sets
from harness.nightly.nights import Night
from harness.nightly.parts import Carry, Say
from harness.nightly.record import Record, Setting
from harness.nightly.sets import Result
from harness.nightly.state import State

Tell = Callable[[Result, Record, int, int], None]


def run(
    experiments: Sequence[Experiment], options: Options, setting: Setting, folder: Path, tell: Tell, say: Say
) -> None:
    """Run each experiment, and at the end once more those that were wrong, with the same seed.

    Those that need the same parts of the stack come together, and the local stack has these meanwhile. `tell` is given
    each result with its record, its number and how many there are, `say` a line on what comes up. The second run comes
    after the whole set, so that what spoilt the first has a chance to be over.
    """
    carry = parts.carrier(options, say)
    found = _round(parts.grouped(experiments), 1, options, setting, folder, tell, carry)
    again = [result.experiment for result in found if not result.right]
    if again and not found[-1].last:
        found = _round(again, 2, options, setting, folder, tell, carry)
    # What is still broken is nothing to build on.
    if found and not found[-1].last:
        carry(())


def _round(
    experiments: Sequence[Experiment],
    attempt: int,
    options: Options,
    setting: Setting,
    folder: Path,
    tell: Tell,
    carry: Carry,
) -> list[Result]:
    found = []
    for number, result in enumerate(sets.walk(experiments, options, carry), 1):
        kept = record.of(result, attempt, setting)
        # A disk that is full must not hide what the run came to.
        tell(result, kept, number, len(experiments))
        history.append(folder, kept)
        found.append(result)
    return found


def states(seen: Sequence[Night]) -> dict[str, State]:
    """Return what each experiment of the last night came to."""
    return {name: comparison.state(name, seen) for name in seen[-1].tried} if seen else {}


def code(seen: Sequence[Night]) -> int:
    """Return the exit code of the last night: the worst of what counts, which is each experiment's last run.

    A flip passes unless its experiment flips more often than is allowed: then its first run counts, too.
    """
    if not seen:
        return int(Exit.NOTHING_RAN)
    codes: list[int] = []
    for name, tried in seen[-1].tried.items():
        codes.append(tried.last.exit)
        if nights.too_often(name, seen):
            codes.append(tried.first.exit)
    return worst(codes)
