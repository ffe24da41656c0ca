"""What a metric can be answered, by name: as Prometheus does, as any service does that is asked by web, and wrongly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.judge.server import NO_STATUS
from harness.analysis.measuring import Answer
from harness.errors import ObservationFailed
from harness.probes import answers

MOMENT = 1764410400.5
HISTOGRAM = [MOMENT, {"count": "2", "sum": "3", "buckets": [[0, "0", "2", "2"]]}]


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: a status, 0 for none at all, and a body."""

    status: int
    body: str


def _data(kind: str, result: Any, **more: Any) -> Reply:
    return Reply(200, json.dumps({"status": "success", "data": {"resultType": kind, "result": result}, **more}))


def _vector(*values: str, **more: Any) -> Reply:
    samples = [{"metric": {"n": str(at)}, "value": [MOMENT, value]} for at, value in enumerate(values)]
    return _data("vector", samples, **more)


def _error(status: int, kind: str, said: str) -> Reply:
    return Reply(status, json.dumps({"status": "error", "errorType": kind, "error": said}))


SCALARS = ("0.99", "0.95", "0.7", "0.4", "0", "1", "NaN", "+Inf", "-Inf")
PROMETHEUS: Mapping[str, Reply] = {
    "[]": _vector(),
    **{f"[{value}]": _vector(value) for value in (*SCALARS, "0.00000012", "1000000000000000000000")},
    "[0.99,0.4]": _vector("0.99", "0.4"),
    "[0.99,NaN]": _vector("0.99", "NaN"),
    "[0.7,0.7,0.99]": _vector("0.7", "0.7", "0.99"),
    "[0.99] with a warning": _vector("0.99", warnings=["that was slow"]),
    **{value: _data("scalar", [MOMENT, value]) for value in SCALARS},
    "matrix": _data("matrix", [{"values": [[1, "0.99"], [2, "0.7"]]}, {"values": [[1, "0.4"]]}]),
    "histogram": _data("vector", [{"metric": {}, "histogram": HISTOGRAM}]),
    "HTTP 400": _error(400, "bad_data", 'invalid parameter "query": 1:1: parse error'),
    "HTTP 422": _error(422, "execution", "found duplicate series for the match group"),
    "HTTP 404": Reply(404, "404 page not found"),
    "HTTP 500": Reply(500, "Internal Server Error"),
    "HTTP 503": _error(503, "unavailable", "service unavailable"),
    "error with 200": _error(200, "timeout", "query timed out"),
    "text": _data("string", [MOMENT, "0.99"]),
    "no JSON": Reply(200, "<html>sign in</html>"),
    "cut off": Reply(200, '{"status": "success", "data": {"resultTy'),
    "nothing": Reply(NO_STATUS, ""),
}
WEB: Mapping[str, Reply] = {
    **{f"web {value}": Reply(200, json.dumps({"value": float(value)})) for value in ("0.99", "0.95", "0.7", "0.4")},
    "web 1": Reply(200, '{"value": 1}'),
    "web without it": Reply(200, '{"other": 1}'),
    "web HTTP 404": Reply(404, "404 page not found"),
    "web HTTP 500": Reply(500, "{}"),
}
REPLIES = {**PROMETHEUS, **WEB}
# What is said of these tells where a parser of JSON stopped, or what a socket did; here it is worded otherwise.
WORDED_OTHERWISE = frozenset({"text", "no JSON", "cut off", "nothing"})


def answer(name: str) -> Answer:
    """Return what the evaluator is given for a reply; of one by web, which it does not read, what its provider says."""
    reply = REPLIES[name]
    if name in WEB:
        return _by_web(reply)
    if reply.status == NO_STATUS:
        return Answer(None, "Prometheus gave no answer")
    try:
        return Answer(answers.read(reply.status, reply.body))
    except ObservationFailed as error:
        return Answer(None, error.what)


def _by_web(reply: Reply) -> Answer:
    if reply.status // 100 != 2:
        return Answer(None, f"received non 2xx response code: {reply.status}")
    body = json.loads(reply.body)
    if "value" not in body:
        return Answer(None, "Could not find JSONPath in body: value is not found")
    return Answer(float(body["value"]))
