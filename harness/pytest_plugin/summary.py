"""The terminal section: each run's verdict, the evidence of its faults, and where the time went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import TYPE_CHECKING

import pytest

from harness.engine.options import Outcome
from harness.errors import Exit, HarnessError
from harness.model.plan import inside
from harness.model.verdict import Verdict

if TYPE_CHECKING:
    from harness.journal.lives import Life

WIDEST = 160


@dataclass(frozen=True, slots=True)
class Ran:
    """One experiment that was run to its verdict; one that was run `again` after that does not count."""

    name: str
    expected: Verdict
    outcome: Outcome
    node: str = ""
    again: bool = False

    @property
    def code(self) -> int:
        """Return the exit code; a weakness that was declared and did not show is a deviation too."""
        return self.outcome.exit or int(Exit.PASS if self.outcome.right else Exit.DEVIATED)


def write(reporter: pytest.TerminalReporter, ran: Sequence[Ran], plans: Sequence[str], chosen: str | None) -> None:
    """Write the section; nothing when no experiment ran."""
    if not ran and not plans:
        return
    reporter.section("chaos", sep="=")
    for plan in plans:
        reporter.write_line(plan)
    for one in ran:
        if len(ran) == 1 or reporter.config.get_verbosity() > 0:
            reporter.write_line(one.outcome.text.rstrip())
    if not ran:
        return
    width = max(len(one.name) for one in ran)
    for one in ran:
        good = one.outcome.right
        reporter.write_line(_line(one, width), green=good, red=not good)
        if one.outcome.cause:
            reporter.write_line(f"    why: {one.outcome.cause}")
        for evidence in _evidence(one.outcome):
            reporter.write_line(f"    {evidence}")
    phases = sum(one.outcome.seconds - one.outcome.overhead for one in ran)
    overhead = sum(one.outcome.overhead for one in ran)
    name = f"set {chosen}" if chosen else "experiments"
    verdicts, right = f"{len(ran)} verdict{'s' * (len(ran) != 1)}", sum(one.outcome.right for one in ran)
    took = f"{phases:.1f} s of phases + {overhead:.1f} s overhead"
    reporter.write_line(f"{name}: {verdicts}, {right} as declared, {took}")
    reporter.write_line(f"reports: {ran[0].outcome.dir.parent}/<run>/index.html")


def tally(reporter: pytest.TerminalReporter, ran: Sequence[Ran], begun: Sequence[str]) -> None:
    """Write how often each document came to which verdict; `begun` names one for each of its turns."""
    from harness.nightly import repeats

    if not begun:
        return
    ended = [(one.name, str(one.outcome.verdict), one.outcome.right) for one in ran if one.name in begun]
    lost = Counter(begun) - Counter(name for name, _, _ in ended)
    reporter.write_line("")
    for line in repeats.table(repeats.count([*ended, *((name, repeats.NONE, False) for name in lost.elements())])):
        reporter.write_line(line)


def _line(one: Ran, width: int) -> str:
    outcome = one.outcome
    mark = "v" if outcome.right else "x"
    declared = "" if one.expected is Verdict.PASS else f" (declared {one.expected})"
    declared += " (run again)" * one.again
    why = f"  {shorten(outcome.reason, WIDEST, placeholder=' ...')}" if outcome.reason else ""
    return f"{mark} {one.name:<{width}}  {outcome.verdict}{declared}  {outcome.seconds:.1f} s  run {outcome.run}{why}"


def _evidence(outcome: Outcome) -> list[str]:
    """List each fault with what proves it, from the run's journal alone."""
    from harness.journal import lives
    from harness.journal.reader import read

    try:
        events = read(outcome.dir)
    except HarnessError as error:
        return [f"? no evidence: {error.what}"]
    found = [(life.applied, life) for life in lives.read(events) if life.applied is not None]
    return [_proof(life) for _, life in sorted(found, key=lambda pair: pair[0])]


def _proof(life: Life) -> str:
    shown = "NOT FELT" if life.felt is None else f"felt after {life.felt_after or 0.0:.1f} s"
    ended = "not seen healed" if life.healed is None else f"healed after {life.healed_after or 0.0:.1f} s"
    mark = "?" if life.felt is None else "v"
    return f"{mark} {life.kind} on {life.victim}{inside(life.container)}: {shown}, {ended}"
