"""Reach a port of a pod by way of the API server, as `kubectl port-forward` does: a new connection from outside."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any, Protocol

from harness.cluster.kubeconfig import official
from harness.cluster.kubeconfig.access import Access
from harness.errors import ApiError, ClusterUnreachable

SECONDS = 10.0
# What the client itself refuses has no status.
REFUSED = 0
# How it tells what the API server answered; all else is a connection that was not made.
ANSWERED = re.compile(r"Handshake status (\d{3}) ?(\w*)")
OWN_RULES = "leave out"


class Stream(Protocol):
    """The two ends of a connection that is used here."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of it."""

    def recv(self, size: int, /) -> bytes:
        """Receive at most so much; nothing at its end."""


@contextlib.contextmanager
def opened(access: Access, namespace: str, pod: str, port: int) -> Iterator[Stream]:
    """Open a connection to a port of a pod; blocks. Raises ApiError, and ClusterUnreachable.

    It is the official client's, so an impersonating identity and a SOCKS proxy are refused.
    """
    # Before it is imported, so that nothing of it holds what is replaced.
    official.install()
    # That takes a second, and few faults ask for it.
    from kubernetes.client import ApiClient, ApiException, Configuration, CoreV1Api
    from kubernetes.stream import portforward

    configuration = Configuration()
    official.configure(configuration, access)
    where = f"{namespace}/{pod}:{port}"
    with ApiClient(configuration) as client:
        ask = CoreV1Api(client).connect_get_namespaced_pod_portforward
        try:
            forward: Any = portforward(ask, pod, namespace, ports=str(port))
        except ApiException as error:
            raise _refusal(str(error.reason), where) from None
        try:
            stream = forward.socket(port)
            stream.settimeout(SECONDS)
            yield stream
        finally:
            forward.close()


def _refusal(reason: str, where: str) -> ApiError | ClusterUnreachable:
    """Tell apart what the official client makes one error of: refusals of the API server and its own, no connection."""
    if answered := ANSWERED.search(reason):
        status = int(answered[1])
        if status in (401, 403):
            return ApiError(status, answered[2] or "Forbidden", "to forward a port (pods/portforward)", where=where)
        return ClusterUnreachable("no connection to the pod", where=where, why=f"the API server answers {status}")
    if OWN_RULES in reason:
        return ApiError(REFUSED, "Refused", reason, where=where)
    return ClusterUnreachable("no connection to the pod", where=where, why=reason)
