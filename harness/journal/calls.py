"""Read the calls between services that pods recorded: one line for each pod, as it answered when the run was over."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.journal.event import Event
from harness.model.calls import Attempt, Call, Outcome, Recorded

FILE = "calls.jsonl"
EVENT = "calls.recorded"


def read(dir: Path, events: Sequence[Event]) -> list[Recorded]:
    """Return what each pod recorded, on the run's axis; none when nobody asked for it or the file is gone.

    A line that was cut off when the disk was full, or is no text, is left out, as of a pod that told nothing.
    """
    asked = next((event for event in events if event.type == EVENT), None)
    path = dir / FILE
    if asked is None or not path.exists():
        return []
    found: list[Recorded] = []
    for line in path.read_bytes().split(b"\n"):
        with suppress(ValueError):
            found.append(parse(line, asked.wall - asked.t))
    return found


def unread(events: Sequence[Event]) -> Mapping[str, str]:
    """Return the pods that told nothing of their calls although they were asked, and why."""
    return next((event.data["unread"] for event in events if event.type == EVENT), {})


def parse(line: str | bytes, origin: float) -> Recorded:
    """Read what one pod answered, its times from `origin` on in epoch seconds; raises ValueError where it is no record.

    What was under way when it answered ends there, abandoned as far as anybody knows.
    """
    try:
        return _recorded(json.loads(line), origin)
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"no record of calls ({type(error).__name__}: {error})") from None


def _recorded(told: Mapping[str, Any], origin: float) -> Recorded:
    caller, until = str(told["caller"]), float(told["now"]) - origin

    def span(start: float, end: float | None, outcome: str) -> tuple[float, float, Outcome]:
        if end is None:
            return float(start) - origin, until, Outcome.ABANDONED
        return float(start) - origin, float(end) - origin, Outcome(outcome)

    calls, attempts = list[Call](), list[Attempt]()
    for number, callee, method, *whole, tried in told["calls"]:
        identity = f"{caller}/{int(number)}"
        calls.append(Call(identity, caller, str(callee), *span(*whole), str(method)))
        # A service asks for another one by its name; which of its pods answers is the network's.
        attempts += [Attempt(identity, index, "", *span(*one)) for index, one in enumerate(tried, 1)]
    declared = {
        str(about): {str(name): float(value) for name, value in values.items()}
        for about, values in told["declared"].items()
    }
    since = float(told["from"]) - origin
    return Recorded(caller, since, told["whole"] is True, declared, tuple(calls), tuple(attempts))
