"""Use up one resource of one container, until its time or its lease is over, its input ends, or the container does.

Input and output are as those of the worker for packets: the order, then {"lease": seconds}, {"report": any} or
{"end": why}; and `ready`, `first` when the kernel's counters show the effect, a `report` every second, `end`, or
`refused`. Whatever this process dies of, the kernel ends its hogs.
"""

from __future__ import annotations

import os
import select
import sys
import time
from typing import Any

from harness.agent.resident import listening
from harness.agent.resident.fault import TARGET_GONE
from harness.agent.resident.refused import Refused
from harness.agent.resident.resources import container, groups, hogs, kinds, order
from harness.agent.resident.resources.effect import Effect
from harness.agent.resident.resources.hogs import Hog
from harness.agent.resident.resources.order import Order
from harness.agent.resident.telling import Teller
from harness.agent.resident.term import Term

REFUSED, LEFT = 4, 5
LOOK_SECONDS = 0.25
REPORT_SECONDS = 1.0
# The container may end of what ended the hog, and is seen to a moment later.
AFTER_SECONDS = 1.0
# By so much longer than the worker a hog would live: the kernel ends it only where nobody else has.
SPARE_SECONDS = 5.0


def main() -> int:
    """Read the order, do it, undo it; 0 when nothing is left behind, 4 when it was refused, 5 when a hog is left."""
    tell, wake = Teller(listening.OUTPUT), listening.signals()
    begun: list[Hog] = []
    try:
        wanted = order.read(listening.order())
        groups.stay_outside()
        target = container.find(wanted.pod, wanted.container)
        effect = kinds.make(wanted, target)
        doors = target.groups.doors(*effect.controllers)
        for work in effect.hogs:
            begun.append(hogs.start(work, doors, wanted.seconds + SPARE_SECONDS, spared=effect.spared))
    except (Refused, OSError) as error:
        left = hogs.end(begun)
        what, why = (error.what, error.why) if isinstance(error, Refused) else (str(error), "")
        tell("refused", what=what, why=why, left=left)
        return REFUSED
    tell("ready", fault=wanted.fault, pid=os.getpid(), hogs=[one.pid for one in begun])
    why, left = "it failed", [0]
    try:
        why = Worker(wanted, effect, begun, target.handle, tell).serve(wake)
    finally:
        # Counted while the hogs are still there: a group that is gone counts nothing.
        facts = told(effect)
        left = hogs.end(begun)
        tell("end", why=why, left=left, **facts)
    return LEFT if left else 0


class Worker:
    """The loop of one worker; it ends with a reason."""

    def __init__(self, wanted: Order, effect: Effect, begun: list[Hog], target: int, tell: Teller) -> None:
        self._effect, self._hogs, self._target, self._tell = effect, begun, target, tell
        self._term = Term(wanted.seconds, wanted.lease)
        self._felt = False

    def serve(self, wake: int) -> str:
        """Serve until something says that it is over; return why."""
        report = 0.0
        while True:
            if why := self._term.over():
                return why
            if time.monotonic() >= report:
                report = time.monotonic() + REPORT_SECONDS
                self._report()
            sources = [listening.INPUT, wake, self._target, *(one.handle for one in self._hogs)]
            ready, _, _ = select.select(sources, [], [], LOOK_SECONDS)
            if why := self._heard(ready, wake) or amiss(self._effect):
                return why
            if not self._felt:
                self._report(only_felt=True)

    def _heard(self, ready: list[int], wake: int) -> str:
        if wake in ready:
            return "it was asked to end"
        if listening.INPUT in ready and (why := self._term.hear(listening.INPUT, self._asked)):
            return why
        gone = [one for one in self._hogs if one.handle in ready]
        if gone and self._target not in ready:
            ready, _, _ = select.select([self._target], [], [], AFTER_SECONDS)
        if self._target in ready:
            return TARGET_GONE
        return f"a process of its own ended {hogs.ended(gone[0])}" if gone else ""

    def _asked(self, asked: Any) -> None:
        self._tell("report", asked=asked, **told(self._effect))

    def _report(self, *, only_felt: bool = False) -> None:
        facts = told(self._effect)
        first = bool(facts.get("did")) and not self._felt
        # The report goes before: else one that is older than what is felt would be told of after it.
        if first or not only_felt:
            self._tell("report", **facts)
        if first:
            self._felt = True
            self._tell("first", **facts)


def told(effect: Effect) -> dict[str, Any]:
    """Return what is counted; nothing where the container's groups have gone."""
    try:
        return effect.told()
    except (OSError, Refused):
        return {}


def amiss(effect: Effect) -> str:
    """Say why an effect must not go on; nothing where the container's groups have gone, which is seen by its end."""
    try:
        return effect.ends()
    except (OSError, Refused):
        return ""


if __name__ == "__main__":
    sys.exit(main())
