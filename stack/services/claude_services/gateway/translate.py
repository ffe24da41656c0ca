"""Translate the whole mesh into the files Envoy reads."""

from __future__ import annotations

import json

from claude_services.gateway import clusters, routes
from claude_services.gateway.clusters import TYPE
from claude_services.gateway.fields import Refused
from claude_services.gateway.mesh import Mesh
from claude_services.json_objects import Json

LISTEN_PORT = 8080
RDS = "rds.json"


def files(mesh: Mesh, *, gateway: str, folder: str) -> dict[str, str]:
    """Return the text of each file by its name, in the order in which Envoy should see them change.

    Raises Refused when a resource says something that is not understood; then no file changes.
    """
    try:
        return _files(mesh, gateway, folder)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        # A resource of another shape than expected must not end the control plane either.
        raise Refused("mesh", f"a resource cannot be read: {error!r}") from error


def _files(mesh: Mesh, gateway: str, folder: str) -> dict[str, str]:
    chosen = [
        virtual_service
        for _, virtual_service in sorted(mesh.virtual_services.items())
        if gateway in (virtual_service["spec"].get("gateways") or [])
    ]
    targets = {
        clusters.name(target["destination"]): target["destination"]
        for virtual_service in chosen
        for index, http in enumerate(virtual_service["spec"].get("http") or [])
        for target in routes.destinations(http, f"VirtualService {virtual_service['metadata']['name']}.http[{index}]")
    }
    hosts = [routes.virtual_host(mesh, virtual_service) for virtual_service in chosen]
    out = {clusters.file_name(name): _response([clusters.addresses(mesh, to)]) for name, to in targets.items()}
    out["cds.json"] = _response([clusters.build(mesh, to, folder) for to in targets.values()])
    out[RDS] = _response([_route_configuration(hosts)])
    out["lds.json"] = _response([_listener(folder)])
    return out


def addresses(text: str) -> int:
    """Count the addresses in a file written for a cluster."""
    found = json.loads(text)["resources"][0]["endpoints"]
    return sum(len(group["lb_endpoints"]) for group in found)


def _response(resources: list[Json]) -> str:
    return json.dumps({"resources": resources}, indent=1)


def _route_configuration(hosts: list[Json]) -> Json:
    return {
        "@type": f"{TYPE}.config.route.v3.RouteConfiguration",
        "name": "http",
        "virtual_hosts": hosts,
        "validate_clusters": False,
    }


def _listener(folder: str) -> Json:
    manager = {
        "@type": f"{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "rds": {
            "route_config_name": "http",
            "config_source": {"resource_api_version": "V3", "path_config_source": {"path": f"{folder}/{RDS}"}},
        },
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "stream_idle_timeout": "60s",
        "http_filters": [
            {"name": routes.FAULT, "typed_config": {"@type": f"{TYPE}.extensions.filters.http.fault.v3.HTTPFault"}},
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{TYPE}.extensions.filters.http.router.v3.Router"},
            },
        ],
    }
    return {
        "@type": f"{TYPE}.config.listener.v3.Listener",
        "name": "http",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": LISTEN_PORT}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
