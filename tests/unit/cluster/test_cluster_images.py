"""Images: pulled where there is a registry, built elsewhere, and never at the expense of somebody else's."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.cluster import cache, command, docker
from harness.cluster.build import debian, images, nodeimage
from harness.cluster.local import LocalCluster
from harness.errors import PreconditionFailed
from tests.unit.cluster.conftest import HOST, FakeDocker

NO_REGISTRY = "Error response from daemon: lookup registry-1.docker.io: no such host"


@pytest.fixture
def built(fake: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count the node images that are built instead of building them."""
    tags: list[str] = []
    monkeypatch.setattr(nodeimage, "_build", lambda host, tag, progress: tags.append(tag))
    monkeypatch.delenv("HARNESS_OFFLINE", raising=False)
    return tags


def silent(line: str) -> None:
    pass


def test_the_node_image_is_pulled_where_there_is_a_registry(
    fake: FakeDocker, built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker, "long", lambda host, args, *_, **__: fake.result(host, *args))
    assert nodeimage.ensure(HOST, silent) == nodeimage.PUBLISHED
    assert (nodeimage.PUBLISHED in fake.images, built) == (True, [])


def test_a_small_image_decides_that_there_is_no_registry(fake: FakeDocker, built: list[str]) -> None:
    fake.refuse["pull"] = NO_REGISTRY
    lines: list[str] = []
    assert nodeimage.ensure(HOST, lines.append) == nodeimage.built_tag()
    assert [call for call in fake.calls if call.startswith("pull")] == [f"pull --quiet {debian.PUBLISHED}"]
    assert any("no such host" in line for line in lines)
    assert built == [nodeimage.built_tag()]


def test_no_registry_is_asked_when_that_is_forbidden(
    fake: FakeDocker, built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_OFFLINE", "1")
    lines: list[str] = []
    nodeimage.ensure(HOST, lines.append)
    assert not any(call.startswith("pull") for call in fake.calls)
    assert any("HARNESS_OFFLINE" in line for line in lines)
    assert built == [nodeimage.built_tag()]


def test_a_registry_that_does_not_answer_in_time_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(argv: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        raise PreconditionFailed("no answer within 60 s")

    monkeypatch.setattr(command, "ask", late)
    assert docker.pull(HOST, debian.PUBLISHED, deadline=60) == "no answer within 60 s"


def test_names_that_were_borrowed_go_back_to_their_owners(fake: FakeDocker) -> None:
    fake.images = {"registry.k8s.io/pause:3.10": "theirs"}
    with nodeimage._borrowed(HOST, ["registry.k8s.io/pause:3.10", "registry.k8s.io/etcd:3"]):
        fake.images = {"registry.k8s.io/pause:3.10": "ours", "registry.k8s.io/etcd:3": "ours too"}
    assert fake.images == {"registry.k8s.io/pause:3.10": "theirs"}


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    made: list[list[str]] = []
    monkeypatch.setattr(docker, "long", lambda host, args, *_, **__: made.append(args))
    for name in docker.PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return made


def test_a_build_knows_this_machines_proxies_by_name_alone(
    builds: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy:3128")
    docker.build(HOST, ["--tag", "x", "."], "building", silent, estimate=1)
    assert builds[0][builds[0].index("--build-arg") + 1] == "HTTPS_PROXY"
    assert builds[0].count("--build-arg") == 1
    assert "secret" not in " ".join(builds[0])


def test_an_image_that_was_replaced_is_removed(
    fake: FakeDocker, builds: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(debian, "ensure", lambda host, progress: debian.TAG)
    cluster = LocalCluster("c", tmp_path, HOST, "n", {}, "c", tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    fake.images = {"harness.local/service:older": "harness.local/service:older"}
    tag = images.build(silent, cluster, "service", tmp_path, estimate=1)
    assert builds[0][-3:] == ["--tag", tag, str(tmp_path)]
    assert fake.images == {}


def test_components_delete_nothing_that_a_published_base_brings() -> None:
    text = (cache.project_root() / "images" / "node" / "components" / "Dockerfile").read_text()
    assert "/var/log" not in text
