"""Pure functions from what a run saw to findings; each can say held, broken or unknown."""

from collections.abc import Callable, Mapping
from typing import Any

from harness.checkers import availability, latency, recovery
from harness.model.history import History
from harness.model.verdict import Finding

REGISTRY: Mapping[str, Callable[[History, Mapping[str, Any]], Finding]] = {
    "availability": availability.check,
    "latency": latency.check,
    "recovery": recovery.check,
}
