"""A release must be watched for as long as it may take: what is taken back before is never late."""

from __future__ import annotations

import pytest

from harness.checkers import OBJECTIVES
from tests.unit.documents.test_documents_refusals import BUDGET, DEADLINE, FUNC, TARGET

DECIDED = """\
  - type: probe
    name: wait until it is decided
    pauses: {after: 2}
    provider:
      type: python
      module: MODULE
      func: outcome
      timeout: 80
      arguments: {namespace: shop, rollout: cart, wait: 70}
"""


def release(within: str, *steps: str) -> tuple[tuple[str, str], ...]:
    method = (
        (FUNC, "func: workload_release\n"),
        (DEADLINE, ""),
        (TARGET, TARGET.replace("pods: 3, at-once: 3", "workloads: 1")),
    )
    promise = (BUDGET, f"      canary: {{promoted: true, within: {within}}}\n")
    return (*method, promise, ("rollbacks: []", "".join(steps) + "rollbacks: []"))


@pytest.mark.parametrize(
    ("within", "steps", "watched"),
    [
        ("11s", [], "10 s"),
        ("83s", [DECIDED.replace("MODULE", "probes.rollout")], "82 s"),
        ("93s", [DECIDED.replace("MODULE", "of.others")], "92 s"),
        ("88s", [DECIDED.replace("MODULE", "probes.mesh").replace("70}", "70, seconds: 5}")], "87 s"),
    ],
)
def test_a_release_that_is_taken_back_before_it_may_be_late_is_refused(refused, within, steps, watched):
    told = "\n".join(refused(*release(within, *steps)))
    assert f"is not watched so long: it is taken back after {watched} at the latest" in told


@pytest.mark.parametrize(
    ("within", "steps"),
    [
        ("10s", []),
        ("82s", [DECIDED.replace("MODULE", "probes.rollout")]),
        ("92s", [DECIDED.replace("MODULE", "of.others")]),
        ("87s", [DECIDED.replace("MODULE", "probes.mesh").replace("70}", "70, seconds: 5}")]),
        ("1h", [DECIDED.replace("MODULE", "of.others").replace("      timeout: 80\n", "")]),
    ],
)
def test_a_release_that_is_watched_as_long_as_it_may_take_is_read(loaded, within, steps):
    assert loaded(*release(within, *steps))


@pytest.mark.parametrize("outcome", ["", "given_up: true, ", "promoted: mabe, ", "rolled-back: null, "])
def test_what_becomes_of_a_release_is_to_be_promised(refused, outcome):
    told = "\n".join(refused(*release("10s"), ("{promoted: true, ", "{" + outcome)))
    assert "promoted, rolled-back, given-up" in told or "is not true or false" in told


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_whose_parameters_could_not_be_read_is_asked_what_it_misses_all_the_same(name):
    missed = OBJECTIVES[name].missed
    told = missed({}, []) if missed else None
    assert told is None or told.what
