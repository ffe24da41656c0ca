"""Judge how fast an objective's error budget was spent, from the error ratios Prometheus gave."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from harness.checkers import series, starvation
from harness.checkers.kind import ObjectiveKind
from harness.checkers.series import LONGEST_SILENCE
from harness.model import envoy
from harness.model.disturbance import Disturbance
from harness.model.history import History
from harness.model.parameter import Parameter, Type
from harness.model.units import apart, seconds
from harness.model.verdict import Finding, State

SERIES = "prometheus/error-ratio"
# Five scrapes wide: long enough for a rate, short enough to show one fault.
ERROR_RATIO = envoy.error_ratio("10s")
# The ratio is of the last ten seconds, and the scrape before it may be two seconds old: an error at the window's very
# end is in it that much later.
SEEN_AFTER = 12.0


def check(history: History, parameters: Mapping[str, Any]) -> Finding:
    """Compare the highest burn rate of the window with `max`; silence is unknown, never zero."""
    objective, limit = float(parameters["objective"]), float(parameters.get("max", 14.4))
    target = f"<= {limit:g} x"
    if history.window is None:
        return Finding("burn-rate", State.UNKNOWN, "no fault was injected, so there is no window to judge", target)
    start, end = history.window
    rates = [
        (sample.time, speed(sample.value, objective))
        for sample in history.samples
        if sample.series == SERIES and sample.value is not None and math.isfinite(sample.value)
    ]
    inside = [(time, rate) for time, rate in rates if start <= time <= end + SEEN_AFTER]
    before = [rate for time, rate in rates if time < start]
    after = [rate for time, rate in rates if time > end + SEEN_AFTER]
    in_fault = _shown([rate for _, rate in inside])
    columns: dict[str, Any] = {"baseline": _shown(before), "in_fault": in_fault, "recovery": _shown(after)}
    if not inside:
        why = f"Prometheus gave no data for the window{series.trouble(history.samples)}"
        return Finding("burn-rate", State.UNKNOWN, why, target, **columns)
    peak_at, peak = max(inside, key=lambda pair: pair[1])
    detail = {"peak": peak, "peak_at": peak_at - start, "samples": len(inside)}
    if peak > limit:
        summary = f"burned {apart(peak, limit, 1)} x, {seconds(peak_at - start)} after the injection"
        broken = Finding("burn-rate", State.BROKEN, summary, target, **columns, detail=detail)
        return starvation.doubted(broken, history, history.window)
    silence = series.silence((time for time, _ in inside), start, end)
    if silence > LONGEST_SILENCE:
        summary = f"Prometheus was silent for {seconds(silence)} of the window"
        return Finding("burn-rate", State.UNKNOWN, summary, target, **columns, detail=detail)
    return Finding("burn-rate", State.HELD, f"highest {peak:.1f} x", target, **columns, detail=detail)


def speed(error_ratio: float, objective: float) -> float:
    """Return how many times too fast the budget is spent; infinite when nothing may fail and something did."""
    allowed = 1 - objective
    if allowed <= 0:
        return math.inf if error_ratio > 0 else 0.0
    return error_ratio / allowed


def _shown(rates: list[float]) -> str:
    return f"{max(rates):.1f} x" if rates else "no data"


OBJECTIVE = ObjectiveKind(
    name="burn-rate",
    place=70,
    summary="Speed at which an objective's error budget was spent, from Prometheus: share of answers that were 5xx,"
    " over 1 - objective. What was never answered is in no share.",
    broken="the highest burn rate is above the limit",
    unknown="Prometheus gave no data, or none for part of the window",
    parameters=(
        Parameter(
            "objective", Type.RATIO, "The long-term ratio whose budget is spent.", required=True, maximum=0.999999
        ),
        Parameter(
            "max", Type.NUMBER, "Highest burn rate; 14.4 spends 2 % of 30 days in an hour.", default=14.4, minimum=0
        ),
    ),
    exercised_by=frozenset({Disturbance.SERVING, Disturbance.CAPACITY, Disturbance.NETWORK, Disturbance.DATA}),
    check=check,
    asks=(ERROR_RATIO,),
    at_gateway=True,
)
