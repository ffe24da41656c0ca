"""The same seed picks the same places; names and UIDs never matter."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engine.select import pick, soonest
from harness.errors import InjectionFailed
from harness.model.fault import Target
from harness.model.plan import Victim


def pods(count: int, prefix: str = "pod") -> list[Victim]:
    """Make pods spread over three zones, with names that carry no meaning."""
    return [
        Victim(
            kind="pod",
            name=f"{prefix}-{n}",
            uid=f"{prefix}-uid-{n}",
            namespace="shop",
            zone="abc"[n % 3],
            owner="Deployment/web",
        )
        for n in range(count)
    ]


def places(victims: Sequence[Victim]) -> list[tuple[str, str]]:
    """Give the zone and the number of each victim."""
    return [(victim.zone, victim.name.rpartition("-")[2]) for victim in victims]


@given(seed=st.integers(), count=st.integers(1, 6))
def test_one_seed_picks_the_same_places_whatever_the_names(seed: int, count: int) -> None:
    first = pick(pods(6, "old"), count, random.Random(seed))
    second = pick(pods(6, "new"), count, random.Random(seed))
    assert places(first) == places(second)
    assert len(first) == count


@given(seed=st.integers())
def test_victims_are_taken_from_every_zone_before_a_zone_gives_two(seed: int) -> None:
    assert {victim.zone for victim in pick(pods(9), 3, random.Random(seed))} == {"a", "b", "c"}


def test_different_seeds_pick_different_pods() -> None:
    picked = {places(pick(pods(9), 1, random.Random(seed)))[0] for seed in range(40)}
    assert len(picked) > 3


def test_no_more_is_picked_than_there_is() -> None:
    assert len(pick(pods(2), 5, random.Random(1))) == 2


NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def restarted(waited: float | None, name: str = "web", ago: float = 60) -> dict[str, Any]:
    """Make a pod whose container was started `ago` seconds before NOW, after a wait; None: it never ended."""
    started = NOW - timedelta(seconds=ago)
    status: dict[str, Any] = {"name": "web", "state": {"running": {"startedAt": started.isoformat()}}}
    if waited is not None:
        ended = started - timedelta(seconds=waited)
        status["lastState"] = {"terminated": {"finishedAt": ended.isoformat()}}
    spec = {"containers": [{"name": "web"}]}
    return {"metadata": {"name": name}, "spec": spec, "status": {"containerStatuses": [status]}}


def test_pods_that_the_kubelet_would_start_again_late_are_passed_over() -> None:
    pods = [restarted(42), restarted(None), restarted(16), restarted(None)]
    target = partial(Target, "shop", "app=web")
    assert soonest(pods, target(pods=1), 60, NOW) == [pods[1], pods[3]]
    assert soonest(pods, target(pods=3), 60, NOW) == [pods[1], pods[2], pods[3]]
    assert soonest(pods, target(pods=9), 60, NOW) == pods


def test_a_container_that_would_be_back_too_late_is_not_killed() -> None:
    pods = [restarted(None), restarted(42, "shop-1")]
    target = Target("shop", "app=web", pods=2)
    assert soonest(pods, target, 95, NOW) == pods
    with pytest.raises(InjectionFailed, match="only after about 80 s") as refused:
        soonest(pods, target, 94, NOW)
    assert refused.value.where == "shop/shop-1"
    assert "harness up" in refused.value.hint


def test_only_the_container_that_would_be_killed_counts() -> None:
    pod = restarted(160)
    target = Target("shop", "app=web", pods=1, container="sidecar")
    assert soonest([pod], target, 60, NOW) == [pod]
