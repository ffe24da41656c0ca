"""Put the stack's services on the path, which are no part of the harness's own package; and a stack deployed before."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.cluster.kube import Kube
from harness.keeper import client
from harness.stack import deploy, istio, ready, render, renew, source
from tests.unit.stack.deployed import BUDGET, DEFINITION, DEPLOYMENT, GATEWAY, ISTIOD, Cluster, up

sys.path.insert(0, str(Path(__file__).parents[3] / "stack" / "services"))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cluster:
    """A cluster on which the stack, one Deployment and its budget, was deployed before."""
    made = Cluster()

    @asynccontextmanager
    async def connect(*_: Any) -> AsyncIterator[Cluster]:
        yield made

    def objects(*_: Any) -> list[Any]:
        made.rounds += 1
        return [BUDGET, DEPLOYMENT, GATEWAY]

    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    monkeypatch.setattr(Kube, "connect", connect)
    monkeypatch.setattr(source, "key", lambda overlay, wanted, foreign: f"key-of-{overlay}{foreign}")
    monkeypatch.setattr(renew, "RETRY_SECONDS", 0)
    monkeypatch.setattr(client, "status", made.keeper)
    monkeypatch.setattr(deploy, "_images", made.images)
    monkeypatch.setattr(render, "objects", objects)
    monkeypatch.setattr(istio, "objects", lambda *_: [DEFINITION, ISTIOD])
    transport = httpx.MockTransport(lambda request: httpx.Response(200))
    monkeypatch.setattr(ready, "_client", lambda seconds: httpx.AsyncClient(transport=transport))
    up()
    made.rounds = 0
    return made
