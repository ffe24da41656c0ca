"""Intervals say how sure a number is: never surer than the runs allow."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.nightly import interval

shares = st.integers(0, 200).flatmap(lambda runs: st.tuples(st.integers(0, runs), st.just(runs)))


@pytest.mark.parametrize(
    ("hits", "runs", "low", "high"),
    [
        # Newcombe 1998, table I: the score method on 81/263, 15/148, 0/20 and 1/29.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_a_share_has_the_interval_of_the_published_examples(hits: int, runs: int, low: float, high: float) -> None:
    found = interval.wilson(hits, runs)
    assert found == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@pytest.mark.parametrize(
    ("hits", "runs", "before", "runs_before", "low", "high"),
    [
        # Newcombe 1998, table II, method 10.
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (10, 10, 0, 20, 0.6791, 1.0),
        (10, 10, 0, 10, 0.6075, 1.0),
    ],
)
def test_a_difference_has_the_interval_of_the_published_examples(
    hits: int, runs: int, before: int, runs_before: int, low: float, high: float
) -> None:
    found = interval.difference(hits, runs, before, runs_before)
    assert found == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(shares)
def test_a_share_lies_inside_its_interval_and_the_interval_inside_nothing_and_all(share: tuple[int, int]) -> None:
    hits, runs = share
    low, high = interval.wilson(hits, runs)
    assert 0 <= low <= (hits / runs if runs else 0.5) <= high <= 1


@given(shares)
def test_the_interval_of_the_rest_is_the_mirror_image(share: tuple[int, int]) -> None:
    hits, runs = share
    low, high = interval.wilson(hits, runs)
    assert interval.wilson(runs - hits, runs) == (pytest.approx(1 - high), pytest.approx(1 - low))


@given(shares, st.integers(2, 9))
def test_more_runs_of_the_same_share_are_never_less_sure(share: tuple[int, int], times: int) -> None:
    hits, runs = share
    low, high = interval.wilson(hits, runs)
    lower, higher = interval.wilson(hits * times, runs * times)
    assert higher - lower <= high - low + 1e-12


@given(shares, shares)
def test_a_difference_turned_round_changes_its_sign(one: tuple[int, int], other: tuple[int, int]) -> None:
    low, high = interval.difference(*one, *other)
    assert interval.difference(*other, *one) == (pytest.approx(-high), pytest.approx(-low))
    assert -1 <= low <= high <= 1


def test_two_shares_of_which_one_was_never_seen_can_differ_by_anything() -> None:
    assert interval.difference(0, 0, 5, 5) == (-1.0, 1.0)
    assert interval.difference(5, 5, 0, 0) == (-1.0, 1.0)


def test_two_wrong_runs_after_two_right_ones_are_told_apart_and_after_one_they_are_not() -> None:
    assert interval.difference(0, 2, 2, 2)[1] < 0
    assert interval.difference(0, 2, 1, 1)[1] > 0


def test_a_share_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        interval.wilson(3, 2)


@pytest.mark.parametrize(("flips", "alarm"), [([True], False), ([True, True], True), ([False] * 30 + [True], False)])
def test_one_flip_is_suffered_and_two_in_a_row_are_not(flips: list[bool], alarm: bool) -> None:
    assert (interval.suspicion(flips) >= interval.ALARM) is alarm


def test_a_history_that_keeps_the_allowed_rate_is_hardly_ever_blamed_although_it_is_looked_at_every_night() -> None:
    chance = random.Random(9)
    blamed = 0
    for _ in range(1000):
        flips = [chance.random() < interval.ALLOWED for _ in range(120)]
        blamed += any(interval.suspicion(flips[: night + 1]) >= interval.ALARM for night in range(120) if flips[night])
    assert blamed <= 50


def test_a_flip_rate_of_one_in_ten_is_found_within_four_months() -> None:
    chance = random.Random(9)
    found = 0
    for _ in range(200):
        flips = [chance.random() < 0.1 for _ in range(120)]
        found += any(interval.suspicion(flips[: night + 1]) >= interval.ALARM for night in range(120) if flips[night])
    assert found >= 190
