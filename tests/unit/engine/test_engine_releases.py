"""What is told of Rollouts and analyses is written down when it changes, and what is out of sight as such."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from harness.engine.watching import observe, releases
from harness.errors import ApiError


def rollout(newest: str = "old", stable: str = "old", weight: int = 0, **status: Any) -> dict[str, Any]:
    told = {"observedGeneration": "2", "phase": "Progressing", "stableRS": stable, "currentPodHash": newest}
    weights = {"canary": {"weights": {"canary": {"weight": weight}}}}
    metadata = {"name": "web", "namespace": "shop", "generation": 2}
    return {"metadata": metadata, "spec": {}, "status": {**told, **weights, **status}}


def analysis(phase: str, *values: str) -> dict[str, Any]:
    owner = {"kind": "Rollout", "name": "web"}
    labels = {"rollouts-pod-template-hash": "new"}
    metadata = {"name": "web-new-2", "namespace": "shop", "ownerReferences": [owner], "labels": labels}
    results = [{"name": "success-rate", "measurements": [{"value": value} for value in values]}]
    return {"metadata": metadata, "status": {"phase": phase, "metricResults": results}}


class Server:
    """An API server that serves what a test says of Rollouts and analyses: a first look, then changes."""

    def __init__(self, rollouts: Any, analyses: Any = ()) -> None:
        self._of = {"rollouts": list(rollouts), "analysisruns": list(analyses)}
        self._left = len(self._of)
        self.over = anyio.Event()

    async def list_at(self, path: str) -> tuple[list[dict[str, Any]], str]:
        if not (left := self._of[path.rpartition("/")[2]]):
            self._left -= 1
            if not self._left:
                self.over.set()
            await anyio.sleep_forever()
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return [found], "1"

    async def watch(self, path: str, *, since: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        left = self._of[path.rpartition("/")[2]]
        while left and not isinstance(left[0], Exception):
            yield "MODIFIED", left.pop(0)
        raise ApiError(410, "Gone", "too old")


def watched(server: Server) -> list[tuple[str, Any, dict[str, str]]]:
    emitted: list[tuple[str, Any, dict[str, str]]] = []

    async def main() -> None:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(releases.watch, server, "shop", lambda _, **data: emitted.append((*data.values(),)))
                await server.over.wait()
                group.cancel_scope.cancel()

    anyio.run(main)
    return emitted


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "RETRY_SECONDS", 0.0)


def of(emitted: list[tuple[str, Any, dict[str, str]]], series: str) -> list[tuple[Any, dict[str, str]]]:
    return [(value, labels) for name, value, labels in emitted if name == series and value is not None]


def test_a_release_is_told_from_its_start_to_its_end() -> None:
    states = [
        rollout(phase="Healthy"),
        rollout("new", weight=10),
        rollout("new", weight=10),
        rollout("new", abort=True, phase="Degraded"),
    ]
    found = of(watched(Server(states)), "release/shop/Rollout/web")
    assert [value for value, _ in found] == [100.0, 10.0, 0.0]
    assert [(one["stable"], one["newest"], one.get("aborted")) for _, one in found] == [
        ("old", "old", None),
        ("old", "new", None),
        ("old", "new", "yes"),
    ]


def test_an_analysis_is_told_with_what_it_measured() -> None:
    runs = [analysis("Running", "[1]"), analysis("Failed", "[1]", "[0.9]")]
    found = of(watched(Server([], runs)), "analysis/shop/web-new-2")
    assert [(value, one["phase"], one["measured"]) for value, one in found] == [
        (1.0, "Running", "success-rate [1]"),
        (2.0, "Failed", "success-rate [1], [0.9]"),
    ]
    assert {(one["rollout"], one["release"]) for _, one in found} == {("Rollout/web", "new")}


def test_what_goes_out_of_sight_is_written_down() -> None:
    lost = ApiError(500, "InternalError", "no")
    emitted = watched(Server([rollout("new", weight=20), lost, rollout("new", weight=50)]))
    assert [value for _, value, _ in emitted] == [20.0, None, 50.0, None]


@pytest.mark.parametrize("status", [403, 404])
def test_where_there_is_no_such_thing_or_nobody_may_look_nothing_is_told(status: int) -> None:
    server = Server([ApiError(status, "No", "")], [ApiError(status, "No", "")])

    async def main() -> list[Any]:
        emitted: list[Any] = []
        with anyio.fail_after(60):
            await releases.watch(server, "shop", lambda *_, **data: emitted.append(data))  # type: ignore[arg-type]
        return emitted

    assert anyio.run(main) == []
