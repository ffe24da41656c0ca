"""Taking the cluster down: exactly what is ours goes, and what is said to be gone is gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cluster import cache, daemon, docker, down, kind, local
from harness.cluster.cache import Progress
from harness.errors import PreconditionFailed
from tests.unit.cluster.conftest import HOST, NODES, Container, FakeDocker


@pytest.fixture
def running(fake: FakeDocker) -> FakeDocker:
    """A daemon with our cluster and our keeper, and with things of others."""
    fake.nodes()
    fake.own_network()
    fake.containers["chaos-keeper"] = Container((docker.LABEL,))
    fake.containers["theirs"] = Container(("app=theirs",))
    fake.volumes = ["chaos-keeper-ledger"]
    fake.images = {"harness.local/service:1": "one", "harness.local/gateway:1": "two"}
    remember(HOST)
    return fake


def remember(host: str) -> None:
    paths = Path("kubeconfig"), Path("keeper.sock")
    local.save(local.LocalCluster(local.NAME, paths[0], host, kind.NETWORK, {}, NODES[0], paths[1]))


def silent(line: str) -> None:
    pass


def test_down_removes_what_is_ours_and_nothing_else(running: FakeDocker) -> None:
    removed = down.down(silent)
    assert set(running.containers) == {"theirs"}
    assert (running.volumes, running.networks, local.current()) == ([], {}, None)
    assert {"chaos-keeper", *NODES, "volume chaos-keeper-ledger", f"network {kind.NETWORK}"} <= set(removed)
    assert len(running.images) == 2


def test_down_leaves_a_cluster_that_somebody_made_of_our_node_image(running: FakeDocker) -> None:
    running.containers["shop-control-plane"] = Container((docker.LABEL, "io.x-k8s.kind.cluster=shop"), "kind")
    down.down(silent)
    assert set(running.containers) == {"shop-control-plane", "theirs"}


@pytest.mark.parametrize(("state", "goes_on"), [("running", True), ("paused", True), ("exited", False)])
def test_down_leaves_a_private_daemon_to_those_who_use_it(
    running: FakeDocker, monkeypatch: pytest.MonkeyPatch, state: str, goes_on: bool
) -> None:
    said: list[str] = []
    monkeypatch.setattr(daemon, "private_host", lambda: HOST)
    monkeypatch.setattr(daemon, "stop", lambda: True)
    running.containers["theirs"].state = state
    removed = down.down(said.append)
    assert ("the private Docker daemon" in removed) is not goes_on
    assert ("the private Docker daemon goes on: theirs on it" in said) is goes_on


def test_down_leaves_a_foreign_cluster_and_network_of_the_same_name(fake: FakeDocker) -> None:
    fake.nodes(network="kind")
    fake.networks[kind.NETWORK] = {}
    assert down.down(silent) == []
    assert set(fake.containers) == set(NODES)
    assert kind.NETWORK in fake.networks


@pytest.mark.parametrize("command", [down.down, down.clean])
def test_the_cluster_of_another_cache_is_left_alone(
    running: FakeDocker, command: Callable[[Progress], list[str]]
) -> None:
    running.own_network(owner="/elsewhere/kube-chaos-harness")
    with pytest.raises(PreconditionFailed, match="another cache folder") as refused:
        command(silent)
    assert "`HARNESS_CACHE=/elsewhere harness down`" in refused.value.hint
    assert {"chaos-keeper", *NODES} <= set(running.containers)
    assert (running.volumes, len(running.images)) == (["chaos-keeper-ledger"], 2)
    assert local.current()


def test_down_removes_what_this_cache_made(running: FakeDocker) -> None:
    running.own_network(owner=str(cache.cache_dir()))
    assert f"network {kind.NETWORK}" in down.down(silent)


def test_clean_removes_images_after_the_containers_that_use_them(running: FakeDocker) -> None:
    removed = down.clean(silent)
    assert running.images == {}
    assert "2 images" in removed
    assert not cache.cache_dir().exists()
    words = [call.split()[0:2] for call in running.calls]
    assert max(at for at, call in enumerate(words) if call[0] == "rm") < words.index(["image", "rm"])


def test_clean_removes_images_of_ours_that_have_no_name_any_more(running: FakeDocker) -> None:
    running.nameless = ["three"]
    assert "3 images" in down.clean(silent)
    assert (running.images, running.nameless) == ({}, [])


def test_clean_counts_the_images_that_are_really_gone(running: FakeDocker) -> None:
    running.refuse["image rm"] = "image is being used by running container"
    assert not any(line.endswith("images") for line in down.clean(silent))


@pytest.fixture
def private(running: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The daemon is our private one; returns what is said when it is stopped."""
    stopped: list[str] = []
    monkeypatch.setattr(daemon, "private_host", lambda: HOST)
    monkeypatch.setattr(daemon, "stop", lambda: bool(stopped.append("stopped") or True))
    return stopped


@pytest.mark.parametrize("state", ["running", "paused", "exited", "created"])
def test_clean_leaves_a_private_daemon_to_those_whose_containers_would_go_with_it(
    running: FakeDocker, private: list[str], state: str
) -> None:
    running.containers["theirs"].state = state
    running.containers["shop-control-plane"] = Container((docker.LABEL, "io.x-k8s.kind.cluster=shop"), "kind")
    before = {*running.containers}
    with pytest.raises(PreconditionFailed, match="others have containers") as refused:
        down.clean(silent)
    assert (refused.value.where, "shop-control-plane, theirs" in refused.value.why) == (HOST, True)
    assert f"docker --host {HOST} rm --force --volumes shop-control-plane theirs" in refused.value.hint
    assert ({*running.containers}, len(running.images), private) == (before, 2, [])
    assert local.current()


def test_clean_takes_a_private_daemon_away_that_only_we_use(running: FakeDocker, private: list[str]) -> None:
    del running.containers["theirs"]
    assert "the private Docker daemon" in down.clean(silent)
    assert (running.containers, private) == ({}, ["stopped"])
    assert not cache.cache_dir().exists()


@pytest.mark.parametrize("command", [down.down, down.clean])
def test_a_private_daemon_that_others_use_is_left_where_our_cluster_is_on_another(
    running: FakeDocker, private: list[str], monkeypatch: pytest.MonkeyPatch, command: Callable[[Progress], list[str]]
) -> None:
    monkeypatch.setattr(daemon, "private_host", lambda: "unix:///private.sock")
    monkeypatch.setattr(docker, "ping", lambda host, deadline=1.0: True)
    said: list[str] = []
    try:
        command(said.append)
    except PreconditionFailed as error:
        said.append(error.why)
    assert any("theirs" in line for line in said)
    assert private == []


def test_clean_leaves_the_rest_of_a_named_folder_alone(
    running: FakeDocker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "disk"))
    (tmp_path / "disk" / "photos").mkdir(parents=True)
    remember(HOST)
    down.clean(silent)
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["photos"]


def test_a_private_daemon_that_died_is_started_to_remove_its_containers(
    running: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[str] = []
    monkeypatch.setattr(daemon, "private_host", lambda: HOST)
    monkeypatch.setattr(docker, "ping", lambda host, deadline=1.0: bool(alive))
    monkeypatch.setattr(daemon, "ensure", lambda progress: alive.append(HOST) or HOST)
    (daemon.folder() / "data").mkdir(parents=True)
    down.down(silent)
    assert set(running.containers) == {"theirs"}


def test_a_daemon_that_cannot_be_asked_is_no_success(running: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "ping", lambda host, deadline=1.0: False)
    with pytest.raises(PreconditionFailed, match="does not answer") as refused:
        down.down(silent)
    assert refused.value.where == HOST
    assert local.current()


def test_the_cluster_is_not_looked_for_on_another_daemon(running: FakeDocker) -> None:
    remember("tcp://elsewhere:2375")
    with pytest.raises(PreconditionFailed, match="does not answer"):
        down.clean(silent)
    assert cache.cache_dir().exists()


def test_nothing_is_removed_while_another_command_brings_the_cluster_up(
    running: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[tuple[int, ...]] = []
    monkeypatch.setattr(down, "_host", lambda progress: held.append(cache.held()))
    down.down(silent)
    assert len(held[0]) == 2
