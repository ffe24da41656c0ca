"""Hold what callers recorded of their calls against what they declare: the properties of docs/traces.md.

Where a caller's calls are lost, or it does not say what it does, nothing is held: what the others recorded may still
accuse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from harness.checkers import series, traces
from harness.checkers.traces.calls import FAILURES, Call, Outcome, Trace
from harness.checkers.traces.rules import BreakerRule, RetryRule, Rules, doubling
from harness.checkers.traces.ruling import Ruling
from harness.model.calls import Recorded
from harness.model.history import History
from harness.model.units import seconds
from harness.model.verdict import State

SKEW_SECONDS = 0.005
"""A process looks at its clock before it asks its breaker, which looks again: so long it may be held up in between."""
SCRAPE_SECONDS = 2.0
"""A process that was sampled longer before its record begins was not the first of its pod."""
TIMED = frozenset({"CB1", "CB5", "CB6", "CB7", "CB9", "CB11"})
"""What a machine that holds a process up between two lines can break."""
UNTIMED_RETRIES = ("RT1", "RT2", "RT5")
"""A process that is busy wakes late: by the clock no retry of a real one can be judged (RT3, RT4)."""
OF_ALL = "CB8"
"""What fails at one callee and what is refused at another is seen in the calls to both."""
Declared = Mapping[str, Mapping[str, float]]
Rule = TypeVar("Rule", BreakerRule, RetryRule)


@dataclass(frozen=True, slots=True)
class Conformity:
    """What was found: broken whatever the machine did, broken about time, unknown; and each property for itself."""

    broken: list[str] = field(default_factory=list)
    timed: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    summary: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


def breakers(history: History, dependency: str) -> Conformity:
    """Judge CB1 to CB11 of every caller's breaker towards one dependency."""
    called = [one for one in history.recorded if any(call.callee == dependency for call in one.calls)]
    callers, rules, silent = _told_by(called, _breaker)
    if why := _unread(history, rules, silent):
        return Conformity(unknown=[why])
    (rule,) = rules
    found = traces.judge(_trace(callers, rule, dependency), Rules(breaker=rule), traces.BREAKER.keys() - {OF_ALL})
    found |= traces.judge(_trace(callers, rule, ""), Rules(breaker=rule), {OF_ALL})
    lost = [*silent, *_lost(history, (f"breaker/{dependency}",))]
    return _found({name: found[name] for name in traces.BREAKER}, lost)


def retries(history: History) -> Conformity:
    """Judge what every caller tries again, but for what a clock would have to tell: RT1, RT2 and RT5."""
    callers, rules, silent = _told_by([one for one in history.recorded if one.calls], _retry)
    if why := _unread(history, rules, silent):
        return Conformity(unknown=[why])
    (rule,) = rules
    found = traces.judge(_trace(callers, None, ""), Rules(retry=rule), UNTIMED_RETRIES)
    sampled = {sample.series for sample in history.samples if sample.series.startswith("client_calls/")}
    return _found(found, [*silent, *_lost(history, sorted(sampled))])


def _told_by(
    callers: Sequence[Recorded], read: Callable[[Declared], Rule]
) -> tuple[list[Recorded], set[Rule], list[str]]:
    """Return who says what it does, the rules that they declare, and who does not say it, each with what lacks."""
    told, rules, silent = list[Recorded](), set[Rule](), list[str]()
    for one in callers:
        try:
            rules.add(read(one.declared))
            told.append(one)
        except KeyError as error:
            silent.append(f"what {one.caller} called is not judged: it declares no {error}")
        except (ValueError, OverflowError) as error:
            silent.append(f"what {one.caller} called is not judged: what it declares is no rule ({error})")
    return told, rules, silent


def _breaker(declared: Declared) -> BreakerRule:
    told = declared["breaker"]
    return BreakerRule(
        failures=int(told["failure_threshold"]),
        volume=int(told["volume_threshold"]),
        ratio=told["error_ratio"],
        window=told["window"],
        open_for=told["recovery_timeout"],
    )


def _retry(declared: Declared) -> RetryRule:
    told = declared["client"]
    most = int(told["retries"])
    pauses = doubling(told["backoff"], told["backoff_cap"], most)
    return RetryRule(most, told["attempt_timeout"], told["deadline"], pauses)


def _unread(history: History, rules: Collection[BreakerRule | RetryRule], silent: Sequence[str]) -> str:
    """Say why nothing can be judged; empty when it can be."""
    if rules:
        return "" if len(rules) == 1 else f"callers declare {len(rules)} different rules"
    if silent:
        return "; ".join(silent)
    whys = "; ".join(f"{pod}: {why}" for pod, why in history.unread.items())
    return f"no calls were recorded{f' ({whys})' if whys else ''}"


def _trace(callers: Sequence[Recorded], rule: BreakerRule | None, dependency: str) -> Trace:
    """Put callers' records into one trace, of their calls to one dependency where it is named."""
    calls = [call for one in callers for call in one.calls if dependency in ("", call.callee)]
    known = {call.id for call in calls}
    attempts = [attempt for one in callers for attempt in one.attempts if attempt.call in known]
    unseen = [breaker for one in callers for breaker in _unseen(one, rule)] if rule else []
    return Trace(calls, attempts, skew=SKEW_SECONDS, unseen=frozenset(unseen))


def _unseen(one: Recorded, rule: BreakerRule) -> Iterator[tuple[str, str]]:
    """Name a caller's breakers of which nobody knows why they first opened, each with its callee.

    It is known when nothing was before, or when all that a breaker then knew came later: a success, and a whole window.
    """
    # What had begun before the record does ends within a call's whole time.
    since = one.since + one.declared.get("client", {}).get("deadline", math.inf)
    for callee in {call.callee for call in one.calls}:
        calls = [call for call in one.calls if call.callee == callee]
        refused = min((call.start for call in calls if call.outcome is Outcome.REFUSED), default=None)
        if one.whole or refused is None:
            continue
        fine = [call.end for call in calls if call.outcome not in {*FAILURES, *rule.ignored, Outcome.REFUSED}]
        if refused - since <= rule.window or not any(since < end < refused for end in fine):
            yield one.caller, callee


def _lost(history: History, sampled: Sequence[str]) -> list[str]:
    """Name who was sampled in the fault window and whose calls in it are not all there."""
    start = history.window[0] if history.window else history.start
    read, found = {one.caller: one for one in history.recorded}, dict[str, str]()
    for pod, points in (item for name in sampled for item in series.by_pod(history.samples, name).items()):
        one = read.get(pod)
        if points[-1][0] < start:
            continue
        if one is None:
            found[pod] = f"what {pod} called is lost: {history.unread.get(pod, 'it is gone')}"
        elif one.since > start and not (one.whole and one.since <= points[0][0] + SCRAPE_SECONDS):
            found[pod] = f"what {pod} called before {seconds(one.since)} is lost"
    return [found[pod] for pod in sorted(found)]


def _found(found: Mapping[str, Ruling], lost: list[str]) -> Conformity:
    if lost:
        found = {
            name: replace(one, state=State.UNKNOWN) if one.state is State.HELD else one for name, one in found.items()
        }
    broken = {name: f"{name}: {one.why}{_proof(one)}" for name, one in found.items() if one.state is State.BROKEN}
    held = sum(one.state is State.HELD for one in found.values())
    return Conformity(
        broken=[said for name, said in broken.items() if name not in TIMED],
        timed=[said for name, said in broken.items() if name in TIMED],
        unknown=lost or ([] if held or broken else [f"of {len(found)} properties none was put to the test"]),
        summary=f"{held} of {len(found)} properties were put to the test and kept",
        detail={name: _told(one) for name, one in found.items()},
    )


def _told(one: Ruling) -> str:
    needed = f", {one.needed} more would have told" if one.needed else ""
    return f"{one.state}: {one.why}{needed}{_proof(one)}"


def _proof(one: Ruling) -> str:
    if one.proof is None:
        return ""
    name = one.proof.id if isinstance(one.proof, Call) else f"{one.proof.call}, attempt {one.proof.number}"
    return f" ({name} at {seconds(one.proof.start)})"
