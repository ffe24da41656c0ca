"""Circuit breakers between services.

The seed names five parameters, gives no values, and its code reads two of them. `WindowBreaker` is the corrected
reading: two trip rules over completed calls, and one probe when half-open. `LiteralBreaker` does what the seed's code
does, so that an experiment can show the difference. Both are lazy: an open breaker looks at the clock when it is asked.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class State(enum.Enum):
    """What a breaker does with the next call; the value is what the `breaker_state` metric shows."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", "-")


class Outcome(enum.Enum):
    """How an admitted call ended, as far as the dependency's health goes."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABANDONED = "abandoned"


class CircuitOpen(Exception):
    """The breaker refused the call; nothing was sent."""

    def __init__(self, dependency: str) -> None:
        super().__init__(f"circuit breaker is open for {dependency}")
        self.dependency = dependency


@dataclass(frozen=True, slots=True)
class Limits:
    """The seed's five breaker parameters."""

    failure_threshold: int = 5
    recovery_timeout: float = 30.0
    window: float = 30.0
    volume_threshold: int = 20
    error_ratio: float = 0.5


@dataclass(frozen=True, slots=True)
class Admission:
    """Leave to make one call; its outcome counts only while the breaker is in the era that gave it."""

    era: int


Transition = Callable[[State, State], None]


class Breaker(Protocol):
    """Admit calls to one dependency and learn from their outcomes."""

    @property
    def state(self) -> State: ...

    def admit(self) -> Admission: ...

    def record(self, admission: Admission, outcome: Outcome) -> None: ...


class WindowBreaker:
    """Open on failures in a row or on a bad window; let one probe decide when to close."""

    def __init__(self, dependency: str, limits: Limits, *, clock: Callable[[], float], moved: Transition) -> None:
        self._dependency, self._limits, self._clock, self._moved = dependency, limits, clock, moved
        self._state = State.CLOSED
        self._era = 0
        self._in_a_row = 0
        self._calls: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._opened_at = 0.0
        self._probing = False

    @property
    def state(self) -> State:
        return self._state

    def admit(self) -> Admission:
        """Return leave to call, or raise CircuitOpen."""
        if self._state is State.OPEN and self._clock() - self._opened_at >= self._limits.recovery_timeout:
            self._move(State.HALF_OPEN)
        if self._state is State.OPEN or (self._state is State.HALF_OPEN and self._probing):
            raise CircuitOpen(self._dependency)
        self._probing = self._state is State.HALF_OPEN
        return Admission(self._era)

    def record(self, admission: Admission, outcome: Outcome) -> None:
        """Learn how an admitted call ended; stragglers of an earlier era teach nothing."""
        if admission.era != self._era:
            return
        if self._state is State.HALF_OPEN:
            self._probing = False
            if outcome is not Outcome.ABANDONED:
                self._move(State.CLOSED if outcome is Outcome.SUCCEEDED else State.OPEN)
        elif outcome is not Outcome.ABANDONED:
            self._count(failed=outcome is Outcome.FAILED)

    def _count(self, *, failed: bool) -> None:
        now = self._clock()
        self._calls.append((now, failed))
        self._failures += failed
        while self._calls[0][0] < now - self._limits.window:
            self._failures -= self._calls.popleft()[1]
        self._in_a_row = self._in_a_row + 1 if failed else 0
        busy = len(self._calls) >= self._limits.volume_threshold
        bad_window = busy and self._failures >= self._limits.error_ratio * len(self._calls)
        if self._in_a_row >= self._limits.failure_threshold or bad_window:
            self._move(State.OPEN)

    def _move(self, to: State) -> None:
        was, self._state = self._state, to
        self._era += 1
        self._in_a_row = 0
        self._calls.clear()
        self._failures = 0
        self._probing = False
        if to is State.OPEN:
            self._opened_at = self._clock()
        self._moved(was, to)


class LiteralBreaker:
    """Do what the seed's code does: no window, no volume, and every waiting call is a probe."""

    def __init__(self, dependency: str, limits: Limits, *, clock: Callable[[], float], moved: Transition) -> None:
        self._dependency, self._limits, self._clock, self._moved = dependency, limits, clock, moved
        self._state = State.CLOSED
        self._failures = 0
        self._next_attempt = 0.0

    @property
    def state(self) -> State:
        return self._state

    def admit(self) -> Admission:
        """Return leave to call, or raise CircuitOpen before the recovery time is over."""
        if self._state is State.OPEN:
            if self._clock() < self._next_attempt:
                raise CircuitOpen(self._dependency)
            self._move(State.HALF_OPEN)
        return Admission(0)

    def record(self, admission: Admission, outcome: Outcome) -> None:
        """Count any outcome, stragglers included, and restart the timer on each failure past the threshold."""
        del admission
        if outcome is Outcome.SUCCEEDED:
            self._failures = 0
            if self._state is State.HALF_OPEN:
                self._move(State.CLOSED)
        elif outcome is Outcome.FAILED:
            self._failures += 1
            if self._failures >= self._limits.failure_threshold:
                self._next_attempt = self._clock() + self._limits.recovery_timeout
                if self._state is not State.OPEN:
                    self._move(State.OPEN)

    def _move(self, to: State) -> None:
        was, self._state = self._state, to
        self._moved(was, to)


class NeverOpens:
    """Admit everything: the weakened stack's breaker."""

    state = State.CLOSED

    def admit(self) -> Admission:
        return Admission(0)

    def record(self, admission: Admission, outcome: Outcome) -> None:
        del admission, outcome


def build(
    mode: str, dependency: str, limits: Limits, *, clock: Callable[[], float], moved: Transition
) -> WindowBreaker | LiteralBreaker | NeverOpens:
    """Return the breaker that BREAKER_MODE asks for: fixed, literal or never."""
    if mode == "fixed":
        return WindowBreaker(dependency, limits, clock=clock, moved=moved)
    if mode == "literal":
        return LiteralBreaker(dependency, limits, clock=clock, moved=moved)
    if mode == "never":
        return NeverOpens()
    raise ValueError(f"BREAKER_MODE is {mode!r}; it is one of fixed, literal, never")
