"""What a service reads from its environment; names follow the seed where it has them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from claude_services.breaker import Limits


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How long and how often one call to a dependency tries."""

    attempt_timeout: float = 0.35
    deadline: float = 0.7
    retries: int = 3
    backoff: float = 0.02
    backoff_cap: float = 0.2


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a service is told from outside."""

    name: str
    pod: str
    port: int
    metrics_port: int
    log_level: str
    drain_seconds: float
    warm_up_seconds: float
    max_in_flight: int
    """How many requests are answered at a time; 0 is no limit."""
    registry_url: str
    router_url: str
    breaker_mode: str
    limits: Limits
    client: ClientSettings
    snapshot_seconds: float
    agents: int
    fail_share: float = 0.0
    """Which share of its requests a service answers with 500: a bad release, for whoever must notice it."""
    delay_seconds: float = 0.0
    """How long it keeps each request waiting before it does anything: a slow release."""


def from_environment(name: str, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of the service `name`; a value that does not parse stops the start."""
    env = os.environ if environment is None else environment
    limits, client = Limits(), ClientSettings()
    return Settings(
        name=name,
        pod=env.get("POD_NAME", name),
        port=int(env.get("PORT", "8080")),
        metrics_port=int(env.get("METRICS_PORT", "9090")),
        log_level=env.get("LOG_LEVEL", "info"),
        drain_seconds=float(env.get("DRAIN_SECONDS", "10")),
        warm_up_seconds=float(env.get("WARM_UP_SECONDS", "0")),
        max_in_flight=int(env.get("MAX_IN_FLIGHT", "64")),
        registry_url=env.get("REGISTRY_URL", "http://claude-agent-registry"),
        router_url=env.get("ROUTER_URL", "http://claude-tool-router"),
        breaker_mode=env.get("BREAKER_MODE", "fixed"),
        limits=Limits(
            failure_threshold=int(env.get("BREAKER_FAILURE_THRESHOLD", limits.failure_threshold)),
            recovery_timeout=float(env.get("BREAKER_RECOVERY_SECONDS", limits.recovery_timeout)),
            window=float(env.get("BREAKER_WINDOW_SECONDS", limits.window)),
            volume_threshold=int(env.get("BREAKER_VOLUME_THRESHOLD", limits.volume_threshold)),
            error_ratio=float(env.get("BREAKER_ERROR_RATIO", limits.error_ratio)),
        ),
        client=ClientSettings(
            attempt_timeout=float(env.get("CLIENT_TIMEOUT_SECONDS", client.attempt_timeout)),
            deadline=float(env.get("CLIENT_DEADLINE_SECONDS", client.deadline)),
            retries=int(env.get("CLIENT_RETRIES", client.retries)),
            backoff=float(env.get("CLIENT_BACKOFF_SECONDS", client.backoff)),
            backoff_cap=float(env.get("CLIENT_BACKOFF_CAP_SECONDS", client.backoff_cap)),
        ),
        snapshot_seconds=float(env.get("SNAPSHOT_SECONDS", "10")),
        agents=int(env.get("AGENTS", "100")),
        fail_share=float(env.get("FAIL_SHARE", "0")),
        delay_seconds=float(env.get("DELAY_SECONDS", "0")),
    )
