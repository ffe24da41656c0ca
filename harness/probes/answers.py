"""Ask Prometheus as a canary's controller does: a scalar or bare values come back, NaN and infinity too."""

from __future__ import annotations

from typing import Any

import httpx

from harness.errors import ObservationFailed
from harness.probes import settings

# What a proxy that lets only reading requests through says; Prometheus' own client asks once more, too.
NO_POST = (405, 501)
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
        body = answer.json()
        if body.get("status") == "error":
            raise ObservationFailed(f"{body.get('errorType')}: {body.get('error')}")
        answer.raise_for_status()
        return _values(body["data"]["resultType"], body["data"]["result"])
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ObservationFailed(f"Prometheus gave no answer: {type(error).__name__}: {error}") from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ObservationFailed(f"Prometheus gave no answer: HTTP {answer.status_code}, and not its JSON") from error


def _values(kind: str, result: Any) -> float | list[float]:
    if kind == "scalar":
        return float(result[1])
    if kind == "vector" and all("value" in one for one in result):
        return [float(one["value"][1]) for one in result]
    if kind == "matrix" and all("values" in one for one in result):
        return [float(value) for one in result for _, value in one["values"]]
    raise ObservationFailed(UNSUPPORTED)
