"""What callers of the gateway got lately, as Prometheus saw it."""

from __future__ import annotations

from harness.probes import prometheus
from harness.probes.settings import Settings

_INGRESS = 'envoy_http_conn_manager_prefix="ingress"'


def availability(window: str = "30s", configuration: Settings = None) -> float | None:
    """Return the share of requests that were answered below 500; None when there were none to judge by."""
    every = f"sum(rate(envoy_http_downstream_rq_xx{{{_INGRESS}}}[{window}]))"
    failed = f'sum(rate(envoy_http_downstream_rq_xx{{{_INGRESS},envoy_response_code_class="5"}}[{window}]))'
    return prometheus.value(f"1 - ({failed} or vector(0)) / {every}", configuration)


def latency(quantile: float = 0.99, window: str = "30s", configuration: Settings = None) -> float | None:
    """Return a quantile of the time to answer in seconds; None when there was nothing to answer."""
    buckets = f"sum by (le) (rate(envoy_http_downstream_rq_time_bucket{{{_INGRESS}}}[{window}]))"
    return prometheus.value(f"histogram_quantile({quantile}, {buckets}) / 1000", configuration)
