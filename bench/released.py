"""One release as its run saw it: what came of it, who met it, and what its weights would have sent there."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.engine import judge
from harness.journal.event import Event
from harness.model.disturbance import Disturbance
from harness.model.history import History
from harness.model.verdict import Verdict

ALLOWANCE = 0.01
# A run says so of a machine that others had.
MACHINE = "machine's CPU"


@dataclass(frozen=True, slots=True)
class Row:
    """One run: its verdict, what came of the release, and who met it, as shares; or `why` there was no run.

    `largest` is the most that the release's weight ever was, `sent` what the weights would have sent there, both None
    where nothing must be kept from it. `loop` are milliseconds of the fixed loop before it.
    """

    seed: int
    number: int
    kind: str
    code: str
    loop: float = 0.0
    verdict: str = ""
    right: bool = False
    came: str = ""
    seconds: float = 0.0
    met: float | None = None
    at_most: float | None = None
    requests: int = 0
    largest: float | None = None
    sent: float | None = None
    reason: str = ""
    exit: int = 0
    why: str = ""

    @property
    def kept(self) -> bool:
        """Say whether no more requests met it than may; where nothing must be kept from it that is so."""
        return self.largest is None or (self.at_most is not None and self.at_most <= self.largest + ALLOWANCE)

    @property
    def good(self) -> bool:
        """Say whether it ended as declared, and exposed no more than allowed."""
        return self.right and self.kept and not self.why

    @property
    def apart(self) -> bool:
        """Say whether nothing is known of it because others had the machine."""
        return self.verdict == Verdict.INCONCLUSIVE and MACHINE in self.reason


def judged(row: Row, events: Sequence[Event], *, spared: bool) -> Row:
    """Read what a run found out about its release; where requests must be `spared` it, its weights, too."""
    (verdict,) = [event.data for event in events if event.type == "verdict"]
    found: dict[str, Any] = next(
        ({**event.data} for event in events if event.type == "finding" and event.data["checker"] == "canary"), {}
    )
    detail = found.get("detail") or {}
    told: dict[str, Any] = {
        "verdict": str(verdict["verdict"]),
        "right": bool(verdict["right"]),
        "reason": str(verdict["reason"]),
        "came": str(detail.get("outcome") or found.get("summary") or "nothing is known of it"),
        "seconds": float(detail.get("took") or 0.0),
        "requests": int(detail.get("operations") or 0),
    }
    if spared:
        sure = bool(told["requests"] and detail.get("release"))
        largest, sent = weights(judge.history(events, []), str(detail.get("release", "")), told["seconds"])
        told |= {"largest": largest, "sent": sent}
        told |= {"met": detail["exposed"], "at_most": detail["exposed_at_most"]} if sure else {}
    return dataclasses.replace(row, **told)


def weights(history: History, release: str, took: float) -> tuple[float, float]:
    """Return the largest weight that a release had until it was decided, and what all of them sent there, as shares.

    A weight is in force from when it was seen until another one was; the load asks at an even rate.
    """
    started = [one for one in history.faults if Disturbance.RELEASE in one.disturbs and one.injected is not None]
    if not started or not release or not took:
        return 0.0, 0.0
    begin = started[0].injected or 0.0
    end, series = begin + took, f"release/{started[0].workload}"
    seen = sorted((one for one in history.samples if one.series == series), key=lambda one: one.time)
    spans = zip(seen, [*(one.time for one in seen[1:]), math.inf], strict=True)
    held = [
        ((one.value or 0.0) / 100, min(until, end) - max(one.time, begin))
        for one, until in spans
        if one.labels.get("newest") == release and one.time < end and until > begin
    ]
    return max((weight for weight, _ in held), default=0.0), sum(weight * lasted for weight, lasted in held) / took
