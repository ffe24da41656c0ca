from __future__ import annotations

from typing import Any

import pytest

from harness.errors import ObservationFailed, PreconditionFailed, UsageError
from harness.model import envoy
from harness.probes import http, settings
from harness.probes import prometheus as questions
from probes import breaker, gateway, slo
from tests.unit.stack import scraped


def test_no_data_is_none_and_never_0(prometheus: Any) -> None:
    prometheus.samples()
    assert slo.availability() is None
    assert slo.latency() is None
    assert breaker.state("registry") is None
    assert breaker.open_breakers("registry") is None


@pytest.mark.parametrize("ask", [slo.availability, slo.latency])
def test_what_callers_got_is_known_from_the_gateways_first_answer_on(prometheus: Any, ask: Any) -> None:
    prometheus.held = scraped.of_gateway()
    prometheus.samples(({}, "0.5"))
    assert ask() == 0.5


def test_where_nobody_counts_failures_it_is_not_known_that_there_are_none(prometheus: Any) -> None:
    prometheus.held = [one for one in scraped.of_gateway() if one.labels.get(envoy.CLASS) != "5xx"]
    prometheus.samples(({}, "1"))
    assert slo.availability() is None


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


def test_prometheus_is_asked_once(prometheus: Any) -> None:
    prometheus.hang_up = True
    with pytest.raises(ObservationFailed, match="no answer"):
        questions.value("up")
    assert len(prometheus.asked) == 1


def test_the_gateways_host_may_be_named_for_a_whole_run(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_HOST", "shop.example")
    gateway.status(server.url)
    monkeypatch.setenv("HARNESS_HOST", "")
    gateway.status(server.url)
    assert server.hosts == ["shop.example", "api.claude-ecosystem.com"]


@pytest.mark.parametrize("url", ["htp://x", "http://127.0.0.1:port", "127.0.0.1:1"])
def test_what_cannot_be_asked_is_an_error_and_not_a_silent_server(url: str) -> None:
    with pytest.raises(UsageError, match="cannot be asked"):
        http.status(url)


def test_a_host_that_no_header_can_hold_is_an_error(server: Any) -> None:
    with pytest.raises(UsageError, match="cannot be asked"):
        http.status(server.url, host="a\nb")


def test_a_proxy_is_not_asked_for_this_machine(server: Any, prometheus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.answers["/"] = (200, {})
    assert http.status(f"{server.url}/") == 200
    prometheus.samples(({}, "1"))
    assert questions.value("up") == 1


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("http://localhost:1", True),
        ("http://127.0.0.9", True),
        ("https://[::1]:6443", True),
        ("http://10.0.0.1", False),
    ],
)
def test_this_machine_is_known_by_its_addresses(url: str, ours: bool) -> None:
    assert settings.loopback(url) is ours


@pytest.mark.parametrize(("context", "local"), [("staging", ""), ("kind-chaos-local", ""), ("kind-chaos-local", "0")])
def test_another_cluster_is_not_judged_by_the_local_ones_answers(
    monkeypatch: pytest.MonkeyPatch, context: str, local: str
) -> None:
    monkeypatch.setenv("HARNESS_CONTEXT", context)
    monkeypatch.setenv("HARNESS_LOCAL", local)
    monkeypatch.delenv("HARNESS_GATEWAY", raising=False)
    monkeypatch.delenv("HARNESS_PROMETHEUS", raising=False)
    with pytest.raises(PreconditionFailed, match="where the gateway of this cluster is") as failed:
        gateway.status()
    assert failed.value.hint.startswith("HARNESS_GATEWAY=")
    with pytest.raises(PreconditionFailed, match="where Prometheus of this cluster is"):
        slo.availability()


def test_the_local_cluster_needs_no_naming(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_GATEWAY", raising=False)
    monkeypatch.setenv("HARNESS_CONTEXT", "kind-chaos-local")
    monkeypatch.setenv("HARNESS_LOCAL", "1")
    assert settings.gateway(None) == settings.GATEWAY
    assert settings.prometheus(None) == settings.PROMETHEUS
    monkeypatch.delenv("HARNESS_CONTEXT")
    monkeypatch.delenv("HARNESS_LOCAL")
    assert settings.gateway(None) == settings.GATEWAY


@pytest.mark.parametrize("text", ["0", "2"])
def test_the_ejected_hosts_are_counted(prometheus: Any, text: str) -> None:
    prometheus.samples(({}, text))
    assert gateway.ejected() == int(text)


def test_ejections_that_nobody_counts_are_an_error_and_not_0(prometheus: Any) -> None:
    prometheus.samples()
    with pytest.raises(ObservationFailed, match="nobody counts"):
        gateway.ejected()
