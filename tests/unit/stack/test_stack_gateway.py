"""The control plane turns the corrected Istio resources into Envoy's, and refuses what it does not understand."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from claude_services.gateway import translate
from claude_services.gateway.clusters import HTTP_OPTIONS
from claude_services.gateway.fields import Refused, duration
from claude_services.gateway.mesh import Mesh
from claude_services.json_objects import by_name
from claude_services.room import OVERLOADED
from harness.load.answer import FLAGS_HEADER, HOST_HEADER

STACK = Path(__file__).parents[3] / "stack"
STABLE, CANARY = {"version": "v1.2.0"}, {"version": "v1.3.0-rc1"}


def documents(path: Path) -> Iterator[dict[str, Any]]:
    yield from (document for document in yaml.load_all(path.read_text(), yaml.CSafeLoader) if document)


def kind_of(path: Path, kind: str) -> dict[str, Any]:
    return next(document for document in documents(path) if document["kind"] == kind)


def pod(name: str, labels: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"app": "claude-orchestrator", **labels}}}


def endpoint(name: str, address: str, *, ready: bool = True) -> dict[str, Any]:
    return {"addresses": [address], "conditions": {"ready": ready}, "targetRef": {"kind": "Pod", "name": name}}


def endpoint_slice(*endpoints: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"name": "orchestrator-1", "labels": {"kubernetes.io/service-name": "claude-orchestrator"}},
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": list(endpoints),
    }


@pytest.fixture
def mesh() -> Mesh:
    base = STACK / "manifests" / "base"
    return Mesh(
        virtual_services=by_name([kind_of(base / "mesh.yaml", "VirtualService")]),
        destination_rules=by_name([kind_of(base / "mesh.yaml", "DestinationRule")]),
        services=by_name([kind_of(base / "orchestrator.yaml", "Service")]),
        endpoint_slices=by_name([endpoint_slice(endpoint("a", "10.0.0.1"), endpoint("b", "10.0.0.2", ready=False))]),
        pods=by_name([pod("a", STABLE), pod("b", STABLE), pod("c", CANARY)]),
    )


def files(mesh: Mesh) -> dict[str, str]:
    return translate.files(mesh, gateway="claude-ecosystem-gateway", folder="/xds")


def resource(mesh: Mesh, name: str, index: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files(mesh)[name])["resources"][index]
    return found


def route(mesh: Mesh) -> dict[str, Any]:
    found: dict[str, Any] = resource(mesh, "rds.json")["virtual_hosts"][0]["routes"][0]
    return found


def http(mesh: Mesh) -> dict[str, Any]:
    found: dict[str, Any] = mesh.virtual_services["claude-orchestrator-vs"]["spec"]["http"][0]
    return found


def traffic_policy(mesh: Mesh) -> dict[str, Any]:
    found: dict[str, Any] = mesh.destination_rules["claude-orchestrator-dr"]["spec"]["trafficPolicy"]
    return found


def given(mesh: Mesh, subset: str) -> list[str]:
    groups = resource(mesh, f"eds-outbound_80_{subset}_claude-orchestrator.json")["endpoints"]
    return [
        item["endpoint"]["address"]["socket_address"]["address"] for group in groups for item in group["lb_endpoints"]
    ]


def test_retries_avoid_hosts_that_were_tried(mesh: Mesh) -> None:
    policy = route(mesh)["route"]["retry_policy"]
    assert policy["num_retries"] == 3
    assert policy["retry_on"] == "5xx,reset,connect-failure,refused-stream"
    assert policy["per_try_timeout"] == "1.5s"
    assert policy["retry_host_predicate"][0]["name"] == "envoy.retry_host_predicates.previous_hosts"


def test_every_try_fits_into_the_route_s_time(mesh: Mesh) -> None:
    action = route(mesh)["route"]
    tries = 1 + action["retry_policy"]["num_retries"]
    assert tries * float(action["retry_policy"]["per_try_timeout"][:-1]) < float(action["timeout"][:-1])


def test_answers_say_how_often_was_tried(mesh: Mesh) -> None:
    assert resource(mesh, "rds.json")["virtual_hosts"][0]["include_attempt_count_in_response"] is True


def test_answers_say_what_went_wrong_and_where_was_tried_last(mesh: Mesh) -> None:
    added = {item["header"]["key"]: item["header"]["value"] for item in route(mesh)["response_headers_to_add"]}
    assert added == {FLAGS_HEADER.decode(): "%RESPONSE_FLAGS%", HOST_HEADER.decode(): "%UPSTREAM_HOST%"}


def test_a_route_that_asks_for_no_headers_adds_none(mesh: Mesh) -> None:
    del http(mesh)["headers"]
    assert "response_headers_to_add" not in route(mesh)


@pytest.mark.parametrize("headers", [{"request": {"set": {"a": "b"}}}, {"response": {"remove": ["a"]}}])
def test_headers_that_are_not_understood_are_refused(mesh: Mesh, headers: dict[str, Any]) -> None:
    http(mesh)["headers"] = headers
    with pytest.raises(Refused, match="unknown field"):
        files(mesh)


def test_each_address_says_for_itself_whether_it_is_ejected(mesh: Mesh) -> None:
    assert resource(mesh, "cds.json")["track_cluster_stats"] == {"per_endpoint_stats": True}


def test_retries_have_a_budget_that_hides_the_loss_of_some_and_not_of_all(mesh: Mesh) -> None:
    caps = resource(mesh, "cds.json")["circuit_breakers"]["thresholds"][0]
    assert caps["retry_budget"] == {"budget_percent": {"value": 20.0}, "min_retry_concurrency": 30}


def test_without_a_budget_the_number_of_retries_holds(mesh: Mesh) -> None:
    del traffic_policy(mesh)["retryBudget"]
    traffic_policy(mesh)["connectionPool"]["http"]["maxRetries"] = 7
    caps = resource(mesh, "cds.json")["circuit_breakers"]["thresholds"][0]
    assert (caps["max_retries"], "retry_budget" in caps) == (7, False)


def test_a_pod_that_has_no_room_is_not_ejected_for_it(mesh: Mesh) -> None:
    options = resource(mesh, "cds.json")["typed_extension_protocol_options"][HTTP_OPTIONS]
    failed, not_full = options["outlier_detection"]["error_matcher"]["and_match"]["rules"]
    assert failed["http_response_headers_match"]["headers"][0]["range_match"] == {"start": 500, "end": 600}
    full = not_full["not_match"]["http_response_headers_match"]["headers"][0]
    assert (full["name"], full["present_match"]) == (next(iter(OVERLOADED)), True)


def test_no_attempts_means_no_retry_policy(mesh: Mesh) -> None:
    http(mesh)["retries"] = {"attempts": 0}
    assert "retry_policy" not in route(mesh)["route"]


def test_only_ready_pods_are_given_and_never_the_service_s_own_address(mesh: Mesh) -> None:
    assert given(mesh, "stable") == ["10.0.0.1"]


def test_a_subset_has_the_pods_that_carry_its_labels(mesh: Mesh) -> None:
    mesh.endpoint_slices["orchestrator-1"]["endpoints"].append(endpoint("c", "10.0.0.3"))
    assert (given(mesh, "stable"), given(mesh, "canary")) == (["10.0.0.1"], ["10.0.0.3"])


def test_a_service_whose_pods_are_gone_keeps_its_route(mesh: Mesh) -> None:
    mesh.endpoint_slices.clear()
    assert given(mesh, "stable") == []
    assert route(mesh)["route"]["weighted_clusters"]["clusters"][0]["weight"] == 100


def test_the_header_that_names_a_user_picks_the_pod(mesh: Mesh) -> None:
    assert route(mesh)["route"]["hash_policy"] == [{"header": {"header_name": "X-User-ID"}}]
    assert resource(mesh, "cds.json")["lb_policy"] == "MAGLEV"


def test_outliers_are_ejected_after_five_errors_for_thirty_seconds(mesh: Mesh) -> None:
    cluster = resource(mesh, "cds.json")
    detection = cluster["outlier_detection"]
    assert (detection["consecutive_5xx"], detection["base_ejection_time"], detection["interval"]) == (5, "30s", "30s")
    assert detection["max_ejection_percent"] == 50
    assert cluster["common_lb_config"]["healthy_panic_threshold"] == {"value": 50}


def test_connection_pools_become_caps(mesh: Mesh) -> None:
    caps = resource(mesh, "cds.json")["circuit_breakers"]["thresholds"][0]
    assert (caps["max_connections"], caps["max_pending_requests"], caps["max_requests"]) == (100, 100, 100)


def test_weights_follow_the_virtual_service(mesh: Mesh) -> None:
    for entry, weight in zip(http(mesh)["route"], (90, 10), strict=True):
        entry["weight"] = weight
    clusters = route(mesh)["route"]["weighted_clusters"]["clusters"]
    assert [(cluster["name"], cluster["weight"]) for cluster in clusters] == [
        ("outbound|80|stable|claude-orchestrator", 90),
        ("outbound|80|canary|claude-orchestrator", 10),
    ]


def test_an_injected_delay_becomes_envoy_s(mesh: Mesh) -> None:
    http(mesh)["fault"] = {"delay": {"percentage": {"value": 12.5}, "fixedDelay": "250ms"}}
    delay = route(mesh)["typed_per_filter_config"]["envoy.filters.http.fault"]["delay"]
    assert delay == {"fixed_delay": "0.25s", "percentage": {"numerator": 125000, "denominator": "MILLION"}}


def test_a_virtual_service_of_another_gateway_is_left_alone(mesh: Mesh) -> None:
    mesh.virtual_services["claude-orchestrator-vs"]["spec"]["gateways"] = ["other"]
    assert resource(mesh, "rds.json")["virtual_hosts"] == []


def test_the_seed_s_circuit_breaker_is_refused_by_name(mesh: Mesh) -> None:
    seed = kind_of(STACK / "seed" / "mesh.yaml", "DestinationRule")
    mesh.destination_rules = by_name([seed])
    with pytest.raises(Refused, match=r"trafficPolicy\.circuitBreaker: unknown field"):
        files(mesh)


def test_the_seed_s_port_is_refused_because_the_service_has_another(mesh: Mesh) -> None:
    mesh.virtual_services = by_name([kind_of(STACK / "seed" / "mesh.yaml", "VirtualService")])
    with pytest.raises(Refused, match="no port 8080"):
        files(mesh)


def test_a_misspelt_field_is_refused_with_a_suggestion(mesh: Mesh) -> None:
    http(mesh)["retries"]["perTryTimeOut"] = http(mesh)["retries"].pop("perTryTimeout")
    with pytest.raises(Refused, match="did you mean perTryTimeout"):
        files(mesh)


def test_weights_that_send_nothing_anywhere_are_refused(mesh: Mesh) -> None:
    for entry in http(mesh)["route"]:
        entry["weight"] = 0
    with pytest.raises(Refused, match="add up to 0"):
        files(mesh)


def test_a_subset_that_no_rule_defines_is_refused(mesh: Mesh) -> None:
    mesh.destination_rules["claude-orchestrator-dr"]["spec"]["subsets"].pop()
    with pytest.raises(Refused, match="no subset 'canary'"):
        files(mesh)


@pytest.mark.parametrize("broken", [{"gateways": ["claude-ecosystem-gateway"]}, {"gateways": 7}, []])
def test_a_resource_of_an_unexpected_shape_is_refused(mesh: Mesh, broken: Any) -> None:
    mesh.virtual_services["claude-orchestrator-vs"]["spec"] = broken
    with pytest.raises(Refused, match="cannot be read"):
        files(mesh)


def test_translation_changes_none_of_its_inputs(mesh: Mesh) -> None:
    before = copy.deepcopy(mesh)
    files(mesh)
    assert mesh == before


@pytest.mark.parametrize(("text", "envoy"), [("10s", "10s"), ("1500ms", "1.5s"), ("1m30s", "90s"), ("0.5s", "0.5s")])
def test_durations_are_written_as_envoy_reads_them(text: str, envoy: str) -> None:
    assert duration(text, "here") == envoy


@pytest.mark.parametrize("text", ["10", "fast", "10s later", "", None])
def test_what_is_no_duration_is_refused(text: Any) -> None:
    with pytest.raises(Refused, match="not a duration"):
        duration(text, "here")
