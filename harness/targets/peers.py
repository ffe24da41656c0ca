"""Peers by label or Service as addresses, as a pod meets them: pods' own, and the cluster's addresses of a Service."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.cluster import paths
from harness.errors import ApiError, UsageError
from harness.model.peer import Peer
from harness.workloads.pod import is_done

if TYPE_CHECKING:
    from harness.cluster.kube import Kube

# What a Service has in the place of an address where it has none.
HEADLESS = ("", "None")


async def resolve(kube: Kube, peers: Sequence[Peer]) -> list[str]:
    """Return the networks of peers as they are now; raises UsageError for one that is nobody."""
    found: list[str] = []
    for one in peers:
        found += (
            [one] if isinstance(one, str) else [str(ipaddress.ip_network(ip)) for ip in await _addresses(kube, one)]
        )
    return list(dict.fromkeys(found))


async def _addresses(kube: Kube, peer: Mapping[str, str]) -> list[str]:
    namespace, own = peer["namespace"], list[str]()
    selector = peer.get("selector", "")
    if "service" in peer:
        spec = (await _service(kube, namespace, peer["service"]))["spec"]
        own = [ip for ip in spec.get("clusterIPs") or [spec.get("clusterIP", "")] if ip not in HEADLESS]
        selector = ",".join(f"{key}={value}" for key, value in (spec.get("selector") or {}).items())
    pods = await kube.list(paths.pods(namespace), labels=selector) if selector else []
    # The address of one that has ended may be another's by now.
    pods = [pod for pod in pods if not is_done(pod)]
    found = own + [str(ip["ip"]) for pod in pods for ip in (pod.get("status") or {}).get("podIPs") or []]
    if not found:
        raise UsageError(
            f"the peer {_shown(peer)} is nobody", why="it has no address now", hint="kubectl get pods -o wide"
        )
    return found


async def _service(kube: Kube, namespace: str, name: str) -> dict[str, Any]:
    try:
        return await kube.get(f"/api/v1/namespaces/{namespace}/services/{name}")
    except ApiError as error:
        if error.status != 404:
            raise
        raise UsageError(f"there is no Service {namespace}/{name}", why="a fault names it as a peer") from error


def _shown(peer: Mapping[str, str]) -> str:
    return f"{peer['namespace']}/{peer.get('selector') or peer.get('service')}"
