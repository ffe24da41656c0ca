"""A shift between two handfuls of times is told with an interval, or not at all."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations
from math import comb
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.nightly import shift

times = st.lists(st.integers(0, 10_000).map(float), min_size=1, max_size=12, unique=True)


@pytest.mark.parametrize(("small", "large"), [(1, 1), (1, 4), (2, 3), (3, 3), (3, 5), (4, 4)])
def test_the_orders_are_counted_as_one_by_one(small: int, large: int) -> None:
    counted: Counter[int] = Counter()
    for places in combinations(range(small + large), small):
        counted[sum(place - number for number, place in enumerate(places))] += 1
    assert shift._ways(small, large) == [counted[value] for value in range(small * large + 1)]
    assert sum(counted.values()) == comb(small + large, small)


@pytest.mark.parametrize(
    ("count", "before", "critical"),
    # Mann and Whitney's U, two sides, 5 %, as tables print it: what is no larger is beyond chance.
    [(4, 4, 0), (5, 5, 2), (6, 6, 5), (8, 8, 13), (10, 10, 23), (3, 5, 0), (5, 10, 8), (20, 20, 127)],
)
def test_the_bounds_are_those_of_the_printed_tables(count: int, before: int, critical: int) -> None:
    assert shift._cut(count, before, 0.95) == critical + 1


@pytest.mark.parametrize(("count", "before"), [(1, 1), (3, 3), (2, 7), (1, 38), (0, 5), (5, 0)])
def test_so_few_bound_nothing(count: int, before: int) -> None:
    assert shift.between([1.0] * count, [2.0] * before) is None


def test_one_night_is_told_from_thirty_nine() -> None:
    assert shift.between([9.0], [float(number) for number in range(39)]) is not None


@given(times, times, st.integers(-50, 50))
def test_what_is_added_to_all_moves_the_interval_by_as_much(late: list[float], early: list[float], by: int) -> None:
    found, moved = shift.between(late, early), shift.between([time + by for time in late], early)
    assert (found is None) is (moved is None)
    if found and moved:
        assert moved == (found[0] + by, found[1] + by)
        assert found[0] <= median(one - other for one in late for other in early) <= found[1]


@given(times, times)
def test_the_sides_turned_round_change_the_sign(late: list[float], early: list[float]) -> None:
    found, other = shift.between(late, early), shift.between(early, late)
    assert (found is None) is (other is None)
    if found and other:
        assert other == (-found[1], -found[0])


def test_where_nothing_moved_one_interval_in_twenty_at_most_says_so() -> None:
    chance = random.Random(9)
    wrong = 0
    for _ in range(1000):
        late, early = ([chance.lognormvariate(1, 0.5) for _ in range(count)] for count in (6, 12))
        low, high = shift.between(late, early) or (0.0, 0.0)
        wrong += not low <= 0 <= high
    assert wrong <= 65
