"""Watch the autoscalers of a namespace: how many pods each wants, and whether it can see what it decides by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.cluster.kube import Kube
from harness.engine.watching.releases import Emit, Told, each
from harness.workloads import autoscalers


async def watch(kube: Kube, namespace: str, emit: Emit) -> None:
    """Sample how many pods each autoscaler wants whenever it says something new, until cancelled.

    Where nobody may look nothing is sampled.
    """
    await each(kube, autoscalers.path(namespace), _told, emit)


def _told(item: Mapping[str, Any]) -> Told:
    metadata, now = item["metadata"], autoscalers.state(item)
    labels = {"target": now.target, "least": str(now.least), "most": str(now.most)}
    more = {
        "blind": "yes" if now.blind else "",
        "limited": now.limited,
        "measured": ", ".join(now.measured),
        "message": now.message,
    }
    said = {key: value for key, value in more.items() if value}
    return Told(f"autoscaler/{metadata['namespace']}/{metadata['name']}", now.wanted, labels | said)
