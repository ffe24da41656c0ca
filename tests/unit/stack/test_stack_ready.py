"""What the stack is waited for, and how its ways in are asked."""

from __future__ import annotations

import pytest

from harness.stack import ready
from tests.unit.stack.deployed import BUDGET, DEPLOYMENT


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
