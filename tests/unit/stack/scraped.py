"""What the stack's Prometheus holds after a gateway's first answer, by its settings, and what a query finds there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from harness.cluster.cache import project_root
from harness.stack import overlays

# Told by Envoy 1.40 with the tags of Istio's template and one direct answer; of each family the lines that are read.
GATEWAY = """
envoy_cluster_upstream_rq_total{cluster_name="outbound|80|stable|shop.shop.svc.cluster.local"} 0
envoy_http_downstream_rq{response_code_class="1xx",http_conn_manager_prefix="outbound_0.0.0.0_8080"} 0
envoy_http_downstream_rq{response_code_class="2xx",http_conn_manager_prefix="outbound_0.0.0.0_8080"} 1
envoy_http_downstream_rq{response_code_class="3xx",http_conn_manager_prefix="outbound_0.0.0.0_8080"} 0
envoy_http_downstream_rq{response_code_class="4xx",http_conn_manager_prefix="outbound_0.0.0.0_8080"} 0
envoy_http_downstream_rq{response_code_class="5xx",http_conn_manager_prefix="outbound_0.0.0.0_8080"} 0
envoy_http_downstream_rq_completed{http_conn_manager_prefix="outbound_0.0.0.0_8080"} 1
envoy_cluster_membership_total{cluster_name="outbound|80|stable|shop.shop.svc.cluster.local"} 1
envoy_cluster_outlier_detection_ejections_active{cluster_name="outbound|80|stable|shop.shop.svc.cluster.local"} 0
envoy_http_downstream_rq_time_bucket{http_conn_manager_prefix="outbound_0.0.0.0_8080",le="0.5"} 1
envoy_http_downstream_rq_time_bucket{http_conn_manager_prefix="outbound_0.0.0.0_8080",le="+Inf"} 1
envoy_cluster_endpoint_healthy{envoy_cluster_name="outbound|80|stable|shop;",envoy_endpoint_address="10.0.0.7:8080"} 1
"""
# Of a kubelet.
CONTAINERS = """
container_cpu_cfs_periods_total{container="orchestrator",namespace="claude-ecosystem-prod",pod="a"} 9
container_cpu_cfs_throttled_periods_total{container="orchestrator",namespace="claude-ecosystem-prod",pod="a"} 0
"""
_SUFFIXES: dict[str, dict[str, tuple[str, ...]]] = {
    "Counter": {"": ()},
    "Gauge": {"": ()},
    "Histogram": {"_bucket": ("le",), "_sum": (), "_count": ()},
}
_NAMERS = ("http_conn_manager_prefix", "cluster_name", "envoy_cluster_name")
_LINE = re.compile(r"^([a-z_0-9]+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)(=~|!=|!~|=)"(.*?)"')
_SELECTOR = re.compile(r"\b([a-z_]\w*)?(\{[^}]*\})|\b([a-z_]\w*)(?!\w|\s*\()")
_BY = re.compile(r"\bby \(([^)]*)\)")
_WORDS = frozenset({"or", "and", "unless"})


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    labels: dict[str, str]
    value: float

    @property
    def stat(self) -> str:
        """What Envoy itself calls it: the tag out of its name stands there again."""
        kind, _, rest = self.name.removeprefix("envoy_").partition("_")
        whose = next((self.labels[label] for label in _NAMERS if label in self.labels), "")
        return f"{kind}.{whose};.{rest}"


def told(text: str) -> list[Series]:
    """Read what is told in Prometheus' format."""
    found = [(name, labels or "", value) for name, labels, value in _LINE.findall(text)]
    return [Series(name, {key: of for key, _, of in _LABEL.findall(labels)}, float(n)) for name, labels, n in found]


def jobs() -> list[dict[str, Any]]:
    """Return what Prometheus is told to scrape."""
    text = (overlays.manifests() / "base" / "prometheus-config.yml").read_text()
    found: list[dict[str, Any]] = yaml.safe_load(text)["scrape_configs"]
    return found


def of_gateway() -> list[Series]:
    """Return what Prometheus holds of a gateway: what its jobs ask for, and then keep."""
    return [one for job in jobs() if job["job_name"].startswith("gateway") for one in _kept(job, told(GATEWAY))]


def of_containers() -> list[Series]:
    """Return what Prometheus holds of a node's containers."""
    return [one for job in jobs() if job["job_name"] == "containers" for one in _kept(job, told(CONTAINERS))]


def of_services() -> list[Series]:
    """Return what a service counts, by the names and labels in its source: its client for these is not installed."""
    found = []
    for call in ast.walk(ast.parse((project_root() / "stack/services/claude_services/metrics.py").read_text())):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in _SUFFIXES:
            name, _, *rest = map(ast.literal_eval, call.args)
            labels = rest[0] if rest else []
            # The discovery adds whose they are.
            values = {**dict.fromkeys(labels, "x"), "code": "500", "pod": "claude-orchestrator-rollout-x-1", "le": "1"}
            found += [
                Series(name + suffix, {label: values[label] for label in [*labels, "pod", *more]}, 1)
                for suffix, more in _SUFFIXES[call.func.id].items()
            ]
    return found


def _kept(job: dict[str, Any], series: Iterable[Series]) -> list[Series]:
    asked = job.get("params", {})
    (wanted,) = asked.get("filter", [""])
    # What was never counted is 0; a gauge that is set to 0 is left out here, too.
    found = [one for one in series if re.search(wanted, one.stat) and ("usedonly" not in asked or one.value)]
    for rule in job.get("metric_relabel_configs", []):
        assert rule["action"] == "keep"
        found = [one for one in found if re.fullmatch(rule["regex"], _joined(one, rule["source_labels"]))]
    return found


def _joined(one: Series, labels: Sequence[str]) -> str:
    return ";".join({**one.labels, "__name__": one.name}.get(label, "") for label in labels)


def missed(query: str, series: Sequence[Series]) -> list[str]:
    """Name the selectors of a query that find nothing with the labels by which it sums."""
    query = re.sub(r"\{\{.*?\}\}", "x", query)
    by = {label.strip() for group in _BY.findall(query) for label in group.split(",")}
    lacking = []
    for name, labels, alone in _SELECTOR.findall(_BY.sub("", query)):
        named = name or alone
        matchers = [*_LABEL.findall(labels), *([("__name__", "=", named)] if named else [])]
        found = (one for one in series if by <= one.labels.keys())
        if named not in _WORDS and not any(all(_meets(one, *matcher) for matcher in matchers) for one in found):
            lacking.append(f"{named}{labels}")
    return lacking


def _meets(one: Series, key: str, sign: str, wanted: str) -> bool:
    value = {**one.labels, "__name__": one.name}.get(key, "")
    same = bool(re.fullmatch(wanted, value)) if "~" in sign else value == wanted
    return same != sign.startswith("!")
