"""A release by hand changes what it says and nothing else, and is followed until it is decided."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from harness.errors import ApiError, PreconditionFailed, UsageError
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
    """An API server with one Rollout, or none, whose changes follow each other."""

    def __init__(self, *states: dict[str, Any]) -> None:
        self.states, self.patched = states, [[]]

    async def get(self, path: str) -> dict[str, Any]:
        if not self.states:
            raise ApiError(404, "NotFound", path)
        return self.states[0]

    async def patch(self, path: str, body: Any, **_: Any) -> dict[str, Any]:
        self.patched.append(body)
        return {}

    async def watch(self, path: str, **_: Any) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        if path.endswith("analysisruns"):
            await anyio.sleep_forever()
        for one in self.states:
            yield "MODIFIED", one
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


@pytest.mark.parametrize(
    ("last", "outcome"),
    [
        (rollout("new", "new"), releases.PROMOTED),
        (rollout("new", abort=True, phase="Degraded", message="RolloutAborted"), releases.ROLLED_BACK),
    ],
)
def test_a_release_is_followed_until_it_is_decided(last: dict[str, Any], outcome: str) -> None:
    told: list[str] = []
    unseen = rollout("new", observedGeneration="0")
    kube = Kube(unseen, rollout("new", weight=10, phase="Progressing", currentStepIndex=1), last)

    async def follow() -> releases.State:
        with anyio.fail_after(5):
            return await release.follow(kube, "shop", "web", told.append)  # type: ignore[arg-type]

    assert anyio.run(follow).outcome == outcome
    assert told[0] == "10 % of the traffic, step 1 of 2, Progressing"
    assert len(told) == 2
