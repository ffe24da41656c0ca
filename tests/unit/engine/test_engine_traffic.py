"""The load of a run goes to the cluster that the run breaks, or nowhere."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.engine import traffic
from harness.errors import PreconditionFailed

KUBE: Any = SimpleNamespace(context="staging")
LOCAL: Any = SimpleNamespace(name="chaos-local")


def test_the_local_cluster_answers_at_its_own_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_GATEWAY", raising=False)
    assert traffic.gateway(KUBE, LOCAL) == traffic.GATEWAY
    monkeypatch.setenv("HARNESS_GATEWAY", "http://127.0.0.1:9")
    assert traffic.gateway(KUBE, LOCAL) == "http://127.0.0.1:9"


def test_another_cluster_is_not_judged_by_the_local_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_GATEWAY", raising=False)
    with pytest.raises(PreconditionFailed, match="nobody said"):
        traffic.gateway(KUBE, None)
    monkeypatch.setenv("HARNESS_GATEWAY", "https://staging.example")
    assert traffic.gateway(KUBE, None) == "https://staging.example"


def test_the_local_cluster_is_not_judged_by_another_ones_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_GATEWAY", "https://staging.example")
    with pytest.raises(PreconditionFailed, match="HARNESS_GATEWAY names"):
        traffic.gateway(KUBE, LOCAL)
