"""The real cluster, brought up once; a cluster that cannot be had is a failure, never a skip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from bench.dying import workload as servers
from harness.cluster import local
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from tests.e2e import local_set as sets
from tests.e2e import namespaces
from tests.e2e.live import asked, clean, compared, docker, harness, unchanged


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """The local cluster with the stack, as `harness up` leaves it."""
    harness("up", timeout=1800)
    found = local.current()
    assert found
    yield found
    asked(found, namespaces.gone)


# A handshake that is cancelled while the API server is away leaves its socket to the garbage collector: httpcore's TLS
# closes what fails, not what is cancelled. Python says so in whichever test collects it.
LEFT_BY_HTTPCORE = "ignore:Exception ignored in. <(function _SelectorTransport.__del__|socket.socket fd)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(f"{LEFT_BY_HTTPCORE}:pytest.PytestUnraisableExceptionWarning"))


# The tests run these themselves; as experiments of their own they would only hold their faults for a minute.
collect_ignore_glob = ["documents/*"]


@pytest.fixture(scope="session")
def local_set(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> sets.LocalSet:
    """The local set, run once on the stack as it should be; it leaves nothing behind."""
    _known.clear()  # pytest tells nobody here of a session's fixtures
    with unchanged(cluster):
        return sets.run(tmp_path_factory.mktemp("local-set"))


@pytest.fixture
def as_found(cluster: LocalCluster) -> Iterator[None]:
    """Compare the fingerprint before with the one after: nothing may be left behind once the healer has settled.

    Before is after the test before, where nothing was done in between.
    """
    before = dict(_known) or clean(cluster)
    yield
    _known.update(compared(cluster, before))


# The fingerprint that the last comparison ended with, for as long as nobody has done anything since: only what leaves
# the cluster alone may come between it and the next one, as pytest's own fixtures and parameters.
_known: dict[str, str] = {}
IDLE = ("as_found", "anyio_backend")


def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> None:
    _note(fixturedef)


def pytest_fixture_post_finalizer(fixturedef: pytest.FixtureDef[Any]) -> None:
    _note(fixturedef)


def _note(fixturedef: pytest.FixtureDef[Any]) -> None:
    if fixturedef.argname not in IDLE and not fixturedef.func.__module__.startswith("_pytest."):
        _known.clear()


def pytest_runtest_call() -> None:
    _known.clear()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def kubectl(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kubectl of the cluster's own version, here."""
    path = tmp_path_factory.mktemp("bin") / "kubectl"
    docker(cluster, "cp", "-L", f"{cluster.control_plane}:/usr/bin/kubectl", str(path))
    return path


@pytest.fixture(scope="session")
def image(cluster: LocalCluster) -> str:
    """An image with Python that every node has: the stack's."""

    async def find() -> str:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            return await servers.image(kube)

    return anyio.run(find)
