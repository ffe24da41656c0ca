"""What a canary's controller is told by Prometheus: bare values, NaN included, or why there are none."""

from __future__ import annotations

import json
import math
from typing import Any

import httpx
import pytest

from harness.errors import ObservationFailed
from harness.probes import answers


def answered(monkeypatch: pytest.MonkeyPatch, body: Any, status: int = 200) -> list[httpx.Request]:
    """Let Prometheus answer that, and keep what it was asked."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status, text=body if isinstance(body, str) else json.dumps(body))

    real = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **more: real(transport=httpx.MockTransport(answer), **more))
    return asked


def data(kind: str, result: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}}


def ask(**more: Any) -> float | list[float]:
    return answers.ask("http://p:9090/prefix/", "up", **{"at": None, "timeout": 3.0} | more)


@pytest.mark.parametrize(
    ("kind", "result", "values"),
    [
        ("scalar", [1, "0.5"], 0.5),
        ("scalar", [1, "+Inf"], math.inf),
        ("vector", [], []),
        ("vector", [{"metric": {}, "value": [1, "2"]}, {"metric": {"a": "b"}, "value": [1, "3"]}], [2.0, 3.0]),
        ("matrix", [{"values": [[1, "2"], [2, "3"]]}, {"values": [[1, "4"]]}], [2.0, 3.0, 4.0]),
        # For the controller a native histogram has the value 0, and over a time none.
        ("vector", [{"metric": {}, "histogram": [1, {}]}, {"metric": {}, "value": [1, "3"]}], [0.0, 3.0]),
        ("matrix", [{"histograms": [[1, {}]]}, {"values": [[1, "4"]], "histograms": [[1, {}]]}], [4.0]),
    ],
)
def test_labels_are_dropped_and_series_put_together(
    monkeypatch: pytest.MonkeyPatch, kind: str, result: Any, values: Any
) -> None:
    answered(monkeypatch, data(kind, result))
    assert ask() == values


def test_nan_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    answered(monkeypatch, data("vector", [{"value": [1, "NaN"]}]))
    found = ask()
    assert isinstance(found, list)
    assert math.isnan(found[0])


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (data("string", [1, "x"]), 200, answers.UNSUPPORTED),
        ({"status": "error", "errorType": "bad_data", "error": "parse error"}, 400, "bad_data: parse error"),
        ({"status": "error", "errorType": "execution", "error": "many-to-many"}, 422, "execution: many-to-many"),
        # What such an answer holds is not read there, be it Prometheus' own.
        ({"status": "error", "errorType": "unavailable", "error": "starting"}, 503, "server_error: server error: 503"),
        ("<html>", 502, "server_error: server error: 502"),
        ("no such page", 404, "client_error: client error: 404"),
        ("", 304, "bad_response: bad response code 304"),
        (data("vector", []), 400, "bad_response: inconsistent body for response code"),
        ("<html>", 200, "bad_response: HTTP 200, and not Prometheus' JSON"),
        ([], 200, "bad_response: HTTP 200"),
        (data("vector", [{"value": []}]), 200, "bad_response: HTTP 200"),
        (data("vector", [{"metric": {}}, "x"]), 200, "bad_response: HTTP 200"),
    ],
)
def test_no_answer_says_why(monkeypatch: pytest.MonkeyPatch, body: Any, status: int, said: str) -> None:
    answered(monkeypatch, body, status)
    with pytest.raises(ObservationFailed) as error:
        ask()
    assert error.value.what.startswith(said)


def test_a_moment_of_the_past_is_asked_about_only_where_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answered(monkeypatch, data("vector", []))
    ask()
    ask(at=1764410400.25)
    assert str(asked[0].url) == "http://p:9090/prefix/api/v1/query"
    assert b"time=" not in asked[0].read()
    assert b"query=up&timeout=3s&time=1764410400.250" in asked[1].read()


def test_who_takes_no_post_is_asked_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(405) if request.method == "POST" else httpx.Response(200, json=data("scalar", [1, "2"]))

    real = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **more: real(transport=httpx.MockTransport(answer), **more))
    assert ask() == 2.0
