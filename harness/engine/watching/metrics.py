"""Fetch the run's own stretch of Prometheus' memory once, when the run is over: what objectives and the cause read."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from harness.checkers import OBJECTIVES
from harness.cluster.local import LocalCluster
from harness.engine.session import Session
from harness.errors import ObservationFailed, UsageError
from harness.load import spec
from harness.model import envoy
from harness.probes import settings

VARIABLE = "HARNESS_PROMETHEUS"
PROMETHEUS = "http://127.0.0.1:19090"
STEP_SECONDS = 1
# Prometheus' names, ours, and the label that our series is named for; what else a series is told apart by is a pod, a
# container or an outcome, and series that differ in nothing of it are added.
NAMES = {
    "breaker_state": ("breaker", "dependency"),
    "breaker_fast_failures_total": ("breaker_fast_failures", "dependency"),
    "client_attempts_total": ("client_attempts", "dependency"),
    "client_calls_total": ("client_calls", "dependency"),
    "http_request_duration_seconds_count": ("requests", "service"),
    "http_request_duration_seconds_sum": ("request_seconds", "service"),
    "container_cpu_cfs_periods_total": ("cpu_periods", "namespace"),
    "container_cpu_cfs_throttled_periods_total": ("cpu_throttled_periods", "namespace"),
    envoy.HEALTHY: ("ejected", envoy.ADDRESS),
    envoy.EJECTIONS: ("ejections", envoy.CLUSTER),
}
SERIES = f'{{__name__=~"{"|".join(NAMES)}"}}'
UNNAMED = "no Prometheus of this cluster is named; set HARNESS_PROMETHEUS to its address"
Found = list[dict[str, Any]]


def require() -> None:
    """Refuse an address of Prometheus in the environment that is none; raises UsageError."""
    named = os.environ.get(VARIABLE)
    if not named:
        return
    spec.require_url(named, VARIABLE)
    try:
        httpx.URL(named)
    except httpx.InvalidURL as error:
        raise UsageError(f"{named!r} is no URL", where=VARIABLE, why=str(error)) from None


async def collect(session: Session) -> None:
    """Write what Prometheus saw of the run into the journal; no answer is written down as no data."""
    checkers = {one.checker for one in session.experiment.objectives}
    asked = [SERIES] if session.experiment.load else []
    asked += [query for name, kind in OBJECTIVES.items() if name in checkers for query in kind.asks]
    if not asked:
        return
    url = address(session.cluster)
    if url is None:
        session.write("sample", series="prometheus", value=None, labels={"error": UNNAMED})
        return
    end, ran = time.time(), session.journal.now()
    # Whole steps back from the end: the last answer is of the last moment, when breakers must be closed again.
    start = end - math.ceil(ran / STEP_SECONDS) * STEP_SECONDS
    for query in asked:
        try:
            found = await _ask(url, "query_range", {"query": query, "start": start, "end": end, "step": STEP_SECONDS})
        except ObservationFailed as error:
            session.write("sample", series="prometheus", value=None, labels={"error": error.why})
            continue
        _write(session, found, start, end - ran)


async def value(query: str, session: Session) -> float | None:
    """Ask for one number as it is now; None when Prometheus is away, has none, or is not that of the run's cluster."""
    found = await vector(query, session)
    return float(found[0]["value"][1]) if found else None


async def vector(query: str, session: Session) -> list[dict[str, Any]] | None:
    """Ask for every series of a query as it is now; None when Prometheus is away or not that of the run's cluster."""
    url = address(session.cluster)
    if url is None:
        return None
    try:
        return await _ask(url, "query", {"query": query})
    except ObservationFailed:
        return None


async def alerts(cluster: LocalCluster | None) -> list[Mapping[str, Any]] | None:
    """Return the alerting rules with their names, labels and states; None where nobody said where Prometheus is.

    Raises ObservationFailed where it does not answer.
    """
    url = address(cluster)
    if url is None:
        return None
    groups = await _ask(url, "rules", {"type": "alert"}, of="groups")
    return [rule for group in groups for rule in group.get("rules") or ()]


def address(cluster: LocalCluster | None) -> str | None:
    """Return the address of a cluster's own Prometheus: the local one knows nothing of another cluster."""
    named = os.environ.get(VARIABLE)
    if cluster is None:
        return named
    return named if named and settings.loopback(named) else PROMETHEUS


async def _ask(url: str, what: str, parameters: dict[str, str | float], of: str = "result") -> Found:
    try:
        async with httpx.AsyncClient(base_url=url, timeout=10, trust_env=not settings.loopback(url)) as client:
            answer = await client.get(f"/api/v1/{what}", params=parameters)
            answer.raise_for_status()
            found: Found = answer.json()["data"][of]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise ObservationFailed(
            "Prometheus gave no answer", where=url, why=f"{type(error).__name__}: {error}", hint="harness doctor"
        ) from error
    return found


def _write(session: Session, found: Found, start: float, origin: float) -> None:
    """Write one event for each series: its first moment, its step, its values with None where there is none."""
    pods = _pods(found)
    if pods:
        session.write("addresses", pods=pods)
    added: dict[tuple[str, tuple[tuple[str, str], ...]], dict[int, float]] = {}
    for one in found:
        metric: Mapping[str, str] = one["metric"]
        named, label = NAMES.get(metric.get("__name__", ""), ("prometheus", ""))
        about = metric.get(label, "") if label else "error-ratio"
        if named == "ejected":
            about = pods.get(_host(about), _host(about))
        labels = {key: metric[key] for key in ("pod", "container", "outcome") if metric.get(key)}
        if named.startswith("cpu_") and "container" not in labels:
            continue  # the pod as a whole, in which its containers are counted once more
        values = added.setdefault((f"{named}/{about}", tuple(labels.items())), {})
        for at, text in one["values"]:
            step = round((at - start) / STEP_SECONDS)
            values[step] = values.get(step, 0.0) + (1.0 - float(text) if named == "ejected" else float(text))
    for (name, labels_of), values in added.items():
        first, last = min(values), max(values)
        session.write(
            "series",
            series=name,
            labels=dict(labels_of),
            start=start + first * STEP_SECONDS - origin,
            step=STEP_SECONDS,
            values=[values.get(step) for step in range(first, last + 1)],
        )


def _pods(found: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Tell whose address is whose, as the scrapes of the services themselves say."""
    metrics = (one["metric"] for one in found)
    return {_host(one["instance"]): one["pod"] for one in metrics if one.get("service") and one.get("pod")}


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")
