"""The real cluster, brought up once; a cluster that cannot be had is a failure, never a skip."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cluster import local
from harness.cluster.local import LocalCluster
from tests.e2e.live import harness


@pytest.fixture(scope="session")
def cluster() -> LocalCluster:
    """The local cluster with the stack, as `harness up` leaves it."""
    harness("up", timeout=1800)
    found = local.current()
    assert found
    return found


SETTLED_SECONDS = 10
# The tests run these themselves; as experiments of their own they would only hold their faults for a minute.
collect_ignore_glob = ["documents/*"]


@pytest.fixture
def as_found(cluster: LocalCluster, tmp_path: Path) -> Iterator[None]:
    """Compare the fingerprint before with the one after: nothing may be left behind once the healer has settled."""
    before = tmp_path / "before.json"
    harness("undo")
    harness("fingerprint", "--save", str(before))
    yield
    deadline = time.monotonic() + SETTLED_SECONDS
    after = harness("fingerprint", "--compare", str(before), check=False)
    while after.returncode and time.monotonic() < deadline:
        after = harness("fingerprint", "--compare", str(before), check=False)
    assert after.returncode == 0, after.stdout
