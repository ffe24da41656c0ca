"""Say in one sentence, from what was recorded, why operations failed or were slow: it never guesses.

What explains most of them is told, and the next if it explains a twentieth, in the order in which they happened. The
faults of the run are the context of all that, not its cause.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from harness.checkers import census
from harness.checkers.cause import blame, clauses, clues
from harness.checkers.cause.blame import UNKNOWN
from harness.checkers.cause.clauses import Matter
from harness.model.history import FaultRecord, History
from harness.model.units import seconds
from harness.model.verdict import Finding, State

OF_FAILURES = frozenset({"availability", "burn-rate", "retries", "recovery", "abort-when", "load"})
TOLD_SHARE = 0.05
MOST = 2


def why(history: History, findings: Iterable[Finding]) -> str:
    """Return the sentence; empty where no finding that did not hold is about operations that failed or were slow."""
    matter = _matter(history, [finding for finding in findings if finding.state is not State.HELD])
    if matter is None:
        return ""
    known = clues.gather(history, matter.window)
    found = blame.sort(matter.operations, known)
    told = [group for group in found if group.count >= TOLD_SHARE * len(matter.operations)][:MOST] or found[:1]
    seen = sorted((group for group in told if group.kind != UNKNOWN), key=lambda group: clauses.since(group, known))
    blind = [group for group in told if group.kind == UNKNOWN]
    if not seen:
        return f"no cause seen: {clauses.unexplained(blind, matter)}"
    words = [clauses.text(group, matter, known, first=not number) for number, group in enumerate(seen)]
    words += [f"no cause seen for {group.count} others{clauses.evidence(group.about)}" for group in blind]
    return _context(history.faults, clauses.since(seen[0], known)) + "; ".join(words)


def _matter(history: History, findings: Sequence[Finding]) -> Matter | None:
    """Pick the operations to explain: those of the first broken promise, then of the first that nobody could judge."""
    counted = census.take(history)
    every = [operation for operation in history.operations if operation.punctual]
    inside, window = (counted.inside, counted.window) if counted else (every, (history.start, history.end))
    for finding in sorted(findings, key=lambda finding: finding.state is not State.BROKEN):
        if finding.checker == "latency" and finding.detail.get("over"):
            limit = min(finding.detail["over"].values())
            return Matter([operation for operation in inside if operation.latency > limit], window, limit)
        if finding.checker not in OF_FAILURES:
            continue
        if finding.checker == "recovery" and "from" in finding.detail:
            begin, until = float(finding.detail["from"]), float(finding.detail.get("until", math.inf))
            failed = [one for one in every if not one.ok and begin <= one.intended and one.finished <= until]
            over = max((operation.finished for operation in failed), default=begin)
            matter = Matter(failed, (begin, over))
        else:
            matter = Matter([operation for operation in inside if not operation.ok], window)
        if matter.operations:
            return matter
    return None


def _context(faults: Iterable[FaultRecord], since: float) -> str:
    """Name the faults that came before, by kind and target."""
    before = sorted(
        (fault for fault in faults if fault.injected is not None and fault.injected <= since),
        key=lambda fault: (fault.injected, fault.id),
    )
    if not before:
        return ""
    victims: dict[str, list[str]] = {}
    for fault in before:
        victims.setdefault(fault.kind, []).append(fault.victim.rpartition("/")[2])
    told = [f"{kind} on {each[0] if len(each) == 1 else f'{len(each)} targets'}" for kind, each in victims.items()]
    return f"after {' and '.join(told)} at {seconds(before[0].injected or 0.0)}, "
