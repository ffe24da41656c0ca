"""Show a method that is more than one fault: what is done when, with which targets, and what may be broken together."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.model import timeline
from harness.model.experiment import Activity, Experiment
from harness.model.fault import FaultSpec
from harness.model.plan import Plan, PlannedFault
from harness.model.timeline import Span
from harness.model.units import seconds
from harness.targets import select


def lines(experiment: Experiment, plan: Plan, most: tuple[int, int]) -> list[str]:
    """Return the time line of a plan; nothing for one fault that lasts until the method is over.

    `most` are the pods and the nodes that may be broken at the same time.
    """
    if not timeline.composed(experiment.method, experiment.choices):
        return []
    drawn = [one for one in experiment.method if one.name not in plan.left_out]
    specs = [one.fault for one in drawn if one.fault]
    faults = {spec.activity: [fault for fault in plan.faults if fault.activity == spec.activity] for spec in specs}
    known = {spec.activity: len(faults[spec.activity]) or spec.target.least for spec in specs}
    groups = {spec.activity: math.ceil(known[spec.activity] / spec.target.at_once) for spec in specs}
    spans, over = timeline.spans(drawn, groups)
    caps = experiment.blast_radius
    hold = f"{_time(over)} the method is over; what is still broken is healed after {seconds(experiment.phases.hold)}"
    found = ["  time line, at the earliest", *(f"    {_line(span, faults)}" for span in spans), f"    {hold}"]
    found += [f"    overlap: {words}" for words in _overlaps(drawn, plan)]
    allowed = f"; the caps allow {caps.pods} and {caps.nodes}" if experiment.promising else ""
    counted = f"{most[0]} pods and {most[1]} nodes"
    later = any(spec.target.share and (spec.late or spec.times > 1) for spec in specs)
    later |= any(spec.target.rule and not faults[spec.activity] for spec in specs)
    told = f"at least {counted}, a share is counted when its turn comes" if later else f"at most {counted}"
    found.append(f"  together {told}{allowed}")
    if experiment.choices:
        chosen = [one.name for one in drawn if any(one.name in choice.names for choice in experiment.choices)]
        found.append(f"  drawn    by seed {plan.seed}: {', '.join(chosen)}; left out: {', '.join(plan.left_out)}")
    return found


def _line(span: Span, faults: dict[str, list[PlannedFault]]) -> str:
    activity, spec = span.activity, span.fault
    words = [activity.name]
    if spec:
        targets = ", ".join(one.victim.shown for one in faults[spec.activity])
        words += [f"{spec.kind} on {targets or select.late(spec.target)}", _lasts(spec)]
    if activity.heals:
        words.append(f"heals {activity.heals}")
    if activity.background:
        words.append("beside what follows")
    until = f"to {_time(span.end)}" if span.end is not None and span.end > span.start else ""
    return f"{_time(span.start)} {until:<11}  {'; '.join(words)}"


def _lasts(spec: FaultSpec) -> str:
    if spec.times > 1:
        apart = f" every {seconds(spec.every)}" if spec.every else ""
        return f"{spec.times} times{apart}, the next on what matches by then"
    if not spec.closes:
        return "until the method is over"
    return f"for {seconds(spec.duration)}" if spec.duration else "until it is back"


def _time(moment: float) -> str:
    return f"{moment:6g} s"


def _overlaps(drawn: Sequence[Activity], plan: Plan) -> list[str]:
    """Name pods that are hit while a fault of their node takes them, too."""
    found = []
    for names in timeline.together(drawn):
        broken = [fault for fault in plan.faults if fault.activity in names]
        taken = {pod.uid: fault for fault in broken for pod in fault.takes}
        found += [
            f"{fault.kind} hits {fault.victim}, which {taken[fault.victim.uid].kind} on"
            f" {taken[fault.victim.uid].victim} takes, too"
            for fault in broken
            if fault.victim.uid in taken
        ]
    return list(dict.fromkeys(found))
