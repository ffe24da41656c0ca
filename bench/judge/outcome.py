"""What an analysis came to, by whoever judged it, and how two of them differ."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

# A controller looks right after the second in which something is due; the machine has so long to let it.
LATE_SECONDS, EARLY_SECONDS = 1.25, 0.25
COUNTERS = ("count", "successful", "failed", "inconclusive", "error")


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement: when it was taken, in seconds since the analysis began, and what came of it."""

    at: float
    phase: str
    value: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """What one metric came to, by how many measurements of each kind, and the query with its arguments in place."""

    phase: str
    message: str
    count: int
    successful: int
    failed: int
    inconclusive: int
    error: int
    query: str = ""
    measured: tuple[Measured, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an analysis came to; a metric that was never measured is not among its metrics.

    `refused` says that it was found invalid before anything was asked.
    """

    phase: str
    message: str = ""
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two made something else of: what it is, and what each says."""

    what: str
    here: str
    there: str

    def __str__(self) -> str:
        return f"{self.what}: {self.here!r} here, {self.there!r} there"


@dataclass(slots=True)
class Compared:
    """What differs, and how many messages were only worded otherwise."""

    differences: list[Difference] = field(default_factory=list)
    worded: int = 0

    def same(self, what: str, here: object, there: object) -> bool:
        """Say whether both say the same, and note it where they do not."""
        if here != there:
            self.differences.append(Difference(what, str(here), str(there)))
        return here == there


def compare(here: Outcome, there: Outcome, script: Mapping[str, Sequence[str]], free: Collection[str] = ()) -> Compared:
    """Compare what was made of a script here and by the controller; the replies in `free` may be worded otherwise."""
    found = Compared()
    found.same("refused", here.refused, there.refused)
    found.same("phase", here.phase, there.phase)
    if here.refused or there.refused:
        # The one tells the line, the other the place in the list.
        return found
    found.same("metrics that were measured", sorted(here.metrics), sorted(there.metrics))
    own, theirs = here.message, there.message
    for name in sorted({*here.metrics} & {*there.metrics}):
        one, other = here.metrics[name], there.metrics[name]
        if _metric(found, name, one, other, script[name], free):
            own, theirs = (text.replace(said, "...") for text, said in ((own, one.message), (theirs, other.message)))
    found.same("message", own, theirs)
    return found


def _metric(
    found: Compared, name: str, here: Metric, there: Metric, script: Sequence[str], free: Collection[str]
) -> bool:
    """Compare a metric, and say whether its message was worded otherwise."""
    for key in ("phase", *COUNTERS, "query"):
        found.same(f"{name} {key}", getattr(here, key), getattr(there, key))
    found.same(f"{name} measurements", len(here.measured), len(there.measured))
    otherwise = False
    for place, (one, other) in enumerate(zip(here.measured, there.measured, strict=False)):
        what = f"{name} measurement {place + 1}"
        found.same(f"{what} phase", one.phase, other.phase)
        # Of an Error the controller keeps no value.
        if one.phase != "Error":
            found.same(f"{what} value", one.value, other.value)
        otherwise = script[min(place, len(script) - 1)] in free and bool(one.message and other.message)
        if otherwise:
            found.worded += one.message != other.message
        else:
            found.same(f"{what} message", one.message, other.message)
        if not one.at - EARLY_SECONDS <= other.at <= one.at + LATE_SECONDS:
            found.differences.append(Difference(f"{what} taken", f"after {one.at:.1f} s", f"after {other.at:.1f} s"))
    otherwise = otherwise and bool(here.measured) and here.message == here.measured[-1].message
    if not otherwise:
        found.same(f"{name} message", here.message, there.message)
    return otherwise
