"""What becomes of a release of a Rollout."""

from __future__ import annotations

import time

from harness.probes import kubernetes
from harness.probes.settings import Settings
from harness.workloads import releases

LOOK_EVERY = 0.5


def outcome(namespace: str, rollout: str, wait: float = 0.0, secrets: Settings = None) -> str:
    """Return whether the newest release is promoted, rolled-back or under way, after so many seconds at the most."""
    until = time.monotonic() + wait
    while True:
        found = releases.state(
            kubernetes.custom("argoproj.io/v1alpha1", namespace, "rollouts", rollout, secrets)
        ).outcome
        if found != releases.UNDER_WAY or time.monotonic() >= until:
            return found
        time.sleep(LOOK_EVERY)
