"""What a method does when, and what may be broken together."""

from __future__ import annotations

import pytest

from harness.model.experiment import Activity
from harness.model.fault import FaultSpec, Target
from harness.model.timeline import composed, spans, together


def step(name: str, *, before: float = 0, after: float = 0, background: bool = False, **course: float) -> Activity:
    fault = FaultSpec("pod_freeze", name, Target("shop", "a=b", pods=1), **course)  # type: ignore[arg-type]
    return Activity("action", name, {}, None, before, after, fault, background=background)


def times(*method: Activity) -> tuple[list[tuple[str, float, float | None]], float]:
    found, over = spans(method)
    return [(one.activity.name, one.start, one.end) for one in found], over


def test_a_sequence_begins_each_step_when_the_last_is_over() -> None:
    assert times(step("a", duration=10, after=2), step("b", before=3, duration=5)) == (
        [("a", 0, 10), ("b", 15, 20)],
        20,
    )


def test_steps_in_the_background_overlap_and_pauses_stagger_them() -> None:
    found, over = times(
        step("a", background=True, duration=20),
        step("b", background=True, before=5, duration=20),
        step("c", before=10, duration=1),
    )
    assert (found, over) == ([("a", 0, 20), ("b", 5, 25), ("c", 10, 11)], 25)


def test_a_repetition_begins_again_after_so_long_or_when_the_last_is_over() -> None:
    assert times(step("a", times=3, every=10, duration=4)) == ([("a", 0, 24)], 24)
    assert times(step("a", times=3, every=1, duration=4)) == ([("a", 0, 12)], 12)


def test_what_has_no_duration_lasts_until_the_method_is_over() -> None:
    assert times(step("a"), step("b", duration=5)) == ([("a", 0, None), ("b", 0, 5)], 5)


def test_groups_of_one_step_last_one_after_the_other() -> None:
    ((span,), over) = spans([step("a", duration=4)], {"a": 3})
    assert (span.end, over) == (12, 12)


@pytest.mark.parametrize(
    ("method", "broken"),
    [
        ([step("a"), step("b")], ["a", "ab"]),
        ([step("a", duration=1), step("b")], ["a", "b"]),
        ([step("a", duration=1), step("b"), step("c", duration=1)], ["a", "b", "bc"]),
        # Nobody knows how long it takes to heal beside others.
        ([step("a", duration=1, background=True), step("b", duration=1, before=900)], ["a", "ab"]),
        ([step("a", times=2), step("b")], ["a", "b"]),
    ],
)
def test_what_is_healed_before_the_next_begins_is_not_broken_beside_it(method, broken) -> None:
    assert together(method) == [frozenset(names) for names in broken]


def test_one_fault_that_lasts_is_no_composition() -> None:
    assert not composed([step("a")], ())
    assert composed([step("a", duration=1)], ())
    assert composed([step("a"), step("b")], ())
