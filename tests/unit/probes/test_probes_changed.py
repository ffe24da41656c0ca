"""What a foreign step asked the cluster for tells whether it can have changed anything."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from harness.steps.worker import run

LISTED = {"kind": "DeploymentList", "apiVersion": "apps/v1", "metadata": {}}
FOUND = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"selector": {}, "template": {}}}


def removed(**arguments: Any) -> dict[str, Any]:
    provider = {"type": "python", "module": "chaosk8s.deployment.actions", "func": "delete_deployment"}
    step = {"type": "action", "name": "remove", "provider": provider | {"arguments": {"ns": "shop", **arguments}}}

    async def main() -> dict[str, Any]:
        return await run(step, deadline=60)

    return anyio.run(main)


@pytest.mark.case(2, "a step that answers nothing whether it matched or not", "what it asked the cluster for tells")
def test_a_step_that_only_looked_changed_nothing(api: Any) -> None:
    api.answers["/apis/apps/v1/namespaces/shop/deployments"] = (200, LISTED | {"items": []})
    found = removed(label_selector="app=nobody")
    assert (found["status"], found["output"], found["changed"]) == ("succeeded", None, False)


def test_a_step_that_asked_for_more_than_a_look_may_have_changed_something(api: Any) -> None:
    api.answers["/apis/apps/v1/namespaces/shop/deployments"] = (200, LISTED | {"items": [FOUND]})
    found = removed(name="web")
    assert found["changed"] is True
    assert found["status"] == "failed"  # this server deletes nothing


def test_nothing_is_told_of_a_step_that_asked_no_cluster(api: Any) -> None:
    provider = {"type": "python", "module": "json", "func": "dumps", "arguments": {"obj": 1}}

    async def main() -> dict[str, Any]:
        return await run({"type": "action", "name": "a", "provider": provider}, deadline=60)

    assert "changed" not in anyio.run(main)
