"""Fetch the run's own stretch of Prometheus' memory once, when the run is over: breakers, attempts, error ratio."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from typing import Any

import httpx

from harness.engine.session import Session
from harness.errors import ObservationFailed
from harness.probes import settings

PROMETHEUS = "http://127.0.0.1:19090"
STEP_SECONDS = 1
NAMES = {
    "breaker_state": ("breaker", "dependency"),
    "breaker_fast_failures_total": ("breaker_fast_failures", "dependency"),
    "client_attempts_total": ("client_attempts", "dependency"),
    "client_calls_total": ("client_calls", "dependency"),
}
CLIENTS = f'{{__name__=~"{"|".join(NAMES)}"}}'
# Five scrapes wide: long enough for a rate, short enough to show one fault.
_INGRESS = 'envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="ingress"'
ERROR_RATIO = (
    f'(sum(rate({_INGRESS},envoy_response_code_class="5"}}[10s])) or vector(0)) / sum(rate({_INGRESS}}}[10s]))'
)
QUERIES = {"breaker": CLIENTS, "burn-rate": ERROR_RATIO}
UNNAMED = "no Prometheus of this cluster is named; set HARNESS_PROMETHEUS to its address"


async def collect(session: Session) -> None:
    """Write every sample that an objective needs into the journal; no answer is written down as no data."""
    asked = {QUERIES[one.checker] for one in session.experiment.objectives if one.checker in QUERIES}
    if not asked:
        return
    url = _address(session)
    if url is None:
        session.write("sample", series="prometheus", value=None, labels={"error": UNNAMED})
        return
    end, ran = time.time(), session.journal.now()
    # Whole steps back from the end: the last answer is of the last moment, when breakers must be closed again.
    start = end - math.ceil(ran / STEP_SECONDS) * STEP_SECONDS
    for query in sorted(asked):
        try:
            found = await _ask(url, "query_range", {"query": query, "start": start, "end": end, "step": STEP_SECONDS})
        except ObservationFailed as error:
            session.write("sample", series="prometheus", value=None, labels={"error": error.why})
            continue
        for series in found:
            _write(session, series, end - ran)


async def value(query: str, session: Session) -> float | None:
    """Ask for one number as it is now; None when Prometheus is away, has none, or is not that of the run's cluster."""
    found = await vector(query, session)
    return float(found[0]["value"][1]) if found else None


async def vector(query: str, session: Session) -> list[dict[str, Any]] | None:
    """Ask for every series of a query as it is now; None when Prometheus is away or not that of the run's cluster."""
    url = _address(session)
    if url is None:
        return None
    try:
        return await _ask(url, "query", {"query": query})
    except ObservationFailed:
        return None


def _address(session: Session) -> str | None:
    """Give the address of the run's own Prometheus: the local one knows nothing of another cluster, nor it of ours."""
    named = os.environ.get("HARNESS_PROMETHEUS")
    if session.cluster is None:
        return named
    return named if named and settings.loopback(named) else PROMETHEUS


async def _ask(url: str, what: str, parameters: dict[str, str | float]) -> list[dict[str, Any]]:
    try:
        async with httpx.AsyncClient(base_url=url, timeout=10, trust_env=not settings.loopback(url)) as client:
            answer = await client.get(f"/api/v1/{what}", params=parameters)
            answer.raise_for_status()
            found: list[dict[str, Any]] = answer.json()["data"]["result"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise ObservationFailed(
            "Prometheus gave no answer", where=url, why=f"{type(error).__name__}: {error}", hint="harness doctor"
        ) from error
    return found


def _write(session: Session, series: Mapping[str, Any], origin: float) -> None:
    metric: Mapping[str, str] = series["metric"]
    labels = {key: metric[key] for key in ("pod", "outcome") if key in metric}
    prefix, label = NAMES.get(metric.get("__name__", ""), ("prometheus", ""))
    name = f"{prefix}/{metric.get(label, '')}" if label else f"{prefix}/error-ratio"
    for at, value in series["values"]:
        session.write("sample", series=name, value=float(value), labels=labels, time=at - origin)
