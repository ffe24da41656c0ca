"""Remember the last calls to other services, refused ones included, and the attempts they were made of.

Each is written down when it begins and completed when it ends, so that one that is under way is known, too. Nothing is
locked: the service's thread alone writes, the outcome before the end, and who reads looks at the end first.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from claude_services.settings import Settings

MOST_CALLS = 10_000
"""7 MB at most, each with all of its attempts; ten minutes of one orchestrator under the experiments' heaviest load."""


@dataclass(slots=True)
class Attempt:
    """One request; `end` is None while it is under way."""

    start: float
    end: float | None = None
    outcome: str = ""


@dataclass(slots=True)
class Call:
    """One call; `end` is None while it is under way."""

    number: int
    callee: str
    method: str
    start: float
    end: float | None = None
    outcome: str = ""
    attempts: list[Attempt] = field(default_factory=list)


class Recorder:
    """Keep the last calls of one process; its clock is the breakers', and is told as wall-clock time."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, most: int = MOST_CALLS) -> None:
        self._clock, self._began = clock, clock()
        self._calls: deque[Call] = deque(maxlen=most)
        self._made = 0

    def begin(self, callee: str, method: str) -> Call:
        """Write down that a call begins."""
        self._made += 1
        call = Call(self._made, callee, method, self._clock())
        self._calls.append(call)
        return call

    def attempt(self, call: Call) -> Attempt:
        """Write down that an attempt of a call begins."""
        attempt = Attempt(self._clock())
        call.attempts.append(attempt)
        return attempt

    def end(self, one: Call | Attempt, outcome: str) -> None:
        """Write down how a call or an attempt ended."""
        one.outcome = outcome
        one.end = self._clock()

    def told(self, since: float, wall: Callable[[], float] = time.time) -> dict[str, Any]:
        """Return the calls that were begun from a moment on; all times are wall-clock seconds.

        From `from` on every call is there, and where it is `whole` there was none before.
        """
        calls, now = list(self._calls), self._clock()
        shift = wall() - now
        forgotten = bool(calls) and calls[0].number > 1
        known = max(since - shift, calls[0].start if forgotten else self._began)
        return {
            "from": known + shift,
            "whole": not forgotten and known == self._began,
            "now": now + shift,
            "calls": [_call(one, shift) for one in calls if one.start >= known],
        }


def _call(call: Call, shift: float) -> list[Any]:
    attempts = [_span(one, shift) for one in tuple(call.attempts)]
    return [call.number, call.callee, call.method, *_span(call, shift), attempts]


def _span(one: Call | Attempt, shift: float) -> list[Any]:
    end = one.end
    # Microseconds; what is shorter is the clock's own noise.
    start = round(one.start + shift, 6)
    return [start, None, ""] if end is None else [start, round(end + shift, 6), one.outcome]


def declared(settings: Settings) -> Mapping[str, Any]:
    """Return what a service is told of its breakers and its client, as seconds, shares and counts."""
    return {"breaker": asdict(settings.limits), "client": asdict(settings.client)}
