"""What the report makes goes again, on nodes too; and what runs in its pods does as it is told."""

from __future__ import annotations

import copy
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest

from bench.dying import workload
from bench.stack_report import asking, objects, site
from bench.stack_report.canary import watching
from bench.stack_report.placement import network
from harness.cluster import paths
from harness.errors import ApiError
from tests.unit.faults.server import Server

NODE: dict[str, Any] = {
    "metadata": {"name": "worker", "labels": {}, "annotations": {"theirs": "yes"}, "resourceVersion": "1"},
    "spec": {"taints": [{"key": "theirs", "effect": "NoSchedule"}]},
}


class Nodes:
    """An API server with one node; each time it is written its kubelet has been there before, so many times."""

    def __init__(self, conflicts: int = 0) -> None:
        self.node, self.conflicts = copy.deepcopy(NODE), conflicts

    async def get(self, path: str) -> Any:
        assert path == paths.nodes("worker")
        return copy.deepcopy(self.node)

    async def list(self, path: str, **_: Any) -> list[Any]:
        return [copy.deepcopy(self.node)] if path == paths.nodes() else []

    async def replace(self, path: str, body: Any) -> Any:
        if self.conflicts:
            self.conflicts -= 1
            raise ApiError(409, "Conflict", "", where=path)
        self.node = copy.deepcopy(body)
        return body


def here(kube: Any) -> Any:
    place: Any = SimpleNamespace(kube=kube)
    return site.Site(place, "t", "image", httpx.AsyncClient())


CHANGES: list[Callable[[Any], AbstractAsyncContextManager[None]]] = [
    lambda site_: site.cordoned(site_, "worker"),
    lambda site_: site.tainted(site_, "worker", "node-type", "general-compute"),
]


@pytest.mark.parametrize("change", CHANGES, ids=["cordoned", "tainted"])
@pytest.mark.parametrize("conflicts", [0, 3])
def test_a_node_is_changed_for_a_row_and_as_before_after_it(change: Any, conflicts: int) -> None:
    nodes = Nodes(conflicts)

    async def row() -> None:
        async with change(here(nodes)):
            assert nodes.node["spec"] != NODE["spec"]
            nodes.node["spec"]["taints"].append({"key": "of-another", "effect": "NoExecute"})
            nodes.conflicts = conflicts
            raise ValueError("the row fails")

    with pytest.raises(ValueError, match="the row fails"):
        anyio.run(row)
    nodes.node["spec"]["taints"].pop()
    assert nodes.node == NODE


@pytest.mark.parametrize("change", CHANGES, ids=["cordoned", "tainted"])
def test_what_a_killed_report_did_to_a_node_is_taken_back_by_the_next(
    change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = Nodes()

    async def none(*_: Any) -> None:
        """Forget nothing: there are no namespaces."""

    async def killed() -> None:
        async with change(here(nodes)):
            left = copy.deepcopy(nodes.node)
        nodes.node = left

    monkeypatch.setattr(workload, "forgotten", none)
    anyio.run(killed)
    assert nodes.node != NODE
    anyio.run(site.mended, here(nodes).place)
    assert nodes.node == NODE


def rollout(template: str, phase: str = "Healthy") -> dict[str, Any]:
    status = {"observedGeneration": "1", "phase": phase, "stableRS": "a", "currentPodHash": "a"}
    status |= {"replicas": 5, "availableReplicas": 5}  # type: ignore[dict-item]
    return {
        "metadata": {"name": watching.ROLLOUT, "generation": 1, "resourceVersion": "1"},
        "spec": {"template": {"metadata": {}, "name": template}, "replicas": 5},
        "status": status,
    }


def virtual(canary: int) -> dict[str, Any]:
    shares = {"stable": 100 - canary, "canary": canary}
    route = [{"destination": {"subset": name}, "weight": weight} for name, weight in shares.items()]
    return {"metadata": {}, "spec": {"http": [{"name": "primary", "route": route}]}}


def test_a_release_is_taken_back_by_its_template_and_only_where_that_is_another() -> None:
    weights = f"{watching.VIRTUAL}/{watching.DEPLOYMENT}-vs"
    before = rollout("before")["spec"]["template"]
    server: Any = Server({watching.PATH: rollout("another"), weights: virtual(0)})
    anyio.run(watching._back, server, before)
    anyio.run(watching._back, server, before)
    assert server.objects[watching.PATH]["spec"]["template"] == before
    assert server.requests == [("PATCH", watching.PATH)]


@pytest.mark.parametrize(
    ("item", "canary"),
    [
        (rollout("before", "Progressing"), 0),
        (rollout("before"), 10),
        ({**rollout("before"), "status": {**rollout("before")["status"], "replicas": 6}}, 0),
    ],
)
def test_a_rollout_that_still_moves_is_not_at_rest(item: Any, canary: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "REST_SECONDS", 0.01)
    server: Any = Server({watching.PATH: item, f"{watching.VIRTUAL}/{watching.DEPLOYMENT}-vs": virtual(canary)})
    with pytest.raises(TimeoutError, match="at rest"):
        anyio.run(watching._at_rest, server)


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    """The server of the report's pods, at a port of this machine."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    script = objects.ECHO.replace('("", 8080)', f'("127.0.0.1", {port})')
    server = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "NAME": "echo-1"})
    try:
        url = f"http://127.0.0.1:{port}"
        while True:
            try:
                httpx.get(url, trust_env=False)
                break
            except httpx.ConnectError:
                assert server.poll() is None
        yield url
    finally:
        server.kill()
        server.wait()


def test_an_echo_says_who_and_how_it_was_asked(echo: str) -> None:
    answer = httpx.get(echo, trust_env=False)
    assert (answer.status_code, answer.text, answer.headers["x-served-by"]) == (200, "echo-1", "echo-1")
    assert answer.headers["x-protocol"] == "HTTP/1.1"


def test_an_echo_uses_one_connection_for_as_long_as_its_caller_does(echo: str) -> None:
    with httpx.Client(base_url=echo, trust_env=False) as client:
        assert len({client.get("/").headers["x-peer"] for _ in range(3)}) == 1
    assert len({httpx.get(echo, trust_env=False).headers["x-peer"] for _ in range(3)}) == 3


def test_an_echo_waits_drops_and_is_as_ready_as_it_is_told_to(echo: str) -> None:
    assert httpx.get(echo, headers={"x-wait": "0.2"}, trust_env=False).elapsed.total_seconds() >= 0.2
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(echo, headers={"x-drop": "yes"}, trust_env=False)
    for status in (503, 200):
        assert httpx.get(f"{echo}/be-ready/{status}", trust_env=False).status_code == 200
        assert httpx.get(f"{echo}/health/ready", trust_env=False).status_code == status
    assert httpx.get(f"{echo}/health/live", trust_env=False).status_code == 200


def ran(script: str, *words: str) -> str:
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port that is held and at which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_a_call_from_inside_tells_the_status_and_who_answered(echo: str, nobody: int) -> None:
    assert ran(objects.CALL, echo, "GET") == "200 echo-1"
    assert ran(objects.CALL, echo, "PATCH") == "501 nobody"
    assert ran(objects.CALL, f"http://127.0.0.1:{nobody}", "GET") == "0 ConnectionRefusedError"


def test_a_knock_tells_a_connection_from_a_refusal(echo: str, nobody: int) -> None:
    assert ran(network.KNOCK, "127.0.0.1", echo.rpartition(":")[2]) == "connected"
    assert ran(network.KNOCK, "127.0.0.1", str(nobody)) == "ConnectionRefusedError"


def test_many_connections_tell_who_answered_each(echo: str) -> None:
    assert ran(network.MANY, echo, "3").split() == ["echo-1"] * 3


def test_calls_at_a_rate_do_not_wait_for_answers() -> None:
    async def ask() -> list[asking.Answer]:
        asked, all_there = 0, anyio.Event()

        async def answered(_: httpx.Request) -> httpx.Response:
            nonlocal asked
            asked += 1
            if asked == 12:
                all_there.set()
            await all_there.wait()
            return httpx.Response(200)

        async with httpx.AsyncClient(base_url="http://any", transport=httpx.MockTransport(answered)) as client:
            return await asking.at_rate(client, 12, "/", "any")

    assert [one.status for one in anyio.run(ask)] == [200] * 12


def test_nobody_who_answers_is_an_answer_of_no_status(nobody: int) -> None:
    async def ask() -> asking.Answer:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{nobody}", trust_env=False) as client:
            return await asking.ask(client)

    answer = anyio.run(ask)
    assert (answer.status, answer.good, answer.by, answer.tries, answer.flags) == (0, False, "", 0, [])
