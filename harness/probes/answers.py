"""Ask Prometheus as a canary's controller does: a scalar or bare values come back, NaN and infinity too."""

from __future__ import annotations

import json
from typing import Any

import httpx

from harness.errors import ObservationFailed
from harness.probes import settings

# What a proxy that lets only reading requests through says; Prometheus' own client asks once more, too.
NO_POST = (405, 501)
# Only with these is the answer's own reason read.
WITH_REASON = (400, 422)
UNSUPPORTED = "Prometheus metric type not supported"


def ask(url: str, query: str, *, at: float | None, timeout: float) -> float | list[float]:
    """Return a scalar, or the values of a vector or of a matrix, one series after the other.

    `at` is a time in seconds since 1970, None is now; `timeout` is in seconds. Raises ObservationFailed when Prometheus
    does not answer, refuses the query, or answers with a text.
    """
    parameters: dict[str, str | float] = {"query": query, "timeout": f"{timeout:g}s"}
    if at is not None:
        parameters["time"] = f"{at:.3f}"
    try:
        with httpx.Client(timeout=timeout, trust_env=not settings.loopback(url)) as client:
            where = f"{url.rstrip('/')}/api/v1/query"
            answer = client.post(where, data=parameters)
            if answer.status_code in NO_POST:
                answer = client.get(where, params=parameters)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ObservationFailed(f"Prometheus gave no answer: {type(error).__name__}: {error}") from error
    return read(answer.status_code, answer.text)


def read(status: int, text: str) -> float | list[float]:
    """Return what an answer holds; raises ObservationFailed with the words of Prometheus' own client.

    What that client does not read at all it words by the place where its parser stopped, and that is not told here.
    """
    if status // 100 != 2 and status not in WITH_REASON:
        words = {4: "client_error: client error:", 5: "server_error: server error:"}
        raise ObservationFailed(f"{words.get(status // 100, 'bad_response: bad response code')} {status}")
    try:
        body = json.loads(text)
        if body.get("status") == "error":
            raise ObservationFailed(f"{body.get('errorType')}: {body.get('error')}")
        if status in WITH_REASON:
            raise ObservationFailed("bad_response: inconsistent body for response code")
        return _values(body["data"]["resultType"], body["data"]["result"])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ObservationFailed(f"bad_response: HTTP {status}, and not Prometheus' JSON") from error


def _values(kind: str, result: Any) -> float | list[float]:
    if kind == "scalar":
        return float(result[1])
    if kind == "vector":
        # A native histogram has no value there: it is 0.
        return [0.0 if "histogram" in one else float(one["value"][1]) for one in result]
    if kind == "matrix":
        return [float(value) for one in result for _, value in one.get("values", ())]
    raise ObservationFailed(UNSUPPORTED)
