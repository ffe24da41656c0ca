"""Count the operations of a run before, during and after the fault window, and say when they are too few to judge.

The window is a census, not a sample: what is missing from it counts as unknown, never as good.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.model.history import History, Operation
from harness.model.parameter import Parameter, Type
from harness.model.units import seconds

LEAST_SHARE = 0.9
# A second holds this many operations before an empty one means anything.
GAP_OPERATIONS = 5.0
MINIMUM = 30
THIN = (
    "fewer than `minimum-operations` operations were seen in the window, the load had gaps, none was served before"
    " the fault either, or the operations that nobody saw could turn the answer"
)
LEAST = Parameter(
    "minimum-operations",
    Type.INTEGER,
    "Below this many operations in the window nothing is concluded.",
    MINIMUM,
    minimum=1,
)
# A baseline of this many operations of which none was good is a load that never worked.
BASELINE_LEAST = 10
# Of what a promise allows, the system without any fault may use up so much; the rest is left to the fault.
MARGIN = 0.5


@dataclass(frozen=True, slots=True)
class Census:
    """The operations of a run by the fault window they fell in; `before` are those of the baseline and of settling.

    An operation belongs to the window when it overlaps it: one in flight at the injection was exposed to the fault.
    `due` is how many the load should have begun in the window; `held_up` counts those that the load itself sent late or
    never: they are in none of the three.
    """

    window: tuple[float, float]
    baseline: Sequence[Operation]
    inside: Sequence[Operation]
    after: Sequence[Operation]
    rate: float | None
    held_up: int = 0
    before: Sequence[Operation] = ()
    due: float = 0.0

    @property
    def expected(self) -> int:
        """Return how many operations the window should hold at its rate; what was seen when no rate is known."""
        return max(len(self.inside) + self.held_up, math.floor(self.due))

    @property
    def unseen(self) -> int:
        """Return how many operations the window should hold and nobody knows of."""
        return self.expected - self.held_up - len(self.inside)


def take(history: History) -> Census | None:
    """Count a run; None when no fault was injected although some were planned, so that there is no window."""
    window = history.window
    if window is None:
        if history.faults or not history.operations:
            return None
        # Nothing was planned: the whole load is what there is to judge.
        window = (min(op.intended for op in history.operations), max(op.intended for op in history.operations))
    start, end = window
    before, inside, after = [], [], []
    held_up = 0
    for operation in history.operations:
        if not operation.punctual:
            held_up += start <= operation.intended <= end
        elif operation.finished < start:
            before.append(operation)
        elif operation.intended > end:
            after.append(operation)
        else:
            inside.append(operation)
    baseline = [operation for operation in before if operation.intended >= history.steady_from]
    return Census(window, baseline, inside, after, history.load_rate, held_up, before, history.due(start, end))


def doubt(census: Census | None, minimum: int = MINIMUM) -> str:
    """Say why nothing can be concluded from the window; empty when it is whole."""
    if census is None:
        return "no fault was injected, so there is no window to judge"
    seen = len(census.inside)
    if seen < minimum:
        return f"{seen} operations in the window, fewer than the {minimum} needed"
    if seen < LEAST_SHARE * census.expected - 2:
        return f"{seen} operations in the window, the load should have made {census.expected}"
    empty = gaps((operation.intended for operation in census.inside), census.window, slot(census.rate))
    if empty:
        first = seconds(empty[0][0] - census.window[0])
        missing = seconds(sum(end - start for start, end in empty))
        return f"no operation for {missing} of the window, first {first} after the injection"
    return ""


def unserved(before: Sequence[Operation]) -> str:
    """Say that the load never worked, faults or not; empty when it did or too little was seen of it."""
    if len(before) < BASELINE_LEAST or any(operation.ok for operation in before):
        return ""
    return "the load was not served before the fault either"


def slot(rate: float | None) -> float | None:
    """Return the seconds in which a load of this rate must have been seen at least once; None without a rate."""
    return max(1.0, GAP_OPERATIONS / rate) if rate else None


def gaps(due: Iterable[float], span: tuple[float, float], width: float | None) -> list[tuple[float, float]]:
    """Find the stretches of a span, whole slots of `width`, in which nothing was due although the load should run."""
    if not width:
        return []
    filled = {int((time - span[0]) // width) for time in due}
    found: list[tuple[float, float]] = []
    for number in range(int((span[1] - span[0]) / width)):
        start, end = span[0] + number * width, span[0] + (number + 1) * width
        if number in filled:
            continue
        if found and found[-1][1] == start:
            start = found.pop()[0]
        found.append((start, end))
    return found


def share(operations: Sequence[Operation]) -> float | None:
    """Return the share of good operations; None where there are no operations."""
    return sum(operation.ok for operation in operations) / len(operations) if operations else None


def quantile(ordered: Sequence[float], q: float) -> float:
    """Return the nearest-rank quantile of sorted values: the smallest that at least the share `q` does not exceed."""
    return ordered[rank(len(ordered), q) - 1]


def rank(count: int, q: float) -> int:
    """Return the rank, from 1, of the `q` quantile among `count` values."""
    # 0.95 * 100 is 95.00000000000001 in binary; a whole rank must not become the next one.
    return min(count, max(1, math.ceil(q * count - 1e-9)))
