"""What the stack is waited for, and how its ways in are asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from harness.errors import PreconditionFailed
from harness.stack import ready
from tests.unit.stack.deployed import BUDGET, DEPLOYMENT, WEB, Cluster


def test_the_wanted_replicas_are_the_manifests() -> None:
    unsaid = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "one", "namespace": "prod"},
        "spec": {},
    }
    found = ready.replicas([BUDGET, DEPLOYMENT, unsaid])
    assert found == {"/apis/apps/v1/namespaces/prod/deployments": {"web": 3, "one": 1}}
    assert ready._waiting([], {"web": 3}) == {"web"}


def test_the_ways_in_are_not_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    assert not any(ready._client(1)._mounts.values())


class Stuck(Cluster):
    """A cluster in which nothing moves."""

    async def watch(self, path: str, since: str = "", fields: str = "") -> AsyncIterator[tuple[str, dict[str, Any]]]:
        for _ in ():
            yield "", {}


REFUSED = {"name": "init", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
HELD_UP = {"name": "sidecar", "state": {"running": {"startedAt": "2026-11-30T12:00:00Z"}}, "started": False}


@pytest.mark.parametrize(
    ("held_up", "told"),
    [(REFUSED, "web-1: ErrImagePull no such image"), (HELD_UP, "web-1: sidecar runs and has not come up")],
)
def test_a_pod_that_waits_for_an_init_container_is_told_with_what_holds_that_up(
    held_up: dict[str, Any], told: str
) -> None:
    cluster = Stuck()
    cluster.slow = True
    cluster.objects[WEB] = DEPLOYMENT
    status = {
        "initContainerStatuses": [held_up],
        "containerStatuses": [{"name": "web", "state": {"waiting": {"reason": "PodInitializing"}}, "started": False}],
    }
    pod = {"kind": "Pod", "metadata": {"name": "web-1", "namespace": "prod"}, "status": status}
    cluster.objects["/api/v1/namespaces/prod/pods/web-1"] = pod
    with pytest.raises(PreconditionFailed) as failed:
        anyio.run(ready.rollouts, cluster, [DEPLOYMENT])
    assert told in failed.value.why.split("; ")
