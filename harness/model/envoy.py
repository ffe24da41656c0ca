"""Name what a gateway's Envoy counts as Prometheus has it: its labels are those that Istio tells Envoy to make."""

from __future__ import annotations

EJECTIONS, CLUSTER = "envoy_cluster_outlier_detection_ejections_active", "cluster_name"
HEALTHY, ADDRESS = "envoy_cluster_endpoint_healthy", "envoy_endpoint_address"
MEMBERS = "envoy_cluster_membership_total"
ANSWERS, CLASS = "envoy_http_downstream_rq", "response_code_class"
# In milliseconds.
TIMES = "envoy_http_downstream_rq_time_bucket"
# What callers ask of the gateway, and not what Prometheus or a kubelet does.
_CALLERS = 'http_conn_manager_prefix=~"outbound_.*"'


def error_ratio(window: str) -> str:
    """Ask which share of the answers in a window was 500 or above: no number where nothing was answered.

    A call that never ended is in no share. Without a count of failures, be it 0, there is no data: where a counter is
    hidden until it counts, no rate sees the failures with which it begins.
    """
    failed = f'sum(rate({ANSWERS}{{{_CALLERS},{CLASS}="5xx"}}[{window}]))'
    return f'{failed} / sum(rate({ANSWERS}{{{_CALLERS},{CLASS}!=""}}[{window}]))'


def seconds(quantile: float, window: str) -> str:
    """Ask for a quantile of the time to answer in a window: no number where nothing was answered."""
    return f"histogram_quantile({quantile}, sum by (le) (rate({TIMES}{{{_CALLERS}}}[{window}]))) / 1000"
