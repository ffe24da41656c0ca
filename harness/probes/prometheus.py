"""Ask Prometheus; no data is None or nothing, never 0."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from requests import RequestException, Response, Session
from urllib3 import Retry

from harness.errors import ObservationFailed
from harness.probes import settings

SECONDS = 5.0

Labels = Mapping[str, str]


def value(query: str, configuration: settings.Settings = None) -> float | None:
    """Return the one value of an instant query, or None when there is no data.

    Raises ObservationFailed when Prometheus does not answer, or answers with several series.
    """
    found = vector(query, configuration)
    if len(found) > 1:
        raise ObservationFailed(
            f"the query has {len(found)} answers, one was wanted", where=query, hint="aggregate it: sum(...), max(...)"
        )
    return found[0][1] if found else None


def vector(query: str, configuration: settings.Settings = None) -> list[tuple[Labels, float]]:
    """Return the series of an instant query with their values; a value that is no number is left out."""
    result = _ask(configuration, query)
    pairs = [(entry["metric"], float(entry["value"][1])) for entry in result]
    return [(labels, number) for labels, number in pairs if math.isfinite(number)]


class _Session(Session):
    """A session whose requests end; not every version of the client passes a timeout on."""

    def request(self, *arguments: Any, **options: Any) -> Response:
        return super().request(*arguments, **{**options, "timeout": SECONDS})


def _ask(configuration: settings.Settings, query: str) -> list[dict[str, Any]]:
    url = settings.prometheus(configuration)
    with _Session() as session:
        session.trust_env = not settings.loopback(url)
        # A second try would hide the failure that is being measured.
        client = PrometheusConnect(url=url, retry=Retry(total=0), session=session)
        try:
            answer = client.custom_query(query, params={"timeout": f"{SECONDS:g}s"})
        except (PrometheusApiClientException, RequestException) as error:
            raise ObservationFailed("Prometheus gave no answer", where=f"{url} {query}", why=str(error)) from error
    if not isinstance(answer, list) or any("metric" not in entry for entry in answer):
        raise ObservationFailed("the query does not give series", where=query, hint="ask for a vector")
    return answer
