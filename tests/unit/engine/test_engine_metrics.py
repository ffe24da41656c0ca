"""Prometheus is asked only where it is the run's own; no answer is written down as no data."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from harness.engine.watching import metrics
from harness.errors import UsageError
from harness.model.objective import Objective
from tests.unit.engine.test_engine_traffic import WRONG


class Asked(list[str]):
    """The addresses that were asked; each answers one series, or what a test wants."""

    answers: list[dict[str, Any]]

    async def __call__(self, url: str, what: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        self.append(url)
        found = [{"metric": {}, "values": [[parameters.get("end", 0), "0.25"]], "value": [0, "2"]}]
        return self.answers or found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    found = Asked()
    found.answers = []
    monkeypatch.setattr(metrics, "_ask", found)
    monkeypatch.delenv("HARNESS_PROMETHEUS", raising=False)
    return found


def session(*checkers: str, cluster: object = None, load: object = None) -> Any:
    written: list[dict[str, Any]] = []
    return SimpleNamespace(
        cluster=cluster,
        experiment=SimpleNamespace(objectives=[Objective(name) for name in checkers], load=load),
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


@pytest.mark.parametrize("url", [*WRONG, "http://prom\x7f"])
def test_a_prometheus_that_is_no_address_is_refused_by_its_variable(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HARNESS_PROMETHEUS", url)
    with pytest.raises(UsageError, match=r"HARNESS_PROMETHEUS: .* is no"):
        metrics.require()


def test_a_prometheus_that_is_no_address_gives_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_PROMETHEUS", "http://[::")
    assert anyio.run(metrics.value, "up", session()) is None


def test_a_prometheus_behind_a_path_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_PROMETHEUS", "https://prometheus.example/team")
    metrics.require()


def test_the_local_cluster_has_the_local_prometheus(asked: Asked) -> None:
    local = session("burn-rate", cluster=object())
    anyio.run(metrics.collect, local)
    assert asked == [metrics.PROMETHEUS]
    assert [(one["series"], one["values"]) for one in local.written] == [("prometheus/error-ratio", [0.25])]
    assert anyio.run(metrics.value, "up", local) == 2.0


def test_a_prometheus_that_is_named_is_asked_whatever_the_cluster(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_PROMETHEUS", "http://prometheus.example")
    anyio.run(metrics.collect, session("breaker", load=object()))
    assert asked == ["http://prometheus.example"]


@pytest.mark.parametrize("checker", ["availability", "retries"])
def test_a_run_without_load_has_no_calls_to_explain(asked: Asked, checker: str) -> None:
    other = session(checker, cluster=object())
    anyio.run(metrics.collect, other)
    assert (asked, other.written) == ([], [])


def test_what_could_explain_a_failure_is_asked_for_in_one_query(asked: Asked) -> None:
    anyio.run(metrics.collect, session("availability", "breaker", cluster=object(), load=object()))
    assert len(asked) == 1


def test_a_prometheus_that_is_away_is_written_down_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_PROMETHEUS", "http://127.0.0.1:9")
    local = session("availability", cluster=object(), load=object())
    anyio.run(metrics.collect, local)
    assert [(one["series"], one["value"]) for one in local.written] == [("prometheus", None)]


def found(name: str, values: list[tuple[float, str]], **labels: str) -> dict[str, Any]:
    return {"metric": {"__name__": name, **labels}, "values": values}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> float:
    """The run began at 1000 and has lasted ten seconds."""
    monkeypatch.setattr(metrics, "time", SimpleNamespace(time=lambda: 1010.0))
    return 1000.0


def collected(asked: Asked, *answers: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what was written of these answers, by series."""
    asked.answers = list(answers)
    local = session(cluster=object(), load=object())
    anyio.run(metrics.collect, local)
    return {one.get("series", "addresses"): one for one in local.written}


def test_a_series_keeps_its_moments_and_its_gaps(asked: Asked, clock: float) -> None:
    state = found("breaker_state", [(clock + 2, "0"), (clock + 3, "2"), (clock + 6, "2")], pod="a", dependency="mail")
    one = collected(asked, state)["breaker/mail"]
    assert (one["start"], one["step"], one["values"]) == (2.0, 1, [0.0, 2.0, None, None, 2.0])
    assert one["labels"] == {"pod": "a"}


def test_paths_of_a_service_are_one_series_and_its_address_tells_whose_it_is(asked: Asked, clock: float) -> None:
    common = {"service": "mail", "pod": "a", "instance": "10.0.0.7:9090"}
    paths = [
        found("http_request_duration_seconds_count", [(clock + 1, count)], path=path, **common)
        for path, count in (("/x", "2"), ("/y", "3"))
    ]
    written = collected(asked, *paths)
    assert written["requests/mail"]["values"] == [5.0]
    assert written["addresses"]["pods"] == {"10.0.0.7": "a"}


def test_a_host_that_the_gateway_ejected_is_named_as_a_pod_where_its_address_is_known(
    asked: Asked, clock: float
) -> None:
    known = found(
        "http_request_duration_seconds_count", [(clock, "1")], service="mail", pod="a", instance="10.0.0.7:9090"
    )
    hosts = [
        found("envoy_cluster_endpoint_healthy", [(clock, "1"), (clock + 1, "0")], envoy_endpoint_address=f"{ip}:8080")
        for ip in ("10.0.0.7", "10.0.0.8")
    ]
    written = collected(asked, known, *hosts)
    assert written["ejected/a"]["values"] == written["ejected/10.0.0.8"]["values"] == [0.0, 1.0]


def test_what_a_limit_held_back_is_counted_by_container_not_once_more_by_pod(asked: Asked, clock: float) -> None:
    name, labels = "container_cpu_cfs_periods_total", {"namespace": "shop", "pod": "a"}
    written = collected(
        asked, found(name, [(clock, "9")], **labels), found(name, [(clock, "4")], container="c", **labels)
    )
    assert [(one["labels"], one["values"]) for one in written.values()] == [({"pod": "a", "container": "c"}, [4.0])]
