"""What certificate a Service's pods show to whoever connects, found out by a handshake of TLS with each of them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from harness.cluster import paths
from harness.errors import ApiError, ClusterUnreachable, ObservationFailed
from harness.targets import services

if TYPE_CHECKING:
    from harness.cluster.forwarding import Stream
    from harness.cluster.kube import Kube

RIGHTS = (
    {"apiGroups": [""], "resources": ["services"], "verbs": ["get"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["get", "create"]},
)
# No right, no such thing, and a stream that the official client refuses.
UNSEEN = (401, 403, 404, 0)
UNSHOWN = "no certificate can be seen"


async def shown(kube: Kube, namespace: str, service: str, port: int, host: str) -> list[bytes]:
    """Return the certificates that the pods behind a port of a Service show, each asked for `host`; some show none.

    Raises ObservationFailed where none may be seen, ApiError, and ClusterUnreachable.
    """
    found: list[bytes] = []
    try:
        for pod, number in await behind(kube, namespace, service, port):
            ask = (kube, namespace, pod, number, host)
            # What does not answer, or not so, shows none.
            with contextlib.suppress(OSError, ClusterUnreachable):
                found += await anyio.to_thread.run_sync(_ask, *ask, abandon_on_cancel=True)
    except ApiError as error:
        if error.status not in UNSEEN:
            raise
        where = f"{namespace}/{service}"
        raise ObservationFailed(UNSHOWN, where=where, why=error.message or error.what) from None
    return found


async def behind(kube: Kube, namespace: str, service: str, port: int) -> list[tuple[str, int]]:
    """Name the ready pods behind a port of a Service, and at which of their own ports.

    Raises ObservationFailed where it has no such port, and ApiError.
    """
    item = await kube.get(paths.core(namespace, "services", service))
    name = next((one.get("name", "") for one in item["spec"].get("ports") or [] if one["port"] == port), None)
    if name is None:
        raise ObservationFailed(UNSHOWN, where=f"{namespace}/{service}", why=f"the Service has no port {port}")
    slices = await kube.list(
        f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
        labels=f"{services.OF_SERVICE}={service}",
    )
    return sorted(
        (str(endpoint["targetRef"]["name"]), int(one["port"]))
        for item in slices
        for one in item.get("ports") or []
        if (one.get("name") or "") == name
        for endpoint in item.get("endpoints") or []
        if _ready(endpoint)
    )


def _ready(endpoint: dict[str, Any]) -> bool:
    conditions = endpoint.get("conditions") or {}
    # Left out, it means yes.
    return (endpoint.get("targetRef") or {}).get("kind") == "Pod" and conditions.get("ready") is not False


def _ask(kube: Kube, namespace: str, pod: str, port: int, host: str) -> list[bytes]:
    # A fault's file is read by whoever lists experiments, and must not bring a client with it.
    from harness.cluster import forwarding

    with forwarding.opened(kube.access, namespace, pod, port) as stream:
        found = certificate(stream, host)
    return [found] if found else []


def certificate(stream: Stream, host: str) -> bytes | None:
    """Shake hands over a stream and return the server's certificate, whatever it is worth; raises OSError."""
    import ssl

    from harness.cluster.secured import Secured

    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    return Secured(stream, trust, host).shake()
