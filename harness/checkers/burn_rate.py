"""Judge how fast an objective's error budget was spent, from the error ratios Prometheus gave."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from harness.checkers import slo
from harness.model.history import History
from harness.model.units import seconds
from harness.model.verdict import Finding, State

QUERY = "error-ratio"
# Prometheus scrapes the SLI jobs every two seconds; what is silent for longer was not seen.
LONGEST_SILENCE = 15.0


def check(history: History, parameters: Mapping[str, Any]) -> Finding:
    """Compare the highest burn rate of the window with `max`; silence is unknown, never zero."""
    objective, limit = float(parameters["objective"]), float(parameters.get("max", 14.4))
    series = f"prometheus/{parameters.get('query', QUERY)}"
    target = f"<= {limit:g} x"
    samples = sorted((sample for sample in history.samples if sample.series == series), key=lambda sample: sample.time)
    if history.window is None:
        return Finding("burn-rate", State.UNKNOWN, "no fault was injected, so there is no window to judge", target)
    start, end = history.window
    rates = [
        (sample.time, slo.burn_rate(sample.value, objective))
        for sample in samples
        if sample.value is not None and math.isfinite(sample.value)
    ]
    inside = [(time, rate) for time, rate in rates if start <= time <= end]
    before = [rate for time, rate in rates if time < start]
    after = [rate for time, rate in rates if time > end]
    in_fault = _shown([rate for _, rate in inside])
    columns: dict[str, Any] = {"baseline": _shown(before), "in_fault": in_fault, "recovery": _shown(after)}
    if not inside:
        return Finding("burn-rate", State.UNKNOWN, "Prometheus gave no data for the window", target, **columns)
    peak_at, peak = max(inside, key=lambda pair: pair[1])
    detail = {"peak": peak, "peak_at": peak_at - start, "samples": len(inside)}
    if peak > limit:
        summary = f"burned {peak:.1f} x, {seconds(peak_at - start)} after the injection"
        return Finding("burn-rate", State.BROKEN, summary, target, **columns, detail=detail)
    marks = [start, *(time for time, _ in inside), end]
    silence = max(later - earlier for earlier, later in pairwise(marks))
    if silence > LONGEST_SILENCE:
        summary = f"Prometheus was silent for {seconds(silence)} of the window"
        return Finding("burn-rate", State.UNKNOWN, summary, target, **columns, detail=detail)
    return Finding("burn-rate", State.HELD, f"highest {peak:.1f} x", target, **columns, detail=detail)


def _shown(rates: list[float]) -> str:
    return f"{max(rates):.1f} x" if rates else "no data"
