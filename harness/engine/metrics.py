"""Fetch the run's own stretch of Prometheus' memory once, when the run is over: breakers, attempts, fast failures."""

from __future__ import annotations

import os
import time

import httpx

from harness.engine.session import Session

PROMETHEUS = "http://127.0.0.1:19090"
STEP_SECONDS = 1
SERIES = {
    "breaker_state": ("breaker", "dependency"),
    "breaker_fast_failures_total": ("breaker_fast_failures", "dependency"),
    "client_attempts_total": ("client_attempts", "dependency"),
    "client_calls_total": ("client_calls", "dependency"),
    "upstream_received_total": ("upstream_received", "service"),
}
NEEDED_BY = frozenset({"breaker", "retries", "burn-rate"})


async def collect(session: Session) -> None:
    """Write every sample of the run's metrics into the journal; no answer is written down as no data."""
    if not NEEDED_BY & {objective.checker for objective in session.experiment.objectives}:
        return
    url = os.environ.get("HARNESS_PROMETHEUS", PROMETHEUS)
    end = time.time()
    start = end - session.journal.now()
    params: dict[str, str | float] = {
        "query": f'{{__name__=~"{"|".join(SERIES)}"}}',
        "start": start,
        "end": end,
        "step": STEP_SECONDS,
    }
    try:
        async with httpx.AsyncClient(timeout=10) as client:
            answer = await client.get(f"{url}/api/v1/query_range", params=params)
            answer.raise_for_status()
            result = answer.json()["data"]["result"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        session.write("sample", series="prometheus", value=None, labels={"error": f"{type(error).__name__}: {error}"})
        return
    for found in result:
        metric = found["metric"]
        prefix, label = SERIES[metric["__name__"]]
        labels = {key: metric[key] for key in ("pod", "outcome") if key in metric}
        for at, value in found["values"]:
            session.write(
                "sample",
                series=f"{prefix}/{metric.get(label, '')}",
                value=float(value),
                labels=labels,
                time=at - start,
            )
