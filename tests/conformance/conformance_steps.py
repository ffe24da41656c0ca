"""What the documents call: each function leaves a line in a log that both engines' runs are compared by."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any


def note(line: str) -> None:
    """Append one line, whole, whoever else writes."""
    with Path(os.environ["CONFORMANCE_LOG"]).open("a") as log:
        log.write(line + "\n")


def noted() -> list[str]:
    """Return all lines so far."""
    path = Path(os.environ["CONFORMANCE_LOG"])
    return path.read_text().splitlines() if path.exists() else []


def mark(name: str, value: Any = "done") -> Any:
    """Leave a line and return a value."""
    note(name)
    return value


def shown(name: str, value: Any) -> str:
    """Leave a line that tells a value with its type, as it came through substitution."""
    note(f"{name} {type(value).__name__} {value}")
    return str(value)


def unless(name: str, seen: str, value: Any, otherwise: Any) -> Any:
    """Return `value` until a line was left, and `otherwise` from then on."""
    note(name)
    return otherwise if seen in noted() else value


def fail(name: str) -> None:
    """Leave a line and fail."""
    note(name)
    raise ValueError("this step fails on purpose")


def slow(name: str, seconds: float) -> str:
    """Leave a line at the begin and one at the end."""
    note(f"{name} begins")
    time.sleep(seconds)
    note(f"{name} ends")
    return "done"


def running(name: str) -> str:
    """Leave a line that is free to come at any time, as often as it likes."""
    note(f"~{name}")
    return "done"


def running_unless(name: str, seen: str, value: Any, otherwise: Any) -> Any:
    """Return `value` until a line was left, at any time."""
    note(f"~{name}")
    return otherwise if seen in noted() else value


def running_between(name: str, first: str, last: str) -> str:
    """Answer otherwise between two lines that others leave, at any time."""
    note(f"~{name}")
    return "broken" if first in noted() and last not in noted() else "done"


def known(name: str, secrets: dict[str, str] | None = None, configuration: dict[str, Any] | None = None) -> str:
    """Leave a line that tells which secrets and which configuration came."""
    told = [*sorted(secrets or {}), *sorted(f"{key}={value}" for key, value in (configuration or {}).items())]
    note(f"{name} {' '.join(told)}")
    return f"{len(told)} came"


def between(value: Any, low: float, high: float) -> bool:
    """Say whether a probe's answer lies between two numbers; a tolerance."""
    note(f"compared {value}")
    return low <= float(value) <= high
