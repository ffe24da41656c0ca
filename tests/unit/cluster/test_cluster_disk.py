"""A new cluster is made only where there is room for it and all that it is made from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.cluster import disk, up
from harness.errors import PreconditionFailed
from tests.unit.cluster.conftest import HOST, NODES, FakeDocker

MAKING = "creating the cluster"


def room(monkeypatch: pytest.MonkeyPatch, free: Callable[[Path], int]) -> None:
    """Have as many GiB free as is said of each path."""
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: SimpleNamespace(free=free(path) * disk.GIB))


def test_a_folder_that_cannot_be_looked_into_has_no_disk_to_check(
    machine: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(path)

    machine.info["DockerRootDir"] = "/root-only/docker"
    monkeypatch.setattr(Path, "exists", refuse)
    disk.check(HOST)


def test_a_repair_needs_no_free_disk(made: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    made.containers[NODES[1]].state = "paused"
    room(monkeypatch, lambda path: 0)
    up.up(lambda line: None)
    assert MAKING not in made.calls


def test_a_creation_looks_at_the_daemons_disk_too(machine: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.info["DockerRootDir"] = "/"
    room(monkeypatch, lambda path: 0 if path == Path("/") else 1000)
    with pytest.raises(PreconditionFailed, match="GiB of disk are free") as refused:
        up.up(lambda line: None)
    assert refused.value.where == "/"


def build(own_cache: Path, name: str) -> None:
    (own_cache / "bin").mkdir(parents=True, exist_ok=True)
    (own_cache / "bin" / name).touch()


@pytest.mark.parametrize(
    ("built", "stack", "needed"),
    [
        ("", True, 18),
        ("kubernetes-2d4f7e09c8cc", True, 18),
        ("istio-manifests-ba9424e3045e.new", True, 18),
        ("istio-manifests-ba9424e3045e", True, 8),
        ("", False, 8),
    ],
)
def test_a_first_start_needs_room_for_all_that_it_builds(
    machine: FakeDocker, own_cache: Path, monkeypatch: pytest.MonkeyPatch, built: str, stack: bool, needed: int
) -> None:
    if built:
        build(own_cache, built)
    room(monkeypatch, lambda path: needed - 1)
    with pytest.raises(PreconditionFailed, match=rf"only {needed - 1}.0 GiB of disk are free, {needed} are needed"):
        up.up(lambda line: None, stack=stack)
    assert MAKING not in machine.calls
    room(monkeypatch, lambda path: needed)
    up.up(lambda line: None, stack=stack)
    assert machine.calls.count(MAKING) == 1


def test_a_cache_that_cannot_be_looked_into_is_measured_from_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(path)

    monkeypatch.setattr(Path, "exists", refuse)
    assert disk.existing(tmp_path / "one" / "two") == tmp_path
