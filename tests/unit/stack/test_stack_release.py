"""A release by hand changes what it says and nothing else, and is followed until it is decided."""

from __future__ import annotations

import copy
import functools
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from harness.errors import ApiError, ClusterUnreachable, PreconditionFailed, UsageError
from harness.stack import release
from harness.workloads import releases

ENV = [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {}}}]


def rollout(newest: str = "old", stable: str = "old", weight: int = 0, **status: Any) -> dict[str, Any]:
    weights = {"canary": {"weights": {"canary": {"weight": weight}}}}
    told = {"observedGeneration": "1", "phase": "Healthy", "stableRS": stable, "currentPodHash": newest}
    template = {"spec": {"containers": [{"name": "web", "image": "web:1", "env": ENV}]}}
    metadata = {"name": "web", "namespace": "shop", "generation": 1, "resourceVersion": "7"}
    spec = {"template": template, "strategy": {"canary": {"steps": [{"setWeight": 10}, {"setWeight": 100}]}}}
    return {"metadata": metadata, "spec": spec, "status": {**told, **weights, **status}}


class Kube:
    """An API server with one Rollout, or none, whose changes follow each other; the last may be an error.

    Of analyses it tells as many as there are, or an error.
    """

    def __init__(self, *states: Any, analyses: Any = (), keeps: bool = True) -> None:
        self.states, self.analyses, self.keeps, self.patched = states, analyses, keeps, [[]]

    async def get(self, path: str) -> dict[str, Any]:
        if not self.states:
            raise ApiError(404, "NotFound", path)
        return self.states[0]

    async def patch(self, path: str, body: Any, **_: Any) -> dict[str, Any]:
        self.patched.append(body)
        found = copy.deepcopy(self.states[0])
        for one in body if self.keeps else ():
            *place, key = one["path"].strip("/").split("/")
            at = functools.reduce(lambda item, word: item[int(word) if word.isdigit() else word], place, found)
            if one["op"] == "add":
                at[key] = one["value"]
        return found

    async def watch(self, path: str, **_: Any) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        told = self.analyses if path.endswith("analysisruns") else self.states
        for one in [told] if isinstance(told, Exception) else told:
            if isinstance(one, Exception):
                raise one
            yield "MODIFIED", one
            await anyio.lowlevel.checkpoint()
        await anyio.sleep_forever()


def started(kube: Kube, image: str = "", **settings: str) -> list[dict[str, Any]]:
    anyio.run(release.start, kube, "shop", "web", image, settings)
    return [one for one in kube.patched[-1] if one["op"] != "test"]


def test_an_image_is_all_that_changes() -> None:
    at = "/spec/template/spec/containers/0"
    assert started(Kube(rollout()), "web:2") == [{"op": "add", "path": f"{at}/image", "value": "web:2"}]


def test_a_setting_replaces_its_like_and_leaves_the_rest() -> None:
    (change,) = started(Kube(rollout()), A="2", C="3")
    assert change["value"] == [ENV[1], {"name": "A", "value": "2"}, {"name": "C", "value": "3"}]


def test_what_somebody_else_changed_meanwhile_is_not_overwritten() -> None:
    kube = Kube(rollout())
    started(kube, "web:2")
    container = rollout()["spec"]["template"]["spec"]["containers"][0]
    assert kube.patched[-1][0] == {"op": "test", "path": "/spec/template/spec/containers/0", "value": container}


def test_what_is_so_already_is_no_release() -> None:
    with pytest.raises(UsageError, match="nothing would change"):
        started(Kube(rollout()), "web:1")


def test_no_release_is_started_over_another() -> None:
    with pytest.raises(PreconditionFailed, match="releasing already"):
        started(Kube(rollout("new", phase="Progressing")), "web:2")


@pytest.mark.parametrize(
    "stuck",
    [
        rollout("new", phase="Degraded", message="ProgressDeadlineExceeded: ..."),
        rollout("new", phase="Paused", pauseConditions=[{"reason": "InconclusiveAnalysisRun"}]),
    ],
)
def test_a_release_that_is_stuck_is_mended_by_another(stuck: dict[str, Any]) -> None:
    assert started(Kube(stuck), "web:2")


def test_without_a_rollout_the_part_is_named() -> None:
    with pytest.raises(PreconditionFailed) as error:
        started(Kube(), "web:2")
    assert "--parts delivery" in error.value.hint


def test_a_template_that_is_another_object_s_is_to_be_changed_there() -> None:
    referring = rollout()
    del referring["spec"]["template"]
    referring["spec"]["workloadRef"] = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web-template"}
    with pytest.raises(PreconditionFailed, match="Deployment web-template") as error:
        started(Kube(referring), "web:2")
    assert "kubectl -n shop edit deployment/web-template" in error.value.hint


def test_a_setting_without_a_value_is_as_it_was() -> None:
    kube = Kube(rollout())
    kube.states[0]["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": ""}]
    with pytest.raises(UsageError, match="nothing would change"):
        started(kube, A="")


def test_a_change_that_somebody_takes_back_on_its_way_is_not_waited_for() -> None:
    with pytest.raises(PreconditionFailed, match="is as it was"):
        started(Kube(rollout(), keeps=False), "web:2")


def test_the_release_that_is_replaced_is_known_from_its_start() -> None:
    kube = Kube(rollout("given up", abort=True, phase="Degraded"))
    assert anyio.run(release.start, kube, "shop", "web", "web:2", {}) == "given up"


def followed(kube: Kube, replaced: str = "old") -> tuple[releases.State, list[str]]:
    """Follow a release to its end; return it and what was told."""
    told: list[str] = []

    async def follow() -> releases.State:
        with anyio.fail_after(60):
            return await release.follow(kube, "shop", "web", replaced, told.append)  # type: ignore[arg-type]

    return anyio.run(follow), told


PROMOTED = rollout("new", "new")
CANARY = rollout("new", weight=10, phase="Progressing", currentStepIndex=1)
UNSEEN = rollout(observedGeneration="0")


@pytest.mark.parametrize(
    ("last", "outcome"),
    [
        (PROMOTED, releases.PROMOTED),
        (rollout("new", abort=True, phase="Degraded", message="RolloutAborted"), releases.ROLLED_BACK),
    ],
)
def test_a_release_is_followed_until_it_is_decided(last: dict[str, Any], outcome: str) -> None:
    state, told = followed(Kube(UNSEEN, CANARY, last))
    assert state.outcome == outcome
    assert told[0] == "10 % of the traffic, step 1 of 2, Progressing"
    assert len(told) == 2


@pytest.mark.parametrize(
    ("replaced", "last"),
    [("old", rollout()), ("given up", rollout("given up", abort=True, phase="Degraded", message="RolloutAborted: no"))],
)
def test_a_status_that_still_tells_of_the_last_release_decides_nothing(replaced: str, last: dict[str, Any]) -> None:
    # A scaling at the same time: the controller has seen the template and not yet counted its pods.
    state, told = followed(Kube(UNSEEN, last, CANARY, PROMOTED), replaced)
    assert state.newest == "new"
    assert told[0].startswith("no new release yet, ")
    assert told[1].startswith("10 % of the traffic")


def test_a_release_goes_back_to_what_is_stable() -> None:
    state, _ = followed(Kube(UNSEEN, rollout()), "given up")
    assert state.outcome == releases.PROMOTED


def analysis(newest: str, value: str) -> dict[str, Any]:
    owner = {"kind": "Rollout", "name": "web"}
    metadata = {"name": "a", "labels": {releases.RELEASE: newest}, "ownerReferences": [owner]}
    results = [{"name": "success", "measurements": [{"value": value}]}]
    return {"metadata": metadata, "status": {"phase": "Running", "metricResults": results}}


def test_what_is_measured_of_the_release_is_told_and_of_the_last_one_not() -> None:
    measured = [analysis("old", "[0]")] * 2 + [analysis("new", "[1]")] * 9
    _, told = followed(Kube(rollout(), *[CANARY] * 9, PROMOTED, analyses=measured))
    assert "Running success [1]" in told
    assert not [line for line in told if "[0]" in line]


@pytest.mark.parametrize("status", [403, 404])
def test_where_nobody_may_see_analyses_the_release_is_followed_without_and_that_is_said_once(status: int) -> None:
    refused = ApiError(status, "Refused", "analysisruns")
    state, told = followed(Kube(UNSEEN, CANARY, CANARY, PROMOTED, analyses=refused))
    assert state.outcome == releases.PROMOTED
    assert [line for line in told if "analyses" in line] == [
        f"what its analyses measure is out of sight: {status} Refused: analysisruns"
    ]


@pytest.mark.parametrize(
    "kube",
    [
        Kube(UNSEEN, CANARY, ApiError(403, "Forbidden", "rollouts")),
        Kube(UNSEEN, CANARY, ClusterUnreachable("nobody answers")),
        Kube(UNSEEN, CANARY, analyses=ApiError(500, "InternalError", "no")),
    ],
)
def test_a_release_that_goes_out_of_sight_is_told_as_what_it_is(kube: Kube) -> None:
    with pytest.raises((ApiError, ClusterUnreachable)):
        followed(kube)
