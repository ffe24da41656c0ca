"""Runs to judge: ten operations a second, a fault from second 10 to second 20, over at second 30."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from harness.faults import FAULTS
from harness.model.history import FaultRecord, History, Operation, Sample

RATE = 10.0
Change = Callable[[float], dict[str, Any] | None]


def operation(at: float, status: int = 200, took: float = 0.02, **more: Any) -> Operation:
    return Operation(intended=at, sent=at, finished=at + took, status=status, **more)


def operations(change: Change = lambda at: {}, *, until: float = 30.0) -> list[Operation]:
    """One operation each tenth of a second; `change` says what is different about it, None leaves it out."""
    times = [index / RATE for index in range(int(until * RATE))]
    return [operation(at, **told) for at in times if (told := change(at)) is not None]


def fault(kind: str = "node_freeze", **more: Any) -> FaultRecord:
    told = {"id": "f-1", "victim": "worker", "injected": 10.0, "felt": 11.0, "healed": 20.0, "undone": 19.0} | more
    known = FAULTS[kind]
    told = {"applied": told["injected"], "instant": known.instant, "disturbs": known.disturbs} | told
    return FaultRecord(kind=kind, **told)


def samples(series: str, points: Iterable[tuple[float, float | None]], **labels: str) -> list[Sample]:
    return [Sample(time, series, value, labels) for time, value in points]


@pytest.fixture
def run() -> Callable[..., History]:
    """Build a history: everything went well, apart from what the test says."""

    def build(**more: Any) -> History:
        told: dict[str, Any] = {
            "start": 0.0,
            "end": 31.0,
            "window": (10.0, 20.0),
            "operations": operations(),
            "faults": [fault()],
            "load_rate": RATE,
            "samples": samples("ready/shop/Deployment/mail", [(0, 2)], desired="2"),
        }
        return History(**told | more)

    return build


@pytest.fixture
def op() -> Callable[..., Operation]:
    return operation


@pytest.fixture
def ops() -> Callable[..., list[Operation]]:
    return operations


@pytest.fixture
def struck() -> Callable[..., FaultRecord]:
    return fault


@pytest.fixture
def sampled() -> Callable[..., list[Sample]]:
    return samples
