"""Take a canary through Flagger's course: one check an interval, weights up to the promotion, or back to none.

What the cluster decides (a pod that is not ready, a webhook, a new revision) is taken to be well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from harness.analysis.course import Ask, Clock
from harness.analysis.measuring import Answer, written
from harness.analysis.template import Question

SUCCESS_RATE = "request-success-rate"
DURATION = "request-duration"
BUILTIN = (SUCCESS_RATE, DURATION)
TOTAL_WEIGHT = 100


class Phase(StrEnum):
    """Where a canary stands."""

    PROGRESSING = "Progressing"
    PROMOTING = "Promoting"
    FINALISING = "Finalising"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One metric of a canary: a value below `least` or above `most` fails, one that equals either passes.

    A success rate is in per cent, a duration in milliseconds.
    """

    question: Question
    least: float = -math.inf
    most: float = math.inf


@dataclass(frozen=True, slots=True)
class Canary:
    """A canary's analysis: `interval` in seconds, weights in per cent; `steps` are the weights that it goes through.

    Its checks are made in their order, up to the first one that fails.
    """

    checks: tuple[Check, ...]
    interval: float
    threshold: int
    steps: tuple[int, ...]
    promotion_step: int = 0


@dataclass(frozen=True, slots=True)
class Tick:
    """What one look came to: where the canary stands after it, and what was said."""

    at: float
    phase: Phase
    weight: int
    failed: int
    said: str


def weights(step: int, most: int, listed: tuple[int, ...]) -> tuple[int, ...]:
    """Return the weights that a canary goes through: the last one may be above `most`, never above 100."""
    if step <= 0:
        last = min(TOTAL_WEIGHT, listed[-1])
        return tuple(dict.fromkeys(min(one, TOTAL_WEIGHT) for one in listed if one <= last))
    last = min(TOTAL_WEIGHT, listed[-1]) if listed else most
    return tuple(min(one, TOTAL_WEIGHT) for one in range(step, last + step, step))


def walk(canary: Canary, ask: Ask, clock: Clock, *, end: float = math.inf) -> Iterator[Tick]:
    """Yield what each look comes to, until the canary has succeeded or failed, or nothing more can be asked at `end`.

    Checks that failed are never forgotten by one that passed, and the look after the last one allowed rolls back.
    """
    phase, weight, failed, number = Phase.PROGRESSING, 0, 0, 0
    while (at := number * canary.interval) <= end:
        clock.wait(at)
        number += 1
        match phase:
            case Phase.PROMOTING:
                weight = max(0, weight - (canary.promotion_step or TOTAL_WEIGHT))
                phase = phase if weight else Phase.FINALISING
                advanced = f"Advance primary weight {TOTAL_WEIGHT - weight}"
                said = advanced if canary.promotion_step else "Routing all traffic to primary"
            case Phase.FINALISING:
                phase, said = Phase.SUCCEEDED, "Promotion completed!"
            case _ if failed >= canary.threshold:
                phase, weight, said = Phase.FAILED, 0, f"Rolling back, failed checks threshold reached {failed}"
            case _ if weight and (halted := _halted(canary, ask, at)):
                failed, said = failed + 1, halted
            case _ if weight < canary.steps[-1]:
                weight = next(one for one in canary.steps if one > weight)
                said = f"Advance canary weight {weight}"
            case _:
                phase, said = Phase.PROMOTING, "Copying the canary's template to the primary"
        yield Tick(clock.now(), phase, weight, failed, said)
        if phase in (Phase.SUCCEEDED, Phase.FAILED):
            return


def _halted(canary: Canary, ask: Ask, at: float) -> str:
    """Say which check fails, the first one; empty where none does."""
    for check in canary.checks:
        if said := _failing(check, ask(check.question, at)):
            return f"Halt advancement {said}"
    return ""


def _failing(check: Check, answer: Answer) -> str:
    name = check.question.name
    if answer.result is None:
        return f"query failed for {name}: {answer.error}"
    values = [answer.result] if isinstance(answer.result, int | float) else list(answer.result)
    # Of several series the last one counts, and what is no number is no data.
    if not values or math.isnan(values[-1]):
        return f"no values found for {name}"
    unit = {SUCCESS_RATE: "%", DURATION: " ms"}.get(name, "")
    if values[-1] < check.least:
        return f"{name} {values[-1]:.2f}{unit} < {written(check.least)}{unit}"
    if values[-1] > check.most:
        return f"{name} {values[-1]:.2f}{unit} > {written(check.most)}{unit}"
    return ""
