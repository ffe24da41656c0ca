"""Answer a metric from what a run recorded: its load's operations, or a series that it sampled."""

from __future__ import annotations

from harness.analysis.measuring import Answer
from harness.checkers import census, series
from harness.checkers.latency import QUANTILES
from harness.model.history import History

AVAILABILITY = "availability"
LATENCIES = {f"latency-{name}": q for name, q in QUANTILES.items()}
# Over which time operations are looked at where the metric has no interval.
OVER_SECONDS = 10.0


def names(history: History) -> list[str]:
    """List what a run recorded that a metric can be answered from."""
    ours = [AVAILABILITY, *LATENCIES] if history.operations else []
    return ours + sorted({sample.series for sample in history.samples if sample.value is not None})


def answer(history: History, name: str, at: float, over: float) -> Answer:
    """Return what a series said at a time of the run: a vector, which is empty where nothing was recorded.

    `availability` is the share of operations that were good, `latency-p95` a quantile in seconds, of all that ended in
    the `over` seconds before; what the load itself held up tells nothing. Any other series has a value for each of its
    label sets, the last one that is not older than 15 s.
    """
    if name not in (AVAILABILITY, *LATENCIES):
        return Answer(_sampled(history, name, at))
    ended = [one for one in history.operations if one.punctual and at - over < one.finished <= at]
    if not ended:
        return Answer([])
    if name == AVAILABILITY:
        return Answer([sum(one.ok for one in ended) / len(ended)])
    return Answer([census.quantile(sorted(one.latency for one in ended), LATENCIES[name])])


def _sampled(history: History, name: str, at: float) -> list[float]:
    points: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    for sample in history.samples:
        if sample.series == name and sample.value is not None:
            points.setdefault(tuple(sorted(sample.labels.items())), []).append((sample.time, sample.value))
    found = (series.at(sorted(one), at, within=series.LONGEST_SILENCE) for one in points.values())
    return [value for value in found if value is not None]
