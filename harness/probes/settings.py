"""Where probes look: what the engine named for this run, before anything else."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from harness.errors import PreconditionFailed

Settings = Mapping[str, Any] | None

GATEWAY = "http://127.0.0.1:18080"
GATEWAY_HOST = "api.claude-ecosystem.com"
PROMETHEUS = "http://127.0.0.1:19090"


def gateway(url: str | None) -> str:
    """Return the gateway's address; raises PreconditionFailed where nobody named that of a foreign cluster."""
    return url or os.environ.get("HARNESS_GATEWAY") or _local(GATEWAY, "the gateway", "HARNESS_GATEWAY")


def gateway_host(name: str | None) -> str:
    """Return the host that the gateway is asked for."""
    return name or os.environ.get("HARNESS_HOST") or GATEWAY_HOST


def prometheus(configuration: Settings) -> str:
    """Return Prometheus' address: the experiment's configuration, the environment, the local cluster's port.

    Raises PreconditionFailed where nobody named that of a foreign cluster.
    """
    named = (configuration or {}).get("prometheus_base_url") or os.environ.get("HARNESS_PROMETHEUS")
    return str(named or _local(PROMETHEUS, "Prometheus", "HARNESS_PROMETHEUS"))


def cluster(secrets: Settings) -> tuple[str | None, str | None]:
    """Return kubeconfig and context; None leaves the choice to the kubeconfig's own rules."""
    context = (secrets or {}).get("KUBERNETES_CONTEXT") or os.environ.get("HARNESS_CONTEXT")
    return os.environ.get("HARNESS_KUBECONFIG") or None, str(context) if context else None


def loopback(url: str) -> bool:
    """Say whether a URL is of this machine, which no proxy can reach for us."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _local(address: str, what: str, variable: str) -> str:
    # The engine knows its own cluster by more than a name that anybody's kubeconfig can have.
    context = os.environ.get("HARNESS_CONTEXT")
    if context and os.environ.get("HARNESS_LOCAL") != "1":
        raise PreconditionFailed(
            f"nobody said where {what} of this cluster is",
            where=context,
            why="the local cluster's answers would say nothing about another one",
            hint=f"{variable}=http://... names it",
        )
    return address
