"""What is out of sight is written down as such, and nothing counts as steady before it was seen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from harness.engine import observe
from harness.errors import ApiError


def deployment(name: str, ready: int, desired: int = 2, *, observed: bool = True) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "generation": 4},
        "spec": {"replicas": desired},
        "status": {"readyReplicas": ready, "observedGeneration": 4 if observed else 3},
    }


class Server:
    """An API server that gives each list in turn, then the changes that follow it, then breaks the watch."""

    def __init__(self, *lists: Any, changes: tuple[Any, ...] = ()) -> None:
        self._lists, self._changes = list(lists), list(changes)
        self.over = anyio.Event()

    async def list_at(self, path: str) -> tuple[list[dict[str, Any]], str]:
        if not self._lists:
            self.over.set()
            await anyio.sleep_forever()
        found = self._lists.pop(0)
        if isinstance(found, Exception):
            raise found
        return found, "7"

    async def watch(self, path: str, *, since: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        while self._changes:
            yield self._changes.pop(0)
        raise ApiError(410, "Gone", "too old")


FORBIDDEN = ApiError(403, "Forbidden", "deployments is forbidden")


def watched(server: Server, readiness: observe.Readiness, watch: Any = observe.deployments) -> list[tuple[Any, ...]]:
    """Give (series, value) of what was emitted until the server has nothing more to tell."""
    emitted: list[tuple[Any, ...]] = []

    def emit(kind: str, **data: Any) -> None:
        emitted.append((data["series"], data["value"]) if kind == "sample" else (kind, *data.values()))

    async def main() -> None:
        async with anyio.create_task_group() as group:
            arguments = (server, "shop", emit, *([readiness] if watch is observe.deployments else []))
            group.start_soon(watch, *arguments)
            await server.over.wait()
            group.cancel_scope.cancel()

    anyio.run(main)
    return emitted


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "RETRY_SECONDS", 0.0)


def test_a_namespace_that_was_not_listed_yet_is_not_steady() -> None:
    readiness = observe.Readiness(["shop", "mail"])
    assert readiness.short == ["shop: Deployments not seen", "mail: Deployments not seen"]
    readiness.listed("shop", [])
    assert readiness.short == ["mail: Deployments not seen"]


def test_a_list_shows_what_there_is_even_when_there_is_nothing() -> None:
    readiness = observe.Readiness(["shop"])
    server = Server([])
    assert watched(server, readiness)[0] == ("deployments/shop", 0)


def test_a_watch_that_broke_leaves_a_gap_until_the_next_list() -> None:
    readiness = observe.Readiness(["shop"])
    emitted = watched(Server([deployment("cart", 2)], [deployment("cart", 1)]), readiness)
    assert emitted == [
        ("deployments/shop", 1),
        ("ready/shop/cart", 2),
        ("deployments/shop", None),
        ("ready/shop/cart", None),
        ("deployments/shop", 1),
        ("ready/shop/cart", 1),
        ("deployments/shop", None),
        ("ready/shop/cart", None),
    ]
    assert readiness.short == ["shop: Deployments not seen (410 Gone: too old)", "shop/cart 1 of 2 ready"]


def test_a_refused_list_is_a_gap_once_and_never_steady() -> None:
    readiness = observe.Readiness(["shop"])
    assert watched(Server(FORBIDDEN, FORBIDDEN), readiness) == [("deployments/shop", None)]
    assert readiness.short == [f"shop: Deployments not seen ({FORBIDDEN.what})"]


def test_a_deployment_that_went_while_nobody_watched_is_forgotten() -> None:
    readiness = observe.Readiness(["shop"])
    emitted = watched(Server([deployment("cart", 1), deployment("mail", 2)], [deployment("mail", 2)]), readiness)
    assert ("ready/shop/cart", 0) in emitted
    assert readiness.short == ["shop: Deployments not seen (410 Gone: too old)"]


def test_a_deletion_takes_what_was_wanted_along() -> None:
    readiness = observe.Readiness(["shop"])
    gone = ("DELETED", deployment("cart", 0))
    emitted = watched(Server([deployment("cart", 0)], changes=(gone,)), readiness)
    assert emitted[:3] == [("deployments/shop", 1), ("ready/shop/cart", 0), ("ready/shop/cart", 0)]


def test_a_count_of_an_older_generation_is_unknown_and_not_complete() -> None:
    readiness = observe.Readiness(["shop"])
    emitted = watched(Server([deployment("cart", 2, observed=False)]), readiness)
    assert emitted[1] == ("ready/shop/cart", None)
    assert "shop/cart not known of 2 ready" in readiness.short


def test_a_budget_of_an_older_generation_is_unknown() -> None:
    def budget(observed: int) -> dict[str, Any]:
        status = {"disruptionsAllowed": 2, "currentHealthy": 5, "desiredHealthy": 3, "observedGeneration": observed}
        return {"metadata": {"name": "cart", "generation": 4}, "status": status}

    emitted = watched(Server([budget(4)], [budget(3)]), observe.Readiness([]), observe.budgets)
    series = [f"pdb/shop/cart/{name}" for name in ("allowed", "healthy", "desired")]
    assert emitted[:3] == list(zip(series, (2, 5, 3), strict=True))
    assert emitted[3:9] == [(name, None) for name in series * 2]


def test_waiting_for_completeness_waits_for_every_namespace() -> None:
    readiness = observe.Readiness(["shop"])
    seen: list[str] = []

    async def wait() -> None:
        await readiness.complete()
        seen.append("complete")

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.lowlevel.checkpoint()
            seen.append("listed")
            readiness.listed("shop", [])

    anyio.run(main)
    assert seen == ["listed", "complete"]


def pod(
    *, ready: bool = True, restarts: int = 0, state: dict[str, Any] | None = None, last: dict[str, Any] | None = None
) -> dict[str, Any]:
    container = {"name": "web", "restartCount": restarts, "state": state or {}, "lastState": last or {}}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "metadata": {"name": "cart"},
        "status": {"podIP": "10.0.0.7", "conditions": conditions, "containerStatuses": [container]},
    }


def ended(code: int, identity: str = "c1", reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "containerID": identity}}


def told(*lists: Any, changes: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    return watched(Server(*lists, changes=changes), observe.Readiness([]), observe.pods)


def test_a_pod_is_told_of_when_its_readiness_changes_and_not_at_every_word_of_its_kubelet() -> None:
    words = (pod(), pod(), pod(ready=False), pod(ready=False), pod())
    emitted = told([pod()], changes=tuple(("MODIFIED", word) for word in words))
    assert emitted[:3] == [("pod/shop/cart", 1.0), ("pod/shop/cart", 0.0), ("pod/shop/cart", 1.0)]
    assert emitted[3:] == [("pod/shop/cart", None)]


def test_a_pod_that_went_is_not_ready_whether_it_was_seen_to_go_or_not() -> None:
    assert told([pod()], changes=(("DELETED", pod()),))[:2] == [("pod/shop/cart", 1.0), ("pod/shop/cart", 0.0)]


def test_a_container_that_ended_is_told_of_once_with_how_it_ended() -> None:
    dead, back = pod(state=ended(137, reason="OOMKilled")), pod(restarts=1, last=ended(137, reason="OOMKilled"))
    emitted = told([pod()], [back], changes=(("MODIFIED", dead), ("MODIFIED", back)))
    assert [one for one in emitted if one[0] == "restart"] == [("restart", "shop", "cart", "web", "OOMKilled", 137)]


def test_what_ended_before_the_run_is_none_of_its_business() -> None:
    before = pod(restarts=3, last=ended(1))
    assert [one for one in told([before], [before]) if one[0] == "restart"] == []


def test_what_ended_while_nobody_watched_is_told_of_all_the_same() -> None:
    emitted = told([pod()], [pod(restarts=1, last=ended(1))])
    assert ("restart", "shop", "cart", "web", "Error", 1) in emitted


def test_a_container_that_ends_with_its_pod_is_no_restart() -> None:
    going = pod(ready=False, state=ended(143))
    going["metadata"]["deletionTimestamp"] = "2026-09-21T14:00:00Z"
    assert [one for one in told([pod()], changes=(("MODIFIED", going),)) if one[0] == "restart"] == []
