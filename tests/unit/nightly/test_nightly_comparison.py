"""A flip is told from a regression, a regression from chance, and what cannot be told is said to be so."""

from __future__ import annotations

import dataclasses

import pytest

from harness.errors import UsageError
from harness.model.verdict import Verdict
from harness.nightly import comparison, conduct, nights, record
from harness.nightly.comparison import CODE, GREEN, SAME
from harness.nightly.nights import Night
from harness.nightly.state import State
from tests.unit.nightly import stories

KILL = "cart/kill"


@pytest.mark.parametrize(
    ("kill", "state"),
    [
        ("P P P", State.RIGHT),
        ("P P DP", State.FLIP),
        ("P P IP", State.FLIP),
        ("P P -P", State.FLIP),
        ("P P DD", State.REGRESSION),
        ("P P XX", State.REGRESSION),
        # One earlier night is no more than chance; none is nothing at all.
        ("P DD", State.WRONG),
        ("DD", State.WRONG),
        # It never was right, or not more often than now.
        ("DD DD DD", State.WRONG),
        ("DD P DD", State.WRONG),
        # It was not asked twice.
        ("P P D", State.WRONG),
        ("P P X", State.WRONG),
        # A busy machine is never blamed on the system.
        ("P P II", State.UNPROVEN),
        ("P P DI", State.UNPROVEN),
        ("P P --", State.UNPROVEN),
        ("P P AA", State.UNPROVEN),
        ("P P ID", State.WRONG),
        # It stays one as long as it is not mended, and a flip in between does not unmake it.
        ("P P DD DD DD", State.REGRESSION),
        ("P P P P P DP P DD", State.REGRESSION),
        ("P P . . DD", State.REGRESSION),
    ],
)
def test_a_night_tells_what_became_of_an_experiment(kill: str, state: State) -> None:
    assert comparison.state(KILL, stories.nights(kill=kill)) is state


def test_a_declared_weakness_that_no_longer_shows_is_a_change_like_any_other() -> None:
    runs = [stories.run(night, KILL, 1, "DEVIATED", expected="DEVIATED") for night in range(2)]
    runs += [stories.run(2, KILL, attempt, "PASS", expected="DEVIATED") for attempt in (1, 2)]
    assert comparison.state(KILL, nights.fold(runs)) is State.REGRESSION


def test_a_weakness_that_shows_as_declared_is_right() -> None:
    runs = [stories.run(0, KILL, 1, "INCONCLUSIVE", expected="INCONCLUSIVE")]
    assert comparison.state(KILL, nights.fold(runs)) is State.RIGHT


def compared(kill: str, reference: str) -> comparison.Compared:
    found = comparison.compare(KILL, reference, stories.nights(kill=kill))
    assert found
    return found


def test_a_regression_is_named_with_its_counts_and_its_interval() -> None:
    found = compared("P P P P DD", GREEN)
    assert (found.right, found.runs, found.right_before, found.runs_before) == (0, 2, 4, 4)
    assert comparison.verdicts(found) == (
        "as declared in 0 of 2 runs, before in 4 of 4: 18 to 100 points less often (95 %)"
    )


def test_what_was_mended_is_named_too() -> None:
    found = compared("DD DD P P P", SAME)
    assert comparison.verdicts(found).startswith("as declared in 1 of 1 runs, before in 2 of 6: cannot be told")
    assert compared("DD DD DD DD DD DD P", SAME).better


def test_a_flip_counts_by_its_second_run_so_that_it_is_no_half_regression() -> None:
    found = compared(f"{'P ' * 29}DP", GREEN)
    assert (found.right, found.runs, found.told) == (1, 1, False)


def test_runs_that_say_nothing_about_the_system_do_not_count() -> None:
    found = compared("P II P DI II", GREEN)
    assert (found.right, found.runs, found.right_before, found.runs_before) == (0, 1, 2, 2)


def with_codes(*codes: object) -> list[Night]:
    runs = [stories.run(number, KILL, 1, "PASS", code=code) for number, code in enumerate(codes)]
    return nights.fold(runs)


@pytest.mark.parametrize(
    ("codes", "same", "before"),
    [
        ([stories.OLD, stories.OLD, stories.NEW], None, 2),
        ([stories.NEW, stories.OLD, stories.NEW, stories.NEW], 2, 2),
        ([stories.NEW, stories.NEW], 1, None),
    ],
)
def test_nights_on_the_same_code_and_before_it_are_told_apart(
    codes: list[object], same: int | None, before: int | None
) -> None:
    seen = with_codes(*codes)
    found = {name: comparison.compare(KILL, name, seen) for name in (SAME, CODE)}
    assert [one and one.runs_before for one in found.values()] == [same, before]


def test_another_document_is_another_code() -> None:
    runs = [stories.run(number, KILL, 1, "PASS", document=text) for number, text in enumerate(("old", "new"))]
    assert comparison.compare(KILL, SAME, nights.fold(runs)) is None


def test_a_night_that_is_named_is_the_last_of_those_before() -> None:
    seen = stories.nights(kill="P P D P DD")
    found = comparison.compare(KILL, seen[1].name, seen)
    assert found
    assert (found.night, found.runs_before, found.runs) == (seen[1].name, 2, 4)


def test_a_night_is_named_by_the_start_of_its_name_and_an_unknown_one_refused() -> None:
    seen = stories.nights(kill="P P P")
    assert comparison.references(None, seen) == (GREEN, CODE, SAME)
    assert comparison.references("same", seen) == (SAME,)
    assert comparison.references(seen[1].name[:8], seen) == (seen[1].name,)
    with pytest.raises(UsageError, match="the history has no night 'gren'"):
        comparison.references("gren", seen)


def times(*values: float | None) -> list[Night]:
    runs = [stories.run(number, KILL, 1, "PASS", recovery=value) for number, value in enumerate(values)]
    runs[-1] = dataclasses.replace(runs[-1], code=stories.NEW)
    return nights.fold(runs)


def test_a_recovery_that_takes_longer_is_told_with_its_interval() -> None:
    runs = [stories.run(number, KILL, 1, "PASS", recovery=2.0 + number / 10) for number in range(8)]
    runs += [
        stories.run(number, KILL, 1, "PASS", recovery=6.0 + number / 10, code=stories.NEW) for number in range(8, 14)
    ]
    found = comparison.compare(KILL, CODE, nights.fold(runs))
    assert found
    assert found.moved
    assert not found.worse
    assert comparison.recovery(found) == "recovery 7.0 s (median of 6), before 2.3 s (of 8): 4.4 s to 5 s later"


def test_one_night_cannot_tell_that_recovery_takes_longer() -> None:
    found = comparison.compare(KILL, CODE, times(2.0, 2.1, 2.2, 9.0))
    assert found
    assert not found.told
    assert comparison.recovery(found) == "recovery 9 s (median of 1), before 2.1 s (of 3): too few to tell"


def test_the_confidence_about_recovery_is_shared_out_among_all_that_are_asked() -> None:
    seen = times(*(2.0 + number / 10 for number in range(50)), 9.0)
    alone, among = (comparison.compare(KILL, CODE, seen, among=number) for number in (1, 17))
    assert alone
    assert among
    assert alone.moved
    assert not among.moved


def test_a_recovery_that_was_never_seen_is_not_compared() -> None:
    found = comparison.compare(KILL, CODE, times(None, None, 3.0))
    assert found
    assert comparison.recovery(found) == ""


@pytest.mark.parametrize(
    ("kill", "freeze", "code"),
    [
        ("P P P", "P P P", 0),
        ("P P DP", "P P P", 0),
        ("P P DD", "P P P", 1),
        ("P P II", "P P P", 2),
        ("P P DD", "P P II", 1),
        ("P P DI", "P P P", 2),
        ("P P X", "P P .", 6),
        # The second flip within twelve nights is one too many, and counts as what its first run was.
        ("P DP DP", "P P P", 1),
        ("P IP IP", "P P P", 2),
        ("P DP P", "P P P", 0),
        (f"DP {'P ' * 11}DP", f"{'P ' * 13}", 0),
    ],
)
def test_the_last_runs_decide_and_a_flip_only_when_it_comes_too_often(kill: str, freeze: str, code: int) -> None:
    assert conduct.code(stories.nights(kill=kill, freeze=freeze)) == code


def test_another_clusters_nights_are_left_out() -> None:
    runs = [stories.run(0, KILL, 1, "PASS"), stories.run(1, KILL, 1, "DEVIATED", context="staging")]
    runs.append(stories.run(2, KILL, 1, "PASS"))
    assert [night.started for night in nights.until(runs, None)] == [runs[0].started, runs[2].started]
    assert [night.right for night in nights.until(runs, runs[1].night)] == [0]
    assert nights.until(runs, "nothing") == []


def test_every_verdict_is_either_a_judgement_or_says_nothing_about_the_system() -> None:
    assert {Verdict.INCONCLUSIVE, Verdict.ABORTED} == set(Verdict) - record.JUDGED
