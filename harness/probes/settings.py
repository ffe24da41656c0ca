"""Where probes look: what the engine named for this run, before anything else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

Settings = Mapping[str, Any] | None

GATEWAY = "http://127.0.0.1:18080"
GATEWAY_HOST = "api.claude-ecosystem.com"
PROMETHEUS = "http://127.0.0.1:19090"


def gateway(url: str | None) -> str:
    """Return the gateway's address."""
    return url or os.environ.get("HARNESS_GATEWAY") or GATEWAY


def prometheus(configuration: Settings) -> str:
    """Return Prometheus' address: the experiment's configuration, the environment, the local cluster's port."""
    named = (configuration or {}).get("prometheus_base_url")
    return str(named or os.environ.get("HARNESS_PROMETHEUS") or PROMETHEUS)


def cluster(secrets: Settings) -> tuple[str | None, str | None]:
    """Return kubeconfig and context; None leaves the choice to the kubeconfig's own rules."""
    context = (secrets or {}).get("KUBERNETES_CONTEXT") or os.environ.get("HARNESS_CONTEXT")
    return os.environ.get("HARNESS_KUBECONFIG") or None, str(context) if context else None
