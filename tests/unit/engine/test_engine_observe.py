"""What is out of sight is written down as such, and nothing counts as steady before it was seen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from harness.engine.watching import observe
from harness.engine.watching.readiness import Readiness
from harness.errors import ApiError

SETS = "/apis/apps/v1/namespaces/shop/statefulsets"
DISCOVERY = {"resources": [{"name": "statefulsets", "kind": "StatefulSet", "namespaced": True}]}
FORBIDDEN = ApiError(403, "Forbidden", "pods is forbidden")


def database(replicas: int = 2, name: str = "db") -> dict[str, Any]:
    """Make a StatefulSet."""
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, "spec": {"replicas": replicas}}


def of(name: str, *, ready: bool = True, owner: str = "db") -> dict[str, Any]:
    """Make a pod of a StatefulSet."""
    reference = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "name": owner,
        "uid": f"uid-{owner}",
        "controller": True,
    }
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "ownerReferences": [reference]}
    return {"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": str(ready)}]}}


class Server:
    """An API server that gives each list of the pods in turn, then the changes that follow, then breaks the watch.

    `owners` is what it has of StatefulSets, None where nobody may list them; they never change.
    """

    def __init__(self, *lists: Any, changes: tuple[Any, ...] = (), owners: list[dict[str, Any]] | None = None) -> None:
        self._lists, self._changes, self._owners = list(lists), list(changes), owners
        self.over = anyio.Event()

    async def get(self, path: str) -> dict[str, Any]:
        if path == "/apis/apps/v1":
            return DISCOVERY
        found = next((one for one in self._owners or () if path == f"{SETS}/{one['metadata']['name']}"), None)
        if found is None:
            raise ApiError(403, "Forbidden", "", where=path)
        return found

    async def list_at(self, path: str) -> tuple[list[dict[str, Any]], str]:
        if path == SETS:
            if self._owners is None:
                raise FORBIDDEN
            return self._owners, "7"
        if not self._lists:
            self.over.set()
            await anyio.sleep_forever()
        found = self._lists.pop(0)
        if isinstance(found, Exception):
            raise found
        return found, "7"

    async def watch(self, path: str, *, since: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        if path == SETS:
            await anyio.sleep_forever()
        # Whoever watches beside it has its turn first.
        for _ in range(3):
            await anyio.sleep(0)
        while self._changes:
            yield self._changes.pop(0)
        raise ApiError(410, "Gone", "too old")


def watched(server: Server, readiness: Readiness, watch: Any = observe.workloads) -> list[tuple[Any, ...]]:
    """Return (series, value) of what was emitted until the server has nothing more to tell."""
    emitted: list[tuple[Any, ...]] = []

    def emit(kind: str, **data: Any) -> None:
        emitted.append((data["series"], data["value"]) if kind == "sample" else (kind, *data.values()))

    async def main() -> None:
        async with anyio.create_task_group() as group:
            arguments = (server, "shop", emit, *([readiness] if watch is observe.workloads else []))
            group.start_soon(watch, *arguments)
            await server.over.wait()
            group.cancel_scope.cancel()

    anyio.run(main)
    return emitted


def ready_of(emitted: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Keep what was told of workloads."""
    return [one for one in emitted if one[0].startswith(("ready/", "workloads/"))]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "RETRY_SECONDS", 0.0)


def test_a_namespace_that_was_not_listed_yet_is_not_steady() -> None:
    readiness = Readiness(["shop", "mail"])
    assert readiness.short == ["shop: pods not seen", "mail: pods not seen"]
    readiness.seen("shop")
    assert readiness.short == ["mail: pods not seen"]


def test_a_list_shows_what_there_is_even_when_there_is_nothing() -> None:
    assert watched(Server([]), Readiness(["shop"]))[0] == ("workloads/shop", 0)


def test_a_watch_that_broke_leaves_a_gap_until_the_next_list() -> None:
    readiness = Readiness(["shop"])
    server = Server([of("db-0"), of("db-1")], [of("db-0")], owners=[database()])
    assert ready_of(watched(server, readiness)) == [
        ("ready/shop/StatefulSet/db", 2),
        ("workloads/shop", 1),
        ("ready/shop/StatefulSet/db", 2),
        ("workloads/shop", None),
        ("ready/shop/StatefulSet/db", None),
        ("ready/shop/StatefulSet/db", 1),
        ("workloads/shop", 1),
        ("workloads/shop", None),
        ("ready/shop/StatefulSet/db", None),
    ]
    assert readiness.short == ["shop: pods not seen (410 Gone: too old)", "shop/StatefulSet/db 1 of 2 ready"]


def test_a_refused_list_is_a_gap_once_and_never_steady() -> None:
    readiness = Readiness(["shop"])
    assert watched(Server(FORBIDDEN, FORBIDDEN), readiness) == [("workloads/shop", None)]
    assert readiness.short == [f"shop: pods not seen ({FORBIDDEN.what})"]


def test_owners_that_nobody_may_list_leave_their_pods_to_count() -> None:
    readiness = Readiness(["shop"])
    gone = ("DELETED", of("db-1"))
    emitted = ready_of(watched(Server([of("db-0"), of("db-1")], changes=(gone,)), readiness))
    assert emitted[:3] == [
        ("ready/shop/StatefulSet/db", 2),
        ("workloads/shop", 1),
        ("ready/shop/StatefulSet/db", 1),
    ]
    assert "shop/StatefulSet/db 1 of 2 ready" in readiness.short


@pytest.mark.case(5, "the pods of any kind of workload", "watched as those of a Deployment are")
def test_each_change_of_a_workloads_own_pods_is_told_when_it_comes() -> None:
    changes = tuple(
        ("MODIFIED", one) for one in (of("db-0", ready=False), of("web-0", owner="web", ready=False), of("db-0"))
    )
    server = Server([of("db-0"), of("web-0", owner="web")], changes=changes, owners=[database(1), database(1, "web")])
    emitted = [one for one in watched(server, Readiness(["shop"])) if one[0] == "ready/shop/StatefulSet/db"]
    assert [value for _, value in emitted if value is not None][-2:] == [0, 1]


def test_what_a_workload_wants_is_told_with_what_it_has() -> None:
    told: list[dict[str, str]] = []
    server = Server([of("db-0")], owners=[database(3)])

    async def main() -> None:
        async with anyio.create_task_group() as group:
            emit = lambda kind, **data: told.append(data["labels"])  # noqa: E731
            group.start_soon(observe.workloads, server, "shop", emit, Readiness(["shop"]))
            await server.over.wait()
            group.cancel_scope.cancel()

    anyio.run(main)
    assert {"desired": "3"} in told


def test_a_workload_is_waited_for_until_it_has_what_it_had_or_still_wants() -> None:
    readiness = Readiness([])
    for ready, desired, short in ((2, 3, 0), (3, 3, 0), (2, 3, 1), (2, 6, 1), (2, 2, 0), (2, None, 1), (3, 6, 0)):
        readiness.report("shop/Cow/elsie", ready, desired)
        assert len(readiness.short) == short, (ready, desired)
    readiness.report("shop/Cow/elsie", 0, 3)
    readiness.forget("shop/Cow/elsie")
    assert readiness.short == []


def test_a_budget_of_an_older_generation_is_unknown() -> None:
    def budget(observed: int) -> dict[str, Any]:
        status = {"disruptionsAllowed": 2, "currentHealthy": 5, "desiredHealthy": 3, "observedGeneration": observed}
        return {"metadata": {"name": "cart", "generation": 4}, "status": status}

    emitted = watched(Server([budget(4)], [budget(3)]), Readiness([]), observe.budgets)
    series = [f"pdb/shop/cart/{name}" for name in ("allowed", "healthy", "desired")]
    assert emitted[:3] == list(zip(series, (2, 5, 3), strict=True))
    assert emitted[3:9] == [(name, None) for name in series * 2]


def test_waiting_for_completeness_waits_for_every_namespace() -> None:
    readiness = Readiness(["shop"])
    seen: list[str] = []

    async def wait() -> None:
        await readiness.complete()
        seen.append("complete")

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.lowlevel.checkpoint()
            seen.append("listed")
            readiness.seen("shop")

    anyio.run(main)
    assert seen == ["listed", "complete"]


def pod(
    *, ready: bool = True, restarts: int = 0, state: dict[str, Any] | None = None, last: dict[str, Any] | None = None
) -> dict[str, Any]:
    container = {"name": "web", "restartCount": restarts, "state": state or {}, "lastState": last or {}}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "metadata": {"name": "cart", "uid": "uid-cart", "namespace": "shop"},
        "status": {"podIP": "10.0.0.7", "conditions": conditions, "containerStatuses": [container]},
    }


def ended(code: int, identity: str = "c1", reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "containerID": identity}}


def told(*lists: Any, changes: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    emitted = watched(Server(*lists, changes=changes), Readiness([]))
    return [one for one in emitted if not one[0].startswith(("workloads/", "ready/"))]


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
