"""What is declared of breakers, retries and ejection; the judges hold a trace against nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from harness.checkers.traces.calls import FAILURES, Outcome


@dataclass(frozen=True, slots=True)
class BreakerRule:
    """When a breaker opens, for how long, and what it lets through then; times in seconds.

    It opens when `failures` calls in a row failed, or when the last `window` holds at least `volume` calls of which a
    share of `ratio` or more failed; after `open_for` the next calls are probes, at most `probes` of them undecided. One
    that fails opens it again, as many as that which succeed close it. Outcomes that are `ignored` teach it nothing, all
    others that are not `failing` are successes. What it refuses is refused within `refuses_within`.
    """

    failures: int
    volume: int
    ratio: float
    window: float
    open_for: float
    probes: int = 1
    failing: frozenset[Outcome] = FAILURES
    ignored: frozenset[Outcome] = frozenset({Outcome.OVERLOADED, Outcome.ABANDONED})
    refuses_within: float = 0.01


@dataclass(frozen=True, slots=True)
class Budget:
    """How many retries may be under way: a share of all attempts that are, and always `least`."""

    share: float
    least: int


@dataclass(frozen=True, slots=True)
class RetryRule:
    """What is tried again, how often, how soon and until when; times in seconds.

    `pauses` are the longest ones before each retry, the last of them before all that follow; what is `jittered` is
    drawn between nothing and that. Where `methods` is None all may be tried again.
    """

    retries: int
    attempt_timeout: float
    deadline: float
    pauses: tuple[float, ...]
    jittered: bool = True
    retriable: frozenset[Outcome] = FAILURES
    methods: frozenset[str] | None = None
    budget: Budget | None = None

    def pause(self, number: int) -> float:
        """Return the longest pause before attempt `number`, 2 and above."""
        return self.pauses[min(number - 2, len(self.pauses) - 1)]


@dataclass(frozen=True, slots=True)
class EjectionRule:
    """When a host is taken out of turn and for how long; times in seconds, shares of 1.

    A host is out when `failures` attempts in a row failed: for `base` times how often it was, at most `longest`, and up
    to one `interval` more or less. Of all hosts at most `share` are out, though always one. When less than `panic` of
    them is left, all are asked.
    """

    failures: int
    interval: float
    base: float
    longest: float
    share: float
    panic: float
    failing: frozenset[Outcome] = FAILURES

    def most_out(self, hosts: int) -> int:
        """Return how many of so many hosts may be out at once."""
        return max(1, int(self.share * hosts + 1e-9))


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything declared; what is None was not declared, and nothing is said of it."""

    breaker: BreakerRule | None = None
    retry: RetryRule | None = None
    ejection: EjectionRule | None = None


def doubling(base: float, most: float, retries: int) -> tuple[float, ...]:
    """Return the pauses of a back-off that doubles from `base` up to `most`."""
    return tuple(min(most, base * 2**number) for number in range(max(1, retries)))
