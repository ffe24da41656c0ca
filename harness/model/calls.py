"""Calls between services, as whoever makes them writes them down: values that a run records and checkers judge."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Outcome(enum.StrEnum):
    """How a call or an attempt ended, in the words of the services' own metrics.

    `REFUSED` is a call that the caller's breaker did not let out, `OVERLOADED` one that the callee had no room for,
    `ABANDONED` one that its caller gave up, or that had not ended when the trace did.
    """

    OK = "ok"
    CLIENT_ERROR = "client-error"
    SERVER_ERROR = "server-error"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    CONNECT_FAILURE = "connect-failure"
    RESET = "reset"
    ABANDONED = "abandoned"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one caller: a process with breakers of its own, not all replicas of it."""

    id: str
    caller: str
    callee: str
    start: float
    end: float
    outcome: Outcome
    method: str = "GET"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request of a call, counted from 1; `effect` says whether it had its effect, None where nobody told."""

    call: str
    number: int
    host: str
    start: float
    end: float
    outcome: Outcome
    effect: bool | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one process wrote down of its calls, on the run's axis of time.

    From `since` on each of its calls is here; where it is `whole`, it made none before. `declared` is what it was told
    of its breakers and its client: seconds, shares and counts.
    """

    caller: str
    since: float
    whole: bool
    declared: Mapping[str, Mapping[str, float]]
    calls: tuple[Call, ...] = ()
    attempts: tuple[Attempt, ...] = ()
