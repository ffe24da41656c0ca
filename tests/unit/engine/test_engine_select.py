"""The same seed picks the same places; names and UIDs never matter."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from harness.engine.select import least_restarted, pick
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


def test_pods_that_restarted_more_often_than_needed_are_passed_over() -> None:
    pods = [{"status": {"containerStatuses": [{"restartCount": count}]}} for count in (2, 0, 1, 0)]
    assert least_restarted(pods, 1) == [pods[1], pods[3]]
    assert least_restarted(pods, 3) == [pods[1], pods[2], pods[3]]
    assert least_restarted(pods, 9) == pods
