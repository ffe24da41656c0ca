"""Tell from a pod's status how long the kubelet would wait before it starts a container again.

The kubelet starts a container that ended at once the first time, then after 10 s, 20 s, 40 s, at most 300 s, and
forgets after ten minutes without an end (Kubernetes, "Pod lifecycle", container restarts). It keeps the count to
itself, by pod: what the last restart waited tells what the next one will, and a new pod begins anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

Status = Mapping[str, Any]
WAITS = (10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
FORGOTTEN_SECONDS = 600.0
CRASHING = "CrashLoopBackOff"
TOLD = re.compile(r"back-off (?:(?P<minutes>\d+)m)?(?:(?P<seconds>\d+)s)? ")
# What the runtime and the kubelet call an end that they were not there for: a restart of the node.
UNSEEN = ("Unknown", "ContainerStatusUnknown")


def statuses(pod: Mapping[str, Any]) -> Iterator[Status]:
    """Yield the states of a pod's containers, sidecars that the API calls init containers included."""
    status = pod.get("status", {})
    yield from status.get("containerStatuses") or []
    yield from status.get("initContainerStatuses") or []


def expected(container: Status, now: datetime) -> float:
    """Return the seconds that the kubelet would wait if this container ended `now`, or does wait.

    An estimate: the kubelet looks only every few seconds, which makes the last wait, as seen, a little longer than
    its back-off. A kubelet that was started with its node knows nothing of before.
    """
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    if waiting.get("reason") == CRASHING:
        told = TOLD.search(waiting.get("message") or "")
        return 60.0 * int(told["minutes"] or 0) + int(told["seconds"] or 0) if told else WAITS[-1]
    running, last = state.get("running"), (container.get("lastState") or {}).get("terminated")
    if not running or not last:
        return 0.0
    if last.get("reason") in UNSEEN or not (running.get("startedAt") and last.get("finishedAt")):
        return WAITS[0]
    started, ended = (datetime.fromisoformat(text) for text in (running["startedAt"], last["finishedAt"]))
    if (now - started).total_seconds() >= FORGOTTEN_SECONDS:
        return 0.0
    waited = (started - ended).total_seconds()
    return next((wait for wait in WAITS if wait > waited), WAITS[-1])
