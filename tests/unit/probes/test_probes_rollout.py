"""What became of a release is asked again and again; a look that nobody answers says nothing, until the time is up."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import ClusterUnreachable, ObservationFailed
from harness.probes import waiting
from probes import rollout

ROLLOUT = "/apis/argoproj.io/v1alpha1/namespaces/prod/rollouts/api"
REPLICA_SETS = "/apis/apps/v1/namespaces/prod/replicasets"
MARK = {"chaos.harness.dev/release": "release-1"}
UNREAD, AWAY = (503, {"kind": "Status", "reason": "ServiceUnavailable"}), (0, {})
LONG = 60.0


def told(newest: str = "new", stable: str = "new", notes: Any = None, **status: Any) -> tuple[int, Any]:
    found = {"observedGeneration": "2", "phase": "Healthy", "stableRS": stable, "currentPodHash": newest, **status}
    template = {"metadata": {"annotations": notes}, "spec": {}}
    return 200, {"metadata": {"name": "api", "generation": 2}, "spec": {"template": template}, "status": found}


def replica_set(notes: Any = None) -> tuple[int, Any]:
    labels = {"app": "api"}
    template = {"metadata": {"annotations": notes, "labels": labels}, "spec": None}
    return 200, {"metadata": {"name": "x"}, "spec": {"selector": {"matchLabels": labels}, "template": template}}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LOOK_EVERY", 0.0)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (told(), "promoted"),
        (told(stable="old", phase="Degraded", abort=True), "rolled-back"),
        (told(stable="old", phase="Progressing"), "under way"),
        # Its controller takes it for no valid one, and has never released anything.
        (told("", "", phase="Degraded", message="InvalidSpec: ..."), "under way"),
    ],
)
def test_one_look_says_what_became_of_the_newest_release(api: Any, answer: tuple[int, Any], outcome: str) -> None:
    api.answers[ROLLOUT] = answer
    assert rollout.outcome("prod", "api") == outcome


@pytest.mark.parametrize("lost", [UNREAD, (429, {}), (500, {}), AWAY])
def test_a_look_that_nobody_answered_is_made_again(api: Any, lost: tuple[int, Any]) -> None:
    api.first[ROLLOUT] = [told(stable="old", phase="Progressing"), lost, lost]
    api.answers[ROLLOUT] = told()
    assert rollout.outcome("prod", "api", LONG) == "promoted"
    assert len(api.asked) == 4


@pytest.mark.parametrize("lost", [UNREAD, AWAY])
def test_where_nobody_answers_when_the_time_is_up_nothing_is_known(api: Any, lost: tuple[int, Any]) -> None:
    api.answers[ROLLOUT] = lost
    with pytest.raises(ClusterUnreachable):
        rollout.outcome("prod", "api", 0.05)


@pytest.mark.parametrize("refusal", [(403, {}), (404, {})])
def test_a_refusal_is_an_answer(api: Any, refusal: tuple[int, Any]) -> None:
    api.answers[ROLLOUT] = refusal
    with pytest.raises(ObservationFailed, match=str(refusal[0])):
        rollout.outcome("prod", "api", LONG)
    assert len(api.asked) == 1


def test_a_status_that_still_tells_of_the_last_release_is_none_of_the_newest(api: Any) -> None:
    # A scaling at the same time: the controller has seen the template and not yet counted its pods.
    api.first[ROLLOUT] = [told("old", "old", MARK), told("new", "old", MARK, phase="Progressing")]
    api.answers[ROLLOUT] = told(notes=MARK)
    api.answers[f"{REPLICA_SETS}/api-old"] = replica_set()
    api.answers[f"{REPLICA_SETS}/api-new"] = replica_set({**MARK, "role": "stable"})
    assert rollout.outcome("prod", "api", LONG) == "promoted"
    assert [path for path, _ in api.asked].count(ROLLOUT) == 3


def under_way(weight: int) -> tuple[int, Any]:
    return told(stable="old", phase="Progressing", canary={"weights": {"canary": {"weight": weight}}})


def test_a_weight_is_waited_for_and_told_as_soon_as_it_is_reached(api: Any) -> None:
    api.first[ROLLOUT] = [told("old", "old", observedGeneration="1"), under_way(0), UNREAD, under_way(10)]
    api.answers[ROLLOUT] = under_way(20)
    assert rollout.weight("prod", "api", 20, LONG) == 20
    assert len(api.asked) == 5


@pytest.mark.parametrize(
    ("answer", "weight"),
    [
        (told(), 100),
        # Its route is put back a moment later.
        (told(stable="old", phase="Degraded", abort=True, canary={"weights": {"canary": {"weight": 20}}}), 0),
    ],
)
def test_what_is_decided_before_has_the_weight_that_it_has_for_good(
    api: Any, answer: tuple[int, Any], weight: float
) -> None:
    api.answers[ROLLOUT] = answer
    assert rollout.weight("prod", "api", 20, LONG) == weight
    assert len(api.asked) == 1


def test_a_weight_that_is_not_reached_in_time_is_told_as_it_is(api: Any) -> None:
    api.answers[ROLLOUT] = under_way(10)
    assert rollout.weight("prod", "api", 20, 0.05) == 10


def test_the_last_release_s_whole_weight_is_none_of_the_newest(api: Any) -> None:
    api.first[ROLLOUT] = [told("old", "old", MARK)]
    api.answers[ROLLOUT] = under_way(10)
    api.answers[f"{REPLICA_SETS}/api-old"] = replica_set()
    assert rollout.weight("prod", "api", 10, LONG) == 10
