"""A pod is picked by more than its labels: annotations, controllers, names and age, as chaoskube has it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from harness.model import selector
from harness.model.fault import Filter
from harness.targets import filters

NOW = datetime(2026, 11, 30, 10, tzinfo=UTC)
POD = {
    "metadata": {
        "name": "web-canary-1",
        "creationTimestamp": "2026-11-30T09:00:00Z",
        "annotations": {"chaos": "yes", "team/owner": "shop"},
        "ownerReferences": [{"kind": "ReplicaSet"}],
    }
}
BARE = {"metadata": {"name": "bare", "creationTimestamp": "2026-11-30T09:59:59Z"}}


@pytest.mark.parametrize(
    ("asked", "picks", "picks_bare"),
    [
        (Filter(annotations="chaos=yes"), True, False),
        (Filter(annotations="chaos==no"), False, False),
        (Filter(annotations="chaos!=no"), True, True),
        (Filter(annotations="chaos in (yes, sure),team/owner"), True, False),
        (Filter(annotations="chaos notin (no)"), True, True),
        (Filter(annotations="!chaos"), False, True),
        (Filter(kinds=("ReplicaSet", "DaemonSet")), True, False),
        (Filter(kinds=("!ReplicaSet",)), False, True),
        (Filter(kinds=("!DaemonSet",)), True, True),
        (Filter(included="canary"), True, False),
        (Filter(excluded="canary"), False, True),
        (Filter(included="^web", excluded="-2$"), True, False),
        (Filter(minimum_age=3600), True, False),
        (Filter(minimum_age=3601), False, False),
        (Filter(), True, True),
    ],
)
def test_a_pod_is_what_is_asked_for(asked, picks, picks_bare) -> None:
    assert filters.passes(asked, POD, NOW) is picks
    assert filters.passes(asked, BARE, NOW) is picks_bare


def test_a_pod_grows_old_enough() -> None:
    asked = Filter(minimum_age=60)
    assert [filters.passes(asked, BARE, NOW + timedelta(seconds=seconds)) for seconds in (58, 59)] == [False, True]


@pytest.mark.parametrize("text", ["chaos>3", "a=b=c", "in (a)", "a in ()", "", "a b"])
def test_what_is_no_selector_is_refused(text) -> None:
    with pytest.raises(ValueError, match="not a term of a selector"):
        selector.parse(text)


def test_what_is_asked_for_is_said_where_nothing_matches() -> None:
    asked = Filter("chaos=yes", ("ReplicaSet",), "^web", "-2$", 600)
    assert filters.words(asked) == [
        "annotations chaos=yes", "kinds ReplicaSet", "names like ^web", "names unlike -2$", "older than 600 s",
    ]  # fmt: skip
    assert filters.words(None) == []
