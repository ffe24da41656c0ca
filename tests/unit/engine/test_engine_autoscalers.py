"""What an autoscaler says is written down whenever it says something new, and where nobody may look nothing is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import anyio
import pytest

from harness.checkers import OBJECTIVES
from harness.engine.planning import rights
from harness.engine.watching import autoscalers
from harness.errors import ApiError
from harness.model.experiment import BlastRadius
from harness.model.objective import Objective


def autoscaler(wanted: int, *, blind: bool = False) -> dict[str, Any]:
    status, reason = ("False", "FailedGetPodsMetric") if blind else ("True", "ValidMetricFound")
    condition = {"type": "ScalingActive", "status": status, "reason": reason, "message": "no metrics returned"}
    return {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 5, "maxReplicas": 8},
        "status": {"desiredReplicas": wanted, "conditions": [condition]},
    }


class Server:
    """An API server that lists one autoscaler, tells its changes, and then nothing more."""

    def __init__(self, first: Any, *changes: dict[str, Any]) -> None:
        self._first, self._changes = first, changes
        self.asked: list[str] = []
        self.over = anyio.Event()

    async def list_at(self, path: str) -> tuple[list[dict[str, Any]], str]:
        self.asked.append(path)
        if isinstance(self._first, Exception):
            raise self._first
        return [self._first], "1"

    async def watch(self, path: str, *, since: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        for change in self._changes:
            yield "MODIFIED", change
        self.over.set()
        await anyio.sleep_forever()


def watched(server: Server) -> list[dict[str, Any]]:
    emitted: list[dict[str, Any]] = []

    async def main() -> None:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(autoscalers.watch, server, "shop", lambda _, **data: emitted.append(data))
                await server.over.wait()
                group.cancel_scope.cancel()

    anyio.run(main)
    return emitted


def test_each_change_is_told_with_what_the_judge_needs() -> None:
    server = Server(autoscaler(5), autoscaler(5), autoscaler(8), autoscaler(8, blind=True))
    emitted = watched(server)
    assert server.asked == ["/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers"]
    assert {one["series"] for one in emitted} == {"autoscaler/shop/web"}
    assert [(one["value"], one["labels"].get("blind")) for one in emitted] == [(5, None), (8, None), (8, "yes")]
    assert emitted[0]["labels"] == {"target": "Deployment/web", "least": "5", "most": "8"}
    assert emitted[-1]["labels"]["message"] == "no metrics returned"


@pytest.mark.parametrize("status", [403, 404])
def test_where_nobody_may_look_nothing_is_told(status: int) -> None:
    async def main() -> list[Any]:
        emitted: list[Any] = []
        with anyio.fail_after(60):
            server: Any = Server(ApiError(status, "No", ""))
            await autoscalers.watch(server, "shop", lambda *_, **data: emitted.append(data))
        return emitted

    assert anyio.run(main) == []


@pytest.mark.parametrize("judged", [True, False])
def test_whoever_is_judged_by_an_autoscaler_needs_the_right_to_look_at_it(session: Any, judged: bool) -> None:
    promise = Objective("scaling", {"name": "web", "held": True})
    radius = BlastRadius(namespaces=("shop",))
    one = replace(session.experiment, objectives=(promise,) if judged else (), blast_radius=radius)
    (rule,) = OBJECTIVES["scaling"].rights
    assert (rule in rights.rules_for(one)) is judged
    assert (rule in rights.needed(one)["shop"]) is judged
