"""What a release that was watched shows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.stack_report.asking import Answer
from bench.stack_report.canary.watching import ACTS_SECONDS, DEVIATIONS, LOOK_SECONDS, ROLLOUT, Watched
from bench.stack_report.row import Seen
from harness.workloads import releases


def shares(seen: Watched, steps: Sequence[int]) -> Seen:
    """Judge by who answered that each step's weight was what the new release got."""
    told, good = [], True
    for weight in steps:
        counted, of = exposed(seen, weight)
        wanted = weight / 100
        slack = DEVIATIONS * math.sqrt(wanted * (1 - wanted) / of) + 1 / of if of else 0
        # With no call left to the old one a step of all is over before it can be counted.
        good = good and (abs(counted / of - wanted) <= slack if of else weight == 100)
        told.append(f"{weight} %: {counted} of {of} calls" + (f" ({100 * counted / of:.1f} %)" if of else ""))
    reached = [weight for _, weight in seen.weights if weight]
    return Seen(good and [one for one in reached if one in steps] == list(steps), "; ".join(told))


def exposed(seen: Watched, weight: int) -> tuple[int, int]:
    """Count the answers of a release among those that were asked for while it had this weight."""
    ends = [moment for moment, _ in seen.weights[1:]] + [math.inf]
    spans = [(begin + ACTS_SECONDS, end) for (begin, one), end in zip(seen.weights, ends, strict=True) if one == weight]
    mine = [one for one in seen.answers if any(begin <= one.asked < end for begin, end in spans) and one.by]
    return sum(of_release(one, seen.newest) for one in mine), len(mine)


def of_release(answer: Answer, newest: str) -> bool:
    """Say whether a pod of a release gave an answer."""
    return answer.by.startswith(f"{ROLLOUT}-{newest}-")


def pauses(seen: Watched, least: Sequence[tuple[int, float]]) -> Seen:
    """Judge that each weight was held for as long as its pause is at least."""
    ends = [moment for moment, _ in seen.weights[1:]] + [math.inf]
    held = {weight: end - begin for (begin, weight), end in zip(seen.weights, ends, strict=True) if weight}
    told = ", ".join(f"{weight} % for {held.get(weight, 0):.0f} s (pause {pause:g} s)" for weight, pause in least)
    return Seen(all(held.get(weight, 0) >= pause - LOOK_SECONDS * 2 for weight, pause in least), told)


def rolled_back(seen: Watched, by: str, most: int) -> Seen:
    """Judge that an analysis gave a release up before it had more than so much of the traffic."""
    failed = [what for _, what in seen.analyses if what.startswith("Failed")]
    reached = max((weight for _, weight in seen.weights), default=0)
    met = sum(of_release(one, seen.newest) for one in seen.answers)
    cleared = not any(of_release(one, seen.newest) for one in seen.after) and seen.stays == (100, 0)
    good = (
        seen.outcome == releases.ROLLED_BACK
        and any(f'"{by}" assessed Failed' in one for one in failed)
        and reached <= most
        and cleared
    )
    text = f"{seen.outcome} after {seen.seconds:.0f} s at {reached} %; {met} of {len(seen.answers)} calls met it"
    return Seen(good, f"{text}; {'; '.join(failed) or 'no analysis failed'}; weights then {seen.stays}")


def passed(seen: Watched, template: str) -> Seen:
    """Judge that the analyses by a template found a release good."""
    found = [what for metrics, what in seen.analyses if template in metrics]
    good = bool(found) and all(one.startswith("Successful") for one in found) and seen.outcome == releases.PROMOTED
    return Seen(good, f"{seen.outcome}; {'; '.join(found) or f'no analysis by {template}'}")
