"""How long the kubelet would wait before it starts a container again is read from what the last restart waited."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness.cluster import backoff

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def container(waited: float | None, ago: float = 30) -> dict[str, Any]:
    """Make the status of a container that runs for `ago` seconds, started after a wait; None: it never ended."""
    started = NOW - timedelta(seconds=ago)
    found: dict[str, Any] = {"state": {"running": {"startedAt": f"{started:%Y-%m-%dT%H:%M:%SZ}"}}, "lastState": {}}
    if waited is not None:
        ended = started - timedelta(seconds=waited)
        found["lastState"] = {"terminated": {"finishedAt": f"{ended:%Y-%m-%dT%H:%M:%SZ}"}}
    return found


# What restarts waited as seen on Kubernetes 1.34, one kill after another: 0, 16, 21, 42 and 90 s.
@pytest.mark.parametrize(
    ("waited", "wait"), [(None, 0), (0, 10), (16, 20), (21, 40), (42, 80), (90, 160), (171, 300), (310, 300)]
)
def test_the_next_wait_is_the_step_above_the_last_one(waited: float | None, wait: float) -> None:
    assert backoff.expected(container(waited), NOW) == wait


def test_ten_minutes_without_an_end_make_the_kubelet_forget() -> None:
    assert backoff.expected(container(42, ago=599), NOW) == 80
    assert backoff.expected(container(42, ago=600), NOW) == 0


@pytest.mark.parametrize(
    ("message", "wait"),
    [
        ("back-off 10s restarting failed container=web pod=web-1", 10),
        ("back-off 2m40s restarting failed container=web pod=web-1", 160),
        ("back-off 5m0s restarting failed container=web pod=web-1", 300),
        ("something that is not known yet", 300),
        ("", 300),
    ],
)
def test_a_container_that_is_waited_for_right_now_says_how_long(message: str, wait: float) -> None:
    assert backoff.expected({"state": {"waiting": {"reason": "CrashLoopBackOff", "message": message}}}, NOW) == wait


@pytest.mark.parametrize("last", [{"reason": "Unknown"}, {"reason": "ContainerStatusUnknown", "finishedAt": None}, {}])
def test_an_end_that_nobody_saw_counts_as_the_first(last: dict[str, Any]) -> None:
    restarted = container(42)
    restarted["lastState"]["terminated"] |= {"reason": "Error", "finishedAt": None} | last
    assert backoff.expected(restarted, NOW) == 10


def test_a_container_that_is_only_starting_has_no_wait_before_it() -> None:
    assert backoff.expected({"state": {"waiting": {"reason": "PodInitializing"}}}, NOW) == 0
    assert backoff.expected({}, NOW) == 0


def test_sidecars_are_among_the_containers_of_a_pod() -> None:
    pod = {"status": {"containerStatuses": [{"name": "web"}], "initContainerStatuses": [{"name": "proxy"}]}}
    assert [one["name"] for one in backoff.statuses(pod)] == ["web", "proxy"]
    assert list(backoff.statuses({"metadata": {}})) == []
