from __future__ import annotations

import pytest

from harness.cluster.host import machine


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say nothing of the machine that the tests run on."""
    monkeypatch.setattr(machine, "warning", lambda: "")
