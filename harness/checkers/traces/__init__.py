"""Hold what is declared of breakers, retries and ejection against a trace of calls and attempts.

The properties have the letters and numbers of docs/traces.md. Each is held where the trace put it to the test, broken
where one call or attempt proves it, and unknown otherwise: no evidence is never held.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from harness.checkers.traces import closing, ejecting, letting, opening, retrying, spreading
from harness.checkers.traces.calls import Trace
from harness.checkers.traces.life import Life, lives
from harness.checkers.traces.rules import BreakerRule, EjectionRule, RetryRule, Rules
from harness.checkers.traces.ruling import Ruling

BREAKER: Mapping[str, Callable[[Trace, BreakerRule, Sequence[Life]], Ruling]] = {
    "CB1": closing.leak,
    "CB2": opening.soundness,
    "CB3": opening.completeness,
    "CB4": closing.probes,
    "CB5": closing.reopening,
    "CB6": closing.recovery,
    "CB7": letting.fast_failure,
    "CB8": opening.isolation,
    "CB9": closing.flapping,
    "CB10": opening.classification,
    "CB11": letting.side_by_side,
}
RETRY: Mapping[str, Callable[[Trace, RetryRule], Ruling]] = {
    "RT1": retrying.attempts,
    "RT2": retrying.eligibility,
    "RT3": retrying.deadline,
    "RT4": retrying.backoff,
    "RT5": spreading.amplification,
    "RT6": spreading.redispatch,
    "RT7": spreading.once,
}
EJECTION: Mapping[str, Callable[[Trace, EjectionRule], Ruling]] = {
    "OD1": ejecting.size,
    "OD2": ejecting.length,
    "OD3": ejecting.panic,
}


PROPERTIES = (*BREAKER, *RETRY, *EJECTION)


def judge(trace: Trace, rules: Rules, asked: Collection[str] = PROPERTIES) -> dict[str, Ruling]:
    """Return what a trace says of each property that is asked, of what is declared."""
    found: dict[str, Ruling] = {}
    if rules.breaker is not None:
        seen = lives(trace, rules.breaker)
        found |= {name: ask(trace, rules.breaker, seen) for name, ask in BREAKER.items() if name in asked}
    if rules.retry is not None:
        found |= {name: ask(trace, rules.retry) for name, ask in RETRY.items() if name in asked}
    if rules.ejection is not None:
        found |= {name: ask(trace, rules.ejection) for name, ask in EJECTION.items() if name in asked}
    return found
