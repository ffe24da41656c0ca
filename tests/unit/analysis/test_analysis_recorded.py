"""A run's recording answers a metric: the load's operations over a time, a sampled series as it last was."""

from __future__ import annotations

from harness.analysis import recorded
from harness.model.history import History, Operation, Sample


def operation(at: float, took: float = 0.1, status: int = 200, *, late: bool = False) -> Operation:
    return Operation(intended=at, sent=at, finished=at + took, status=status, late=late)


def test_availability_and_quantiles_are_of_the_operations_that_ended_in_the_time_before() -> None:
    operations = [operation(at, status=503 if at == 7 else 200) for at in range(10)]
    operations.append(operation(8, took=5.0, late=True))
    seen = History(0.0, 20.0, None, operations=operations)
    assert recorded.answer(seen, "availability", 9.1, 4.0).result == [0.75]
    assert recorded.answer(seen, "availability", 9.1, 1.0).result == [1.0]
    assert recorded.answer(seen, "availability", 15.0, 4.0).result == []
    (slowest,) = list(recorded.answer(seen, "latency-p99", 9.1, 4.0).result or [])  # type: ignore[arg-type]
    assert round(slowest, 6) == 0.1


def test_a_series_has_a_value_for_each_of_its_label_sets_unless_it_fell_silent() -> None:
    samples = [
        Sample(1.0, "s", 1.0, {"pod": "a"}),
        Sample(2.0, "s", 2.0, {"pod": "b"}),
        Sample(3.0, "s", None, {"pod": "b"}),
        Sample(4.0, "s", 4.0, {"pod": "a"}),
        Sample(4.0, "other", 9.0),
    ]
    seen = History(0.0, 40.0, None, samples=samples)
    assert recorded.answer(seen, "s", 3.5, 1.0).result == [1.0, 2.0]
    assert recorded.answer(seen, "s", 18.0, 1.0).result == [4.0]
    assert recorded.answer(seen, "s", 30.0, 1.0).result == []
    assert recorded.names(seen) == ["other", "s"]
