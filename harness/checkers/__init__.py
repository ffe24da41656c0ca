"""Pure functions from what a run saw to findings; each can say held, broken or unknown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.checkers import availability, breaker, burn_rate, disruption_budget, latency, recovery, retries
from harness.model.history import History, Operation
from harness.model.verdict import Finding

REGISTRY: Mapping[str, Callable[[History, Mapping[str, Any]], Finding]] = {
    "availability": availability.check,
    "latency": latency.check,
    "recovery": recovery.check,
    "disruption-budget": disruption_budget.check,
    "retries": retries.check,
    "breaker": breaker.check,
    "burn-rate": burn_rate.check,
}
# The promises that a system without any fault can break; what one of these says of the baseline is no fault's doing.
BEFORE: Mapping[str, Callable[[Sequence[Operation], Mapping[str, Any]], str]] = {
    "availability": availability.before,
    "latency": latency.before,
    "retries": retries.before,
}
