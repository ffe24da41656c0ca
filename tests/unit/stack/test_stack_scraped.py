"""What is asked of the stack's Prometheus is what it is told to scrape, under the labels that it is told with."""

from __future__ import annotations

import re

import pytest
import yaml

from harness.checkers import OBJECTIVES
from harness.engine.watching import metrics, settle
from harness.model import envoy
from harness.stack import overlays, parts
from probes import gateway
from tests.unit.stack import scraped
from tests.unit.stack.scraped import Series


def everything() -> list[Series]:
    return [*scraped.of_gateway(), *scraped.of_services(), *scraped.of_containers()]


def of_analyses() -> list[str]:
    documents = yaml.safe_load_all((parts.folder() / "delivery" / "analysis.yaml").read_text())
    return [one["provider"]["prometheus"]["query"] for document in documents for one in document["spec"]["metrics"]]


QUERIES = {
    **{f"{name} {number}": query for name, kind in OBJECTIVES.items() for number, query in enumerate(kind.asks)},
    **{f"{name} when none": kind.steady_when_none for name, kind in OBJECTIVES.items() if kind.steady_when_none},
    **{f"analysis {number}": query for number, query in enumerate(of_analyses())},
    "availability": f"1 - {envoy.error_ratio('30s')}",
    "latency": envoy.seconds(0.99, "30s"),
    "asked": settle.ASKED,
}


@pytest.mark.parametrize("what", QUERIES)
def test_a_query_finds_every_series_that_it_names_after_the_first_call(what: str) -> None:
    assert scraped.missed(QUERIES[what], everything()) == []


@pytest.mark.parametrize("name", metrics.NAMES)
def test_what_is_fetched_of_a_run_is_told_by_somebody_under_its_label(name: str) -> None:
    _, label = metrics.NAMES[name]
    known = [*everything(), *scraped.told(scraped.GATEWAY)]
    assert [one for one in known if one.name == name and label in one.labels]


@pytest.mark.parametrize("query", [gateway.EJECTED, settle.EJECTED])
def test_ejections_are_asked_by_their_name(query: str) -> None:
    # A gateway that ejected nobody is silent about it.
    assert scraped.missed(query, scraped.told(scraped.GATEWAY)) == []


def test_a_gateway_is_known_to_be_seen_by_what_it_has_set() -> None:
    assert scraped.missed(f"sum({envoy.MEMBERS})", scraped.of_gateway()) == []


def test_no_series_is_scraped_twice() -> None:
    names = [(one.name, *one.labels.items()) for one in scraped.of_gateway()]
    assert len(names) == len(set(names))


def test_what_envoy_is_asked_for_it_is_told_to_count() -> None:
    objects = yaml.safe_load_all((overlays.manifests() / "base" / "gateway.yaml").read_text())
    (deployment,) = [one for one in objects if one["kind"] == "Deployment"]
    told = yaml.safe_load(deployment["spec"]["template"]["metadata"]["annotations"]["proxy.istio.io/config"])
    counted = "|".join(told["proxyStatsMatcher"]["inclusionRegexps"])
    # A gauge for each host is made by the EnvoyFilter, whatever the matcher says.
    stats = [one.stat for one in scraped.told(scraped.GATEWAY) if one.name != envoy.HEALTHY]
    assert [stat for stat in stats if not re.fullmatch(counted, stat)] == []


@pytest.mark.parametrize(
    "query",
    [
        'sum(rate(envoy_http_downstream_rq_xx{http_conn_manager_prefix="outbound_0.0.0.0_8080"}[9s]))',
        'envoy_http_downstream_rq{envoy_response_code_class="5"}',
        "sum by (envoy_cluster_name) (envoy_http_downstream_rq)",
        "http_requests",
    ],
)
def test_a_name_or_a_label_that_nobody_tells_is_found_out(query: str) -> None:
    assert scraped.missed(query, scraped.of_gateway())
