"""Two checkouts or two users on one machine: the second gets one clear line, before anything is built or taken away."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import clean as clean_command
from harness.cli import down as down_command
from harness.cluster import cache, kind, local, up
from harness.cluster.build import nodeimage
from harness.errors import PreconditionFailed, RunInProgress
from tests.unit.cluster.conftest import NODES, FakeDocker


def taken(config: object) -> None:
    raise PreconditionFailed("port 18080 is taken")


@pytest.mark.parametrize("what", ["port", "name", "network"])
def test_what_others_have_taken_is_told_before_a_node_image_is_built(
    machine: FakeDocker, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    built: list[str] = []
    monkeypatch.setattr(nodeimage, "ensure", lambda host, progress: built.append(host) or "node")
    if what == "port":
        monkeypatch.setattr(kind, "check_ports", taken)
    elif what == "name":
        machine.nodes(network="kind")
    else:
        machine.networks[kind.NETWORK] = {}
    with pytest.raises(PreconditionFailed, match=r"is taken|did not make"):
        up.up(lambda line: None)
    assert built == []


def test_a_taken_port_tells_what_a_machine_has_only_one_of(monkeypatch: pytest.MonkeyPatch) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        mapping = {"hostPort": server.server_address[1], "containerPort": 1, "listenAddress": "127.0.0.1"}
        with pytest.raises(PreconditionFailed) as refused:
            kind.check_ports({"nodes": [{"extraPortMappings": [mapping]}]})
    assert "another user or cache folder has goes with its own `harness down`" in refused.value.hint


@pytest.fixture
def elsewhere(made: FakeDocker, tmp_path: Path) -> Path:
    """Another checkout, which has brought the cluster up."""
    other = tmp_path / "other checkout"
    other.mkdir()
    cluster = local.current()
    assert cluster
    local.save(replace(cluster, checkout=str(other)))
    return other


def test_a_cluster_remembers_the_checkout_that_brought_it_up(made: FakeDocker) -> None:
    cluster = local.current()
    assert cluster
    assert cluster.checkout == str(cache.project_root())


def test_a_cluster_of_another_checkout_is_told_once(made: FakeDocker, elsewhere: Path) -> None:
    lines: list[str] = []
    up.up(lines.append)
    assert [str(elsewhere) in line for line in lines] == [True]
    assert set(made.containers) == set(NODES)
    up.up(lines.append)
    assert len(lines) == 1


def test_a_cluster_is_taken_over_by_nobody_while_another_command_takes_it_down(
    made: FakeDocker, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    save = local.save
    monkeypatch.setattr(local, "save", lambda cluster: held.append(len(cache.held())) or save(cluster))
    up.up(lambda line: None)
    assert held == [1]


def test_a_cluster_of_ones_own_that_is_well_is_nothing_to_wait_for(made: FakeDocker) -> None:
    with cache.locked("up", lambda line: None):
        assert up.up(lambda line: None).checkout == str(cache.project_root())


def test_a_cluster_of_a_checkout_that_is_gone_is_nobodys(made: FakeDocker, elsewhere: Path) -> None:
    elsewhere.rmdir()
    lines: list[str] = []
    up.up(lines.append)
    assert lines == []


def test_a_cluster_that_goes_for_another_version_is_told_with_the_checkout_that_made_it(
    made: FakeDocker, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up, "is_current", lambda cluster: False)
    lines: list[str] = []
    up.up(lines.append)
    assert any(f"another version of the harness, {elsewhere}: making a new one" in line for line in lines)


class Keeper(socketserver.StreamRequestHandler):
    """A keeper whose run lives."""

    def handle(self) -> None:
        asked = json.loads(self.rfile.readline())
        self.wfile.write(json.dumps({"id": asked["id"], "ok": True, "live": "run-7"}).encode() + b"\n")


@pytest.fixture
def running(made: FakeDocker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDocker]:
    """A cluster on which a run is going on."""
    monkeypatch.chdir(tmp_path)
    cluster = local.current()
    assert cluster
    local.save(replace(cluster, keeper_socket=Path("keeper.sock")))
    with socketserver.ThreadingUnixStreamServer("keeper.sock", Keeper) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield made
        server.shutdown()


@pytest.mark.parametrize(("command", "words"), [(down_command.command, []), (clean_command.command, ["--yes"])])
def test_no_cluster_is_taken_away_below_a_run(running: FakeDocker, command: object, words: list[str]) -> None:
    done = CliRunner().invoke(command, words)  # type: ignore[arg-type]
    assert isinstance(done.exception, RunInProgress)
    assert (done.exception.what, "lever on" in done.exception.hint) == ("run run-7 is going on", True)
    assert set(running.containers) == set(NODES)
    assert cache.cache_dir().exists()
