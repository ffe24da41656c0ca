"""The doctor: what it looks at before the first `up`, and what it says of a keeper and of the ways in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from harness.cluster import daemon, disk, docker, footprint, kind
from harness.cluster.host import machine as load
from harness.cluster.host.counters import Shares
from harness.cluster.local import LocalCluster
from harness.engine.preflight import doctor
from harness.engine.watching import metrics, traffic
from harness.errors import PreconditionFailed
from harness.hands.host import hand
from harness.hands.kind import Place
from harness.stack import ahead
from tests.unit.engine.test_engine_traffic import WRONG

HOST = "unix:///var/run/docker.sock"
CLUSTER = LocalCluster("c", Path("k"), HOST, "n", {}, "c", Path("keeper.sock"))


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a Docker daemon, and an empty cache."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    for name in ("HARNESS_GATEWAY", "HARNESS_HOST", "HARNESS_PROMETHEUS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(daemon, "find", lambda: HOST)
    monkeypatch.setattr(footprint, "processes", lambda program: {})
    monkeypatch.setattr(kind, "_labels", lambda host: None)
    monkeypatch.setattr(kind, "check_ports", lambda config: None)
    monkeypatch.setattr(ahead, "said", lambda host, parts: "the cluster: about 65 s")
    monkeypatch.setattr(docker, "info", lambda host, field: "Debian" if field == "OperatingSystem" else "")
    monkeypatch.setattr(daemon, "refuse_client", lambda host: None)
    monkeypatch.setattr(daemon.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(load, "look", lambda seconds, beside: load.Look(Shares(seconds, idle=0.9), {}))


def examined(*arguments: Any) -> dict[str, doctor.Check]:
    found = anyio.run(doctor.examine, *(arguments or (None, None)))
    return {f"{check.group} {check.name}": check for check in found}


def test_before_the_first_up_the_platform_and_docker_are_looked_at() -> None:
    found = examined()
    assert found["machine platform"].ok
    assert (found["machine Docker"].ok, found["machine Docker"].said) == (True, f"answers at {HOST}")
    assert "harness up" in found["cluster context"].hint


def test_another_system_than_linux_is_said_before_the_first_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "sys", SimpleNamespace(platform="darwin"))
    platform = next(iter(doctor._local()))
    assert (platform.ok, platform.said) == (False, "darwin")
    assert "Linux" in platform.hint


@pytest.mark.parametrize(("free", "ok"), [(17, False), (18, True)])
def test_before_the_first_up_the_disk_has_room_for_all_that_it_builds(
    monkeypatch: pytest.MonkeyPatch, free: int, ok: bool
) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=free * disk.GIB))
    check = examined()["machine disk"]
    assert (check.ok, check.said) == (ok, f"{free} GiB free")
    assert check.hint.startswith("free 18 GiB, for")


@pytest.mark.parametrize(("root", "ok"), [(True, True), (False, False)])
def test_without_a_daemon_only_root_gets_one(monkeypatch: pytest.MonkeyPatch, root: bool, ok: bool) -> None:
    monkeypatch.setattr(daemon, "find", lambda: None)
    monkeypatch.setattr(daemon.os, "geteuid", lambda: 0 if root else 1000)
    check = examined()["machine Docker"]
    assert check.ok is ok
    assert ("harness up" in check.said) if ok else ("DOCKER_HOST" in check.hint)


def test_a_daemon_that_up_would_refuse_is_no_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "info", lambda host, field: "Docker Desktop")
    check = examined()["machine Docker"]
    assert not check.ok
    assert "another machine" in check.said


def test_a_client_that_up_would_refuse_is_no_good(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(host: str) -> None:
        raise PreconditionFailed("the Docker client here cannot talk to this daemon", hint="a newer one")

    monkeypatch.setattr(daemon, "refuse_client", refuse)
    check = examined()["machine Docker"]
    assert (check.ok, check.said, check.hint) == (
        False,
        "the Docker client here cannot talk to this daemon",
        "a newer one",
    )


def test_a_cluster_of_another_cache_folder_is_said_before_the_first_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "_labels", lambda host: {kind.OWNER: "/home/other/.cache/kube-chaos-harness"})
    check = examined()["machine Docker"]
    assert (check.ok, "another cache folder" in check.said) == (False, True)


def test_what_a_first_up_takes_is_said_before_it() -> None:
    assert examined()["machine harness up"].said == "the cluster: about 65 s"


def test_a_port_that_is_taken_is_said_before_the_first_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (examined()["machine ports"].ok, examined()["machine ports"].said) == (True, "18080, 19090 are free")

    def taken(config: object) -> None:
        raise PreconditionFailed("port 18080 is taken", hint="stop what listens there")

    monkeypatch.setattr(kind, "check_ports", taken)
    check = examined()["machine ports"]
    assert (check.ok, check.said, check.hint) == (False, "port 18080 is taken", "stop what listens there")


def test_another_cluster_needs_neither_linux_nor_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    found = examined(None, "production")
    assert not {"machine platform", "machine Docker"} & set(found)


@pytest.mark.parametrize(
    ("status", "ok", "said"),
    [
        ({"owed": [], "docker": True}, True, "alive, owes nothing"),
        ({"owed": ["f1"], "docker": True}, False, "owes f1"),
        ({"owed": [], "docker": False}, False, "it cannot reach Docker, and so heal nothing"),
        ({"owed": ["f1"], "docker": False}, False, "it cannot reach Docker, and so heal nothing"),
    ],
)
def test_a_keeper_is_well_when_it_can_heal_and_has_nothing_to(
    monkeypatch: pytest.MonkeyPatch, status: dict[str, Any], ok: bool, said: str
) -> None:
    async def answer(socket: Path) -> dict[str, Any]:
        return status

    monkeypatch.setattr(hand.client, "status", answer)
    (check,) = anyio.run(hand.HAND.checks, Place(None, CLUSTER))  # type: ignore[arg-type]
    assert (check.ok, check.said) == (ok, said)
    assert check.hint == ("harness undo" if status["docker"] else "harness up")


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Answer everything on a port of this machine, and name a proxy that nobody reaches."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"data": {"result": []}}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_ways_in_are_not_looked_for_behind_a_proxy(stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "GATEWAY", stack)
    monkeypatch.setattr(metrics, "PROMETHEUS", stack)
    assert [check.ok for check in anyio.run(doctor._ways_in, CLUSTER)] == [True, True]


def test_another_clusters_ways_in_are_those_that_the_environment_names(
    stack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_GATEWAY", stack)
    monkeypatch.setenv("HARNESS_PROMETHEUS", f"{stack}/prometheus")
    gateway, prometheus = anyio.run(doctor._ways_in, None)
    assert (gateway.ok, gateway.said) == (True, f"{stack} answers 200")
    assert (prometheus.ok, prometheus.said) == (True, f"{stack}/prometheus answers 200")


def test_another_clusters_ways_in_that_nobody_named_are_a_hint() -> None:
    found = anyio.run(doctor._ways_in, None)
    assert [(check.ok, check.warning) for check in found] == [(True, True), (True, True)]
    assert ["HARNESS_GATEWAY" in found[0].hint, "HARNESS_PROMETHEUS" in found[1].hint] == [True, True]


@pytest.mark.parametrize("url", WRONG)
@pytest.mark.parametrize("cluster", [CLUSTER, None], ids=["local", "another"])
def test_an_address_that_is_none_is_said_by_the_doctor(
    monkeypatch: pytest.MonkeyPatch, cluster: LocalCluster | None, url: str
) -> None:
    for name in ("HARNESS_GATEWAY", "HARNESS_PROMETHEUS"):
        monkeypatch.setenv(name, url)
    found = anyio.run(doctor._ways_in, cluster)
    assert [check.ok for check in found] == [False, False]
    assert all(url in check.said and "http" in check.hint for check in found)


def test_an_address_where_nobody_answers_is_said_by_the_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_GATEWAY", "http://127.0.0.1:1")
    gateway, _ = anyio.run(doctor._ways_in, None)
    assert (gateway.ok, gateway.said) == (False, "http://127.0.0.1:1: ConnectError")


def test_a_prometheus_on_this_machine_is_not_looked_for_behind_a_proxy(stack: str) -> None:
    assert anyio.run(metrics._ask, stack, "query", {"query": "up"}) == []


@pytest.mark.parametrize(
    ("version", "ok"), [((3, 10, 9), False), ((3, 11, 0), True), ((3, 13, 9), True), ((3, 14, 0), False)]
)
def test_only_a_python_that_was_tried_will_do(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], ok: bool
) -> None:
    monkeypatch.setattr(doctor, "sys", SimpleNamespace(version_info=version, version="x"))
    assert next(iter(doctor._machine())).ok is ok


def test_a_busy_machine_is_a_warning_that_names_who_and_keeps_nobody_from_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shares = Shares(1.0, idle=0.12, others=0.48, steal=0.0, cluster=0.38, harness=0.01)
    monkeypatch.setattr(load, "look", lambda seconds, beside: load.Look(shares, {"yes": 0.46, "sh": 0.001}))
    check = examined()["machine machine load"]
    assert (check.ok, check.warning) == (True, True)
    assert check.said == "12 % idle, cluster 38 %, others 48 % (yes 46 %)"
    assert "INCONCLUSIVE" in check.hint


def test_a_machine_at_rest_is_no_warning() -> None:
    assert not examined()["machine machine load"].warning
