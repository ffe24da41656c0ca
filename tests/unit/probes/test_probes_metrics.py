from __future__ import annotations

from typing import Any

import pytest

from harness.errors import ObservationFailed
from harness.probes import prometheus as questions
from probes import breaker, gateway, slo


def test_no_data_is_none_and_never_0(prometheus: Any) -> None:
    prometheus.samples()
    assert slo.availability() is None
    assert slo.latency() is None
    assert breaker.state("registry") is None
    assert breaker.open_breakers("registry") is None


@pytest.mark.parametrize("text", ["NaN", "+Inf"])
def test_a_value_that_is_no_number_is_no_data(prometheus: Any, text: str) -> None:
    prometheus.samples(({}, text))
    assert slo.availability() is None


def test_availability_is_asked_over_the_window(prometheus: Any) -> None:
    prometheus.samples(({}, "0.995"))
    assert slo.availability("10s") == 0.995
    assert "[10s]" in prometheus.asked[-1][1]["query"]


@pytest.mark.parametrize(("number", "state"), [("0", "closed"), ("1", "half-open"), ("2", "open")])
def test_the_breakers_state_has_a_name(prometheus: Any, number: str, state: str) -> None:
    prometheus.samples(({}, number))
    assert breaker.state("claude-tool-router") == state
    assert 'dependency="claude-tool-router"' in prometheus.asked[-1][1]["query"]


def test_open_breakers_are_counted_by_pod(prometheus: Any) -> None:
    prometheus.samples(({"pod": "a"}, "2"), ({"pod": "b"}, "0"), ({"pod": "c"}, "2"))
    assert breaker.open_breakers("registry") == 2


def test_several_answers_to_a_question_for_one_are_refused(prometheus: Any) -> None:
    prometheus.samples(({"pod": "a"}, "2"), ({"pod": "b"}, "0"))
    with pytest.raises(ObservationFailed, match="2 answers"):
        questions.value("breaker_state")


def test_a_range_keeps_its_gaps(prometheus: Any) -> None:
    values = [[1700000000, "1"], [1700000001, "NaN"], [1700000003, "3"]]
    result = [{"metric": {"pod": "a"}, "values": values}]
    data = {"status": "success", "data": {"resultType": "matrix", "result": result}}
    prometheus.answers["/api/v1/query_range"] = (200, data)
    assert questions.series("up", 1700000000, 1700000003) == [
        ({"pod": "a"}, [(1700000000.0, 1.0), (1700000003.0, 3.0)])
    ]
    asked = prometheus.asked[-1][1]
    assert (float(asked["start"]), float(asked["end"]), asked["step"]) == (1700000000, 1700000003, "1")


def test_a_query_prometheus_refuses_is_an_error_with_its_words(prometheus: Any) -> None:
    prometheus.answers["/api/v1/query"] = (400, {"status": "error", "error": "parse error at char 3"})
    with pytest.raises(ObservationFailed, match="parse error"):
        questions.value("sum(")


def test_a_prometheus_that_is_away_is_an_error() -> None:
    with pytest.raises(ObservationFailed, match="no answer"):
        questions.value("up", {"prometheus_base_url": "http://127.0.0.1:1"})


def test_the_gateway_is_asked_under_its_name(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers["/api/v1/agents/agent-1"] = (200, {})
    assert gateway.status(server.url) == 200
    assert server.hosts == ["api.claude-ecosystem.com"]
    monkeypatch.setenv("HARNESS_GATEWAY", server.url)
    assert gateway.status(host="other.example", path="/nowhere") == 404
    assert server.hosts[-1] == "other.example"


def test_a_gateway_that_does_not_answer_is_0() -> None:
    assert gateway.status("http://127.0.0.1:1", timeout=1) == 0
