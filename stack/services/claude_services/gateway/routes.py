"""Translate VirtualServices into Envoy's virtual hosts."""

from __future__ import annotations

from typing import Any

from claude_services.gateway import clusters
from claude_services.gateway.fields import Refused, duration, only
from claude_services.gateway.mesh import Mesh
from claude_services.json_objects import Json

FAULT = "envoy.filters.http.fault"


def destinations(http: Json, where: str) -> list[Json]:
    """Return the destinations of one HTTP route with their weights, closed."""
    found = []
    routes = http.get("route") or []
    for index, entry in enumerate(routes):
        here = f"{where}.route[{index}]"
        known = only(entry, here, "destination", "weight")
        destination = only(known.get("destination"), f"{here}.destination", "host", "port", "subset")
        if "host" not in destination:
            raise Refused(f"{here}.destination", "names no host")
        only(destination.get("port"), f"{here}.destination.port", "number")
        found.append({"destination": destination, "weight": known.get("weight", 100 if len(routes) == 1 else 0)})
    if sum(entry["weight"] for entry in found) <= 0:
        raise Refused(f"{where}.route", "sends requests nowhere: the weights add up to 0")
    return found


def virtual_host(mesh: Mesh, virtual_service: Json) -> Json:
    """Return the Envoy virtual host of one VirtualService."""
    title = virtual_service["metadata"]["name"]
    where = f"VirtualService {title}"
    spec = only(virtual_service["spec"], where, "hosts", "gateways", "http")
    routes = [
        route
        for index, http in enumerate(spec.get("http") or [])
        for route in _routes(mesh, http, f"{where}.http[{index}]")
    ]
    return {
        "name": title,
        "domains": [domain for host in spec["hosts"] for domain in (host, f"{host}:*")],
        "routes": routes,
        "include_attempt_count_in_response": True,
        "include_request_attempt_count": True,
    }


def _routes(mesh: Mesh, entry: Any, where: str) -> list[Json]:
    http = only(entry, where, "name", "match", "route", "timeout", "retries", "fault", "headers")
    targets = destinations(http, where)
    action: Json = {
        "weighted_clusters": {
            "clusters": [
                {"name": clusters.name(target["destination"]), "weight": target["weight"]} for target in targets
            ]
        },
        "timeout": duration(http["timeout"], f"{where}.timeout") if "timeout" in http else "0s",
    }
    retries = _retries(http.get("retries"), f"{where}.retries")
    if retries:
        action["retry_policy"] = retries
    hashes = _hash_headers(mesh, targets)
    if hashes:
        action["hash_policy"] = [{"header": {"header_name": header}} for header in hashes]
    rest: Json = {"route": action}
    added = _response_headers(http.get("headers"), f"{where}.headers")
    if added:
        rest["response_headers_to_add"] = added
    if "fault" in http:
        rest["typed_per_filter_config"] = {FAULT: _fault(http["fault"], f"{where}.fault")}
    matches = http.get("match") or [{}]
    named = {"name": http["name"]} if "name" in http else {}
    return [{**named, "match": _match(match, f"{where}.match[{i}]"), **rest} for i, match in enumerate(matches)]


def _match(match: Any, where: str) -> Json:
    uri = only(only(match, where, "uri").get("uri"), f"{where}.uri", "prefix", "exact")
    if "exact" in uri:
        return {"path": uri["exact"]}
    return {"prefix": uri.get("prefix", "/")}


def _retries(retries: Any, where: str) -> Json:
    known = only(retries, where, "attempts", "perTryTimeout", "retryOn")
    if not known.get("attempts"):
        return {}
    policy: Json = {
        "retry_on": known.get("retryOn", "connect-failure,refused-stream,unavailable,cancelled"),
        "num_retries": known["attempts"],
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": f"{clusters.TYPE}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        "host_selection_retry_max_attempts": "20",
    }
    if "perTryTimeout" in known:
        policy["per_try_timeout"] = duration(known["perTryTimeout"], f"{where}.perTryTimeout")
    return policy


def _response_headers(headers: Any, where: str) -> list[Json]:
    """Return what every answer of a route carries, Envoy's own included; Envoy fills in what stands between % signs."""
    response = only(only(headers, where, "response").get("response"), f"{where}.response", "set")
    return [
        {"header": {"key": key, "value": str(value)}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        for key, value in (response.get("set") or {}).items()
    ]


def _hash_headers(mesh: Mesh, targets: list[Json]) -> list[str]:
    headers = []
    for target in targets:
        balancer = clusters.policy(mesh, target["destination"]["host"]).get("loadBalancer") or {}
        header = (balancer.get("consistentHash") or {}).get("httpHeaderName")
        if header and header not in headers:
            headers.append(header)
    return headers


def _fault(fault: Any, where: str) -> Json:
    known = only(fault, where, "delay", "abort")
    config: Json = {"@type": f"{clusters.TYPE}.extensions.filters.http.fault.v3.HTTPFault"}
    if "delay" in known:
        delay = only(known["delay"], f"{where}.delay", "fixedDelay", "percentage")
        config["delay"] = {
            "fixed_delay": duration(delay.get("fixedDelay"), f"{where}.delay.fixedDelay"),
            "percentage": _percentage(delay.get("percentage"), f"{where}.delay.percentage"),
        }
    if "abort" in known:
        abort = only(known["abort"], f"{where}.abort", "httpStatus", "percentage")
        config["abort"] = {
            "http_status": abort.get("httpStatus", 503),
            "percentage": _percentage(abort.get("percentage"), f"{where}.abort.percentage"),
        }
    return config


def _percentage(value: Any, where: str) -> Json:
    share = only(value, where, "value").get("value", 100)
    return {"numerator": round(float(share) * 10_000), "denominator": "MILLION"}
