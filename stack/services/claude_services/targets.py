"""What Prometheus shall scrape: pods that ask for it by the usual annotations, and every kubelet."""

from __future__ import annotations

import json
from collections.abc import Iterable

from claude_services.json_objects import Json

PREFIX = "prometheus.io/"
KUBELET_PORT = 10250


def pod_targets(pods: Iterable[Json]) -> list[Json]:
    """Return a target for each running pod whose annotations ask to be scraped."""
    found = []
    for pod in pods:
        metadata, status = pod["metadata"], pod.get("status", {})
        notes = metadata.get("annotations") or {}
        if notes.get(f"{PREFIX}scrape") != "true" or status.get("phase") != "Running" or "podIP" not in status:
            continue
        labels = {
            "__metrics_path__": notes.get(f"{PREFIX}path", "/metrics"),
            "namespace": metadata["namespace"],
            "pod": metadata["name"],
            "node": pod["spec"].get("nodeName", ""),
            **{key: value for key, value in (metadata.get("labels") or {}).items() if key in ("app", "version")},
        }
        found.append({"targets": [f"{status['podIP']}:{notes.get(f'{PREFIX}port', '9090')}"], "labels": labels})
    return sorted(found, key=json.dumps)


def node_targets(nodes: Iterable[Json]) -> list[Json]:
    """Return each node's kubelet."""
    return sorted(
        (
            {"targets": [f"{address['address']}:{KUBELET_PORT}"], "labels": {"node": node["metadata"]["name"]}}
            for node in nodes
            for address in node.get("status", {}).get("addresses", [])
            if address["type"] == "InternalIP"
        ),
        key=json.dumps,
    )
