"""Say in a terminal what a plan is, where the day stands and what was seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.gameday import approving, plan, progress
from harness.gameday.approving import SHORT
from harness.gameday.log import Entry
from harness.gameday.plan import GameDay
from harness.gameday.progress import State
from harness.model.check import Check
from harness.model.experiment import Experiment
from harness.report.inert import line


def head(day: GameDay) -> str:
    """Return what everybody should know of the plan."""
    rows = {
        "window": day.period,
        "cluster": day.context or "the local one",
        "people": "; ".join(f"{role} {', '.join(names)}" for role, names in day.roles.items() if names),
        "touches": reach(step.experiment for step in day.steps),
    }
    return "\n".join([f"{line(day.title)}  plan {day.hash[:SHORT]}  seed {day.seed}", *_rows(rows)])


def _rows(rows: dict[str, str]) -> list[str]:
    return [f"  {name:<9} {line(said)}" for name, said in rows.items() if said]


def reach(experiments: Iterable[Experiment]) -> str:
    """Say what experiments may touch, one after the other, by the caps that they state."""
    radii = [one.blast_radius for one in experiments]
    namespaces = sorted({name for radius in radii for name in radius.namespaces})
    pods, nodes = max(radius.pods for radius in radii), max(radius.nodes for radius in radii)
    return f"at most {pods} pods and {nodes} nodes at a time, in {', '.join(namespaces) or 'no namespace'}"


def hold_point(day: GameDay, state: State) -> str:
    """Return what the coordinator decides by."""
    step = state.step
    rows = {
        "expected": f"{step.experiment.expect.verdict}: {step.expected}",
        "touches": reach([step.experiment]),
        "before": step.before,
        "last run": f"{state.verdict}, so it may be run once more or skipped" if state.runs else "",
        "abort": "; ".join(day.abort_when),
    }
    title = f"HOLD POINT {step.number} of {len(day.steps)}  {line(step.name)}  {line(step.experiment.title)}"
    return "\n".join([title, *_rows(rows)])


def checks(found: Iterable[Check]) -> str:
    """Return one line for each thing that was looked at, and what mends it."""
    lines = []
    for check in found:
        sign = "x" if not check.ok else "?" if check.warning else "v"
        lines.append(f"  {sign} {check.name:<12} {line(check.said)}")
        lines += [f"    fix: {line(check.hint)}"] if check.hint and not check.ok else []
    return "\n".join(lines)


def status(day: GameDay, entries: Sequence[Entry], states: Sequence[State], *, driven: bool) -> str:
    """Return where the day stands and what is to be done next."""
    lines = [head(day), *(f"  approved  {line(one)}" for one in approving.standing(day, entries))]
    for state in states:
        sign = "v" if state.right else "x" if state.done or state.runs else "-"
        seen = f"{state.verdict}{' (skipped)' if state.skipped else ''}"
        expected = state.step.experiment.expect.verdict
        lines.append(f"  {sign} {state.step.number} {line(state.step.name)}  expected {expected}, is {seen}")
        lines += [f"      no answer yet: {line(said)}" for said in state.unanswered if state.done or state.runs]
    return "\n".join([*lines, f"next  {_next(day, entries, states, driven=driven)}"])


def _next(day: GameDay, entries: Sequence[Entry], states: Sequence[State], *, driven: bool) -> str:
    begun, state = progress.running(entries), progress.upcoming(states)
    if progress.closed(entries):
        return "nothing: the day is closed"
    if begun:
        return f"{line(begun.data.get('experiment'))} {'is running' if driven else 'was cut: harness gameday go'}"
    if state is None:
        unanswered = any(one.unanswered for one in states)
        return "harness gameday note, for each deviation" if unanswered else "harness gameday close"
    if sum(not one.changed for one in approving.standing(day, entries)) < plan.APPROVALS:
        return "harness gameday approve"
    return f"hold point {state.step.number}" + (", where it is driven" if driven else ": harness gameday go")
