"""A node that is this machine."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A place whose `docker exec NAME ...` runs the rest on this machine."""
    client = tmp_path / "bin" / "docker"
    client.parent.mkdir()
    client.write_text('#!/bin/sh\n[ "$1" = exec ] || exit 1\nshift 2\nexec "$@"\n')
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{client.parent}:{os.environ['PATH']}")
    cluster = SimpleNamespace(nodes={"worker": "c-worker"}, control_plane="c-plane", docker_host="unix:///none")
    return SimpleNamespace(cluster=cluster, environment=dict(os.environ))
