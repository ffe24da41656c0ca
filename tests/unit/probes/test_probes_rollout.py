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
