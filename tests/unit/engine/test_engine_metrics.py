"""Prometheus is asked only where it is the run's own; no answer is written down as no data."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from harness.engine import metrics
from harness.model.objective import Objective


class Asked(list[str]):
    """The addresses that were asked; each answers one series."""

    async def __call__(self, url: str, what: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        self.append(url)
        return [{"metric": {}, "values": [[parameters.get("end", 0), "0.25"]], "value": [0, "2"]}]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    found = Asked()
    monkeypatch.setattr(metrics, "_ask", found)
    monkeypatch.delenv("HARNESS_PROMETHEUS", raising=False)
    return found


def session(*checkers: str, cluster: object = None) -> Any:
    written: list[dict[str, Any]] = []
    return SimpleNamespace(
        cluster=cluster,
        experiment=SimpleNamespace(objectives=[Objective(name) for name in checkers]),
        journal=SimpleNamespace(now=lambda: 10.0),
        write=lambda kind, **data: written.append(data),
        written=written,
    )


def test_another_cluster_is_never_judged_by_the_local_prometheus(asked: Asked) -> None:
    other = session("burn-rate")
    anyio.run(metrics.collect, other)
    assert asked == []
    assert [(sample["series"], sample["value"]) for sample in other.written] == [("prometheus", None)]
    assert "HARNESS_PROMETHEUS" in other.written[0]["labels"]["error"]
    assert anyio.run(metrics.value, "up", other) is None


def test_the_local_cluster_has_the_local_prometheus(asked: Asked) -> None:
    local = session("burn-rate", cluster=object())
    anyio.run(metrics.collect, local)
    assert asked == [metrics.PROMETHEUS]
    assert [(sample["series"], sample["value"]) for sample in local.written] == [("prometheus/error-ratio", 0.25)]
    assert anyio.run(metrics.value, "up", local) == 2.0


def test_a_prometheus_that_is_named_is_asked_whatever_the_cluster(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_PROMETHEUS", "http://prometheus.example")
    anyio.run(metrics.collect, session("breaker"))
    assert asked == ["http://prometheus.example"]


@pytest.mark.parametrize("checker", ["availability", "retries"])
def test_what_no_checker_reads_is_not_collected(asked: Asked, checker: str) -> None:
    other = session(checker)
    anyio.run(metrics.collect, other)
    assert (asked, other.written) == ([], [])
