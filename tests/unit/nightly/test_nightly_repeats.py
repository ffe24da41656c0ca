"""Verdicts of many runs are counted, and a flip is told from a verdict that is always wrong."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from harness.model.verdict import Verdict
from harness.nightly import repeats
from harness.nightly.repeats import Tally

ended = st.lists(
    st.tuples(st.sampled_from(["a/kill", "b/freeze"]), st.sampled_from([*Verdict, repeats.NONE]), st.booleans())
)


def test_a_verdict_that_is_always_wrong_never_flips() -> None:
    (tally,) = repeats.count([("a/kill", "DEVIATED", False)] * 10)
    assert (tally.right, tally.runs, tally.flips) == (0, 10, 0)


def test_the_rarer_verdicts_are_the_flips() -> None:
    (tally,) = repeats.count([("a/kill", verdict, verdict == "PASS") for verdict in ["PASS"] * 7 + ["DEVIATED"] * 3])
    assert (tally.right, tally.flips) == (7, 3)


@given(ended)
def test_no_run_is_lost_and_none_is_counted_twice(runs: list[tuple[str, str, bool]]) -> None:
    tallies = repeats.count(runs)
    assert sum(tally.runs for tally in tallies) == len(runs)
    assert {tally.experiment: tally.runs for tally in tallies} == Counter(name for name, _, _ in runs)
    assert all(0 <= tally.flips < tally.runs and tally.right <= tally.runs for tally in tallies)
    assert [len(row) for row in repeats.rows(tallies)] == [len(repeats.HEADER)] * (len(tallies) + 1)


def test_pass_is_written_first_and_then_the_worst() -> None:
    counted = {"INCONCLUSIVE": 1, repeats.NONE: 2, "PASS": 3, "DIRTY": 4}
    assert repeats.spelled(counted) == "3 PASS, 4 DIRTY, 1 INCONCLUSIVE, 2 no verdict"


def test_the_table_is_lined_up() -> None:
    lines = repeats.table([Tally("orchestrator/pod_kill", {"PASS": 10}, 10), Tally("nodes/drain", {"PASS": 9}, 9)])
    assert lines[1] == "orchestrator/pod_kill  10    10 PASS   10 of 10     0.0 %      0.0 to 27.8 %"
    assert lines[3] == "all                    19    19 PASS   19 of 19     0.0 %      0.0 to 16.8 %"
