"""Say what became of the machine below the cluster while the run went on: a fact beside the promises, never a verdict.

The thresholds are where a promise can no longer be judged: see docs/adr/0010-the-machine-is-evidence.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.model.history import History, Sample
from harness.model.units import rounded, seconds
from harness.model.verdict import Finding, State

PREFIX = "machine/"
# Before the name in a label: a command may be called like any label that means something else.
BY = "by/"
TAKEN = 0.10
"""A second is starved when at least this share of the machine's CPU went to others or to the host below it ..."""
IDLE = 0.05
"""... and at most this share was left over: where something is idle, nobody waits for long."""
# Whom to name: at most so many, each with this much of the machine and of what the first of them took.
MOST_NAMES, NAMED, BESIDE_FIRST = 3, 0.02, 0.25
# The others are named every few seconds, for the time since they were named last.
NAMING_SECONDS = 4.0
# A share of the time in which some task waited for memory or for the disk that is worth a word.
PRESSED = 0.2
PERIOD = 1.0

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Reading:
    """The machine over about a second: shares of its CPU, 0..1, None where nothing was seen.

    `pressure` is the share of the time in which some task waited, for the CPU, and for memory and disk in `waits`;
    `names` are the others' shares by the name of the command.
    """

    start: float
    end: float
    idle: float | None = None
    others: float | None = None
    steal: float | None = None
    cluster: float | None = None
    harness: float | None = None
    pressure: float | None = None
    waits: Mapping[str, float] = field(default_factory=dict)
    names: Mapping[str, float] = field(default_factory=dict)

    @property
    def taken(self) -> float | None:
        """Return what others and the host took; None when the others were not told apart."""
        return None if self.others is None else self.others + (self.steal or 0.0)

    @property
    def starved(self) -> bool:
        """Say whether the machine was taken away from the cluster."""
        return self.taken is not None and self.idle is not None and self.taken >= TAKEN and self.idle <= IDLE


def readings(history: History) -> list[Reading]:
    """Return the machine's readings in the order of time, each from the one before to its own moment."""
    moments: dict[float, dict[str, Sample]] = {}
    for sample in history.samples:
        if sample.series.startswith(PREFIX) and sample.series != f"{PREFIX}clock-jump":
            moments.setdefault(sample.time, {})[sample.series.removeprefix(PREFIX)] = sample
    found: list[Reading] = []
    for time in sorted(moments):
        values = {name: sample.value for name, sample in moments[time].items()}
        waits = {name.removeprefix("pressure-"): value for name, value in values.items()
                 if name.startswith("pressure-") and value is not None}  # fmt: skip
        shown = {name: values.get(name) for name in ("idle", "others", "steal", "cluster", "harness", "pressure")}
        start = found[-1].end if found else max(0.0, time - PERIOD)
        found.append(Reading(start, time, **shown, waits=waits, names=_names(moments[time].get("others"))))
    return found


def _names(sample: Sample | None) -> dict[str, float]:
    labels = sample.labels if sample else {}
    told = {name.removeprefix(BY): share for name, share in labels.items() if name.startswith(BY)}
    return {name: float(share) for name, share in told.items() if share.replace(".", "", 1).isdecimal()}


def starved(history: History) -> list[Span]:
    """Return the stretches in which the machine was taken away from the cluster, adjacent readings merged."""
    spans: list[Span] = []
    for reading in readings(history):
        if not reading.starved:
            continue
        if spans and spans[-1][1] == reading.start:
            spans[-1] = (spans[-1][0], reading.end)
        else:
            spans.append((reading.start, reading.end))
    return spans


def told(history: History, span: Span) -> str:
    """Say how much of the machine was taken in a span, for how long and by whom; empty when it was not starved."""
    found = readings(history)
    inside = [reading for reading in found if reading.starved and _overlap(reading, span)]
    if not inside:
        return ""
    lasted, whole = sum(_overlap(reading, span) for reading in inside), span[1] - span[0]
    long = (
        f"all {seconds(round(whole, 1))}"
        if lasted >= 0.99 * whole
        else f"{round(lasted, 1):g} of {seconds(round(whole, 1))}"
    )
    names = ", ".join(_takers(found, inside))
    by = f" ({names})" if names else ""
    return f"others took {_shown(_mean(inside, 'taken'))} of the machine's CPU for {long}{by}"


def _takers(found: Sequence[Reading], inside: Sequence[Reading]) -> list[str]:
    """Name who took most: by the namings of the starved time, of which the last comes a little after it."""
    begin, end = inside[0].start, inside[-1].end
    namings = [one.names for one in found if one.names and begin < one.end <= end + NAMING_SECONDS]
    most = {name: max(naming.get(name, 0.0) for naming in namings) for naming in namings for name in naming}
    most["the host"] = _mean(inside, "steal") or 0.0
    least = max(NAMED, BESIDE_FIRST * max(most.values()))
    named = [name for name, share in sorted(most.items(), key=lambda item: (-item[1], item[0])) if share >= least]
    return named[:MOST_NAMES]


def saturated(history: History) -> str:
    """Say that cluster and load alone leave nothing of the machine before the fault; empty when there is room.

    What others took is not counted against them: then the machine is starved, not saturated.
    """
    until = history.window[0] if history.window else history.end
    before = _within(readings(history), (history.steady_from, until))
    idle, taken = _mean(before, "idle"), _mean(before, "taken")
    if idle is None or taken is None or idle >= IDLE or taken >= TAKEN:
        return ""
    shares = f"cluster {_shown(_mean(before, 'cluster'))}, harness and load {_shown(_mean(before, 'harness'))}"
    return f"cluster and load leave {rounded(idle)} of the machine's CPU idle before the fault ({shares})"


def check(history: History) -> Finding:
    """Note how much of the machine was idle, and what was taken from the cluster by whom."""
    found = readings(history)
    jumps = [_jump(sample) for sample in history.samples if sample.series == f"{PREFIX}clock-jump" and sample.value]
    late = sum(not operation.punctual for operation in history.operations)
    begin, end = history.window or (history.start, history.end)
    parts = [_seen(history, found, (begin, end)), *jumps, *([f"load sent {late} late"] if late else [])]
    during = _within(found, (begin, end))
    return Finding(
        "machine",
        State.NOTED,
        "; ".join(parts),
        baseline=_column(_within(found, (0.0, begin))) if history.window else "",
        in_fault=_column(during),
        recovery=_column(_within(found, (end, math.inf))) if history.window else "",
        detail={name: value for name in ("idle", "others", "steal", "cluster", "harness", "pressure")
                if (value := _mean(during, name)) is not None},
    )  # fmt: skip


def _seen(history: History, found: Sequence[Reading], span: Span) -> str:
    if not any(reading.idle is not None for reading in found):
        whys = (sample.labels["why"] for sample in history.samples
                if sample.series.startswith(PREFIX) and sample.labels.get("why"))  # fmt: skip
        return f"not seen{''.join(f': {why}' for why in [*whys][:1])}"
    during = _within(found, span)
    most = max((reading.taken for reading in during if reading.taken is not None), default=None)
    calm = "others not seen" if most is None else f"others took at most {rounded(most)} of the CPU"
    waits = {name: max(reading.waits.get(name, 0.0) for reading in during) for name in ("memory", "io") if during}
    pressed = [f"tasks waited for {name} up to {rounded(share)} of a second"
               for name, share in waits.items() if share >= PRESSED]  # fmt: skip
    return "; ".join([told(history, span) or calm, *pressed])


def _jump(sample: Sample) -> str:
    apart, when = sample.value or 0.0, seconds(sample.time)
    if sample.labels.get("how") == "suspended":
        return f"the machine was suspended for {seconds(apart)} after {when}"
    return f"the clock was set {'forward' if apart > 0 else 'back'} by {seconds(abs(apart))} after {when}"


def _column(found: Sequence[Reading]) -> str:
    idle, taken = _mean(found, "idle"), _mean(found, "taken")
    if idle is None:
        return "not seen" if found else ""
    return f"{rounded(idle)} idle" + (f", others {rounded(taken)}" if taken is not None and taken >= TAKEN / 2 else "")


def _shown(share: float | None) -> str:
    return "not seen" if share is None else rounded(share)


def _within(found: Iterable[Reading], span: Span) -> list[Reading]:
    """Pick the readings that lie in a span for the most part, or of which a short span is a part."""
    return [one for one in found if 2 * _overlap(one, span) >= min(one.end - one.start, span[1] - span[0]) > 0]


def _overlap(reading: Reading, span: Span) -> float:
    return max(0.0, min(reading.end, span[1]) - max(reading.start, span[0]))


def _mean(found: Sequence[Reading], name: str) -> float | None:
    """Return a share's mean over time."""
    known = [(one.end - one.start, value) for one in found if (value := getattr(one, name)) is not None]
    whole = sum(length for length, _ in known)
    return sum(length * value for length, value in known) / whole if whole else None
