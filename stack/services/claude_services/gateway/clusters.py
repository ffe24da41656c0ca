"""Translate a destination and its DestinationRule into an Envoy cluster and its addresses."""

from __future__ import annotations

from typing import Any

from claude_services.gateway.fields import Refused, duration, only
from claude_services.gateway.mesh import Mesh
from claude_services.json_objects import Json

TYPE = "type.googleapis.com/envoy"
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
OVERLOAD = "x-overload"
SERVER_ERRORS = {"start": 500, "end": 600}
# Istio and Envoy have the same words for these.
LOAD_BALANCERS = ("ROUND_ROBIN", "LEAST_REQUEST", "RANDOM")


def name(destination: Json) -> str:
    """Return the cluster's name, written as Istio writes it."""
    port = destination.get("port", {}).get("number", "")
    return f"outbound|{port}|{destination.get('subset', '')}|{destination['host']}"


def file_name(cluster: str) -> str:
    """Return the file that holds a cluster's addresses."""
    return f"eds-{cluster.replace('|', '_')}.json"


def policy(mesh: Mesh, host: str) -> Json:
    """Return the traffic policy of a host, closed."""
    where = f"DestinationRule for {host}"
    rule = only(mesh.rule(host), where, "host", "trafficPolicy", "subsets")
    known = ("loadBalancer", "connectionPool", "outlierDetection", "retryBudget")
    return only(rule.get("trafficPolicy"), f"{where}.trafficPolicy", *known)


def subset_labels(mesh: Mesh, destination: Json) -> dict[str, str]:
    """Return the labels that a destination's subset stands for."""
    wanted = destination.get("subset")
    if wanted is None:
        return {}
    for subset in mesh.rule(destination["host"]).get("subsets", []):
        known = only(subset, f"subset of {destination['host']}", "name", "labels")
        if known["name"] == wanted:
            return dict(known.get("labels", {}))
    raise Refused(f"destination {destination['host']}", f"its DestinationRule has no subset {wanted!r}")


def build(mesh: Mesh, destination: Json, folder: str) -> Json:
    """Return the Envoy cluster of a destination."""
    host = destination["host"]
    rules = policy(mesh, host)
    where = f"DestinationRule for {host}.trafficPolicy"
    cluster: Json = {
        "@type": f"{TYPE}.config.cluster.v3.Cluster",
        "name": name(destination),
        "type": "EDS",
        "eds_cluster_config": {
            "eds_config": {
                "resource_api_version": "V3",
                "path_config_source": {"path": f"{folder}/{file_name(name(destination))}"},
            }
        },
        "connect_timeout": "10s",
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
    }
    budget = _retry_budget(rules.get("retryBudget"), f"{where}.retryBudget")
    _pool(cluster, only(rules.get("connectionPool"), f"{where}.connectionPool", "tcp", "http"), budget, where)
    _balance(cluster, rules.get("loadBalancer"), where)
    _outliers(cluster, rules.get("outlierDetection"), where)
    return cluster


def _retry_budget(budget: Any, where: str) -> Json:
    known = only(budget, where, "percent", "minRetryConcurrency")
    if not known:
        return {}
    # Istio's defaults, which are Envoy's, too.
    percent, least = float(known.get("percent", 20)), int(known.get("minRetryConcurrency", 3))
    return {"retry_budget": {"budget_percent": {"value": percent}, "min_retry_concurrency": least}}


def _pool(cluster: Json, pool: Json, budget: Json, where: str) -> None:
    tcp = only(pool.get("tcp"), f"{where}.connectionPool.tcp", "maxConnections", "connectTimeout")
    http = only(
        pool.get("http"),
        f"{where}.connectionPool.http",
        *("http1MaxPendingRequests", "http2MaxRequests", "maxRequestsPerConnection", "maxRetries", "h2UpgradePolicy"),
    )
    caps: dict[str, Any] = {
        "max_connections": tcp.get("maxConnections"),
        "max_pending_requests": http.get("http1MaxPendingRequests"),
        "max_requests": http.get("http2MaxRequests"),
        "max_retries": http.get("maxRetries"),
    }
    caps = {key: value for key, value in caps.items() if value is not None} | budget
    if caps:
        cluster["circuit_breakers"] = {"thresholds": [{**caps, "track_remaining": True}]}
    if "connectTimeout" in tcp:
        cluster["connect_timeout"] = duration(tcp["connectTimeout"], f"{where}.connectionPool.tcp.connectTimeout")
    upgrade = http.get("h2UpgradePolicy", "DEFAULT") == "UPGRADE"
    options: Json = {
        "@type": f"{TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options" if upgrade else "http_protocol_options": {}},
    }
    if "maxRequestsPerConnection" in http:
        options["common_http_protocol_options"] = {"max_requests_per_connection": http["maxRequestsPerConnection"]}
    cluster["typed_extension_protocol_options"] = {HTTP_OPTIONS: options}


def _balance(cluster: Json, balancer: Any, where: str) -> None:
    known = only(balancer, f"{where}.loadBalancer", "simple", "consistentHash")
    if "consistentHash" in known:
        hashed = only(known["consistentHash"], f"{where}.loadBalancer.consistentHash", "httpHeaderName", "maglev")
        cluster["lb_policy"] = "MAGLEV" if "maglev" in hashed else "RING_HASH"
        return
    simple = known.get("simple", "LEAST_REQUEST")
    if simple not in LOAD_BALANCERS:
        raise Refused(f"{where}.loadBalancer.simple", f"is not one of {', '.join(LOAD_BALANCERS)}: {simple!r}")
    cluster["lb_policy"] = simple


def _outliers(cluster: Json, detection: Any, where: str) -> None:
    if detection is None:
        return
    where = f"{where}.outlierDetection"
    known = only(
        detection,
        where,
        *("consecutive5xxErrors", "consecutiveGatewayErrors", "interval", "baseEjectionTime"),
        *("maxEjectionPercent", "minHealthPercent"),
    )
    gateway = known.get("consecutiveGatewayErrors", 0)
    out: Json = {
        "consecutive_5xx": known.get("consecutive5xxErrors", 5),
        "enforcing_consecutive_5xx": 100 if known.get("consecutive5xxErrors", 5) else 0,
        "enforcing_success_rate": 0,
        "interval": duration(known.get("interval", "10s"), f"{where}.interval"),
        "base_ejection_time": duration(known.get("baseEjectionTime", "30s"), f"{where}.baseEjectionTime"),
        "max_ejection_percent": known.get("maxEjectionPercent", 10),
    }
    if gateway:
        out.update(consecutive_gateway_failure=gateway, enforcing_consecutive_gateway_failure=100)
    cluster["outlier_detection"] = out
    # A pod that refuses for want of room is no worse than the others: without it they would have less room still.
    room = {"http_response_headers_match": {"headers": [{"name": OVERLOAD, "present_match": True}]}}
    failed = {"http_response_headers_match": {"headers": [{"name": ":status", "range_match": SERVER_ERRORS}]}}
    matcher = {"error_matcher": {"and_match": {"rules": [failed, {"not_match": room}]}}}
    cluster["typed_extension_protocol_options"][HTTP_OPTIONS]["outlier_detection"] = matcher
    cluster["common_lb_config"]["healthy_panic_threshold"]["value"] = known.get("minHealthPercent", 0)


def addresses(mesh: Mesh, destination: Json) -> Json:
    """Return the addresses of a destination's ready pods; none at all is an answer."""
    port_name = mesh.port_name(destination["host"], destination.get("port", {}).get("number"))
    found = mesh.addresses(destination["host"], port_name, subset_labels(mesh, destination))
    endpoints = [
        {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}
        for address, port in found
    ]
    return {
        "@type": f"{TYPE}.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": name(destination),
        "endpoints": [{"lb_endpoints": endpoints}] if endpoints else [],
    }
