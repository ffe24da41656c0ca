"""The cluster is made fit before it is struck, and compared after; what does not become so is named."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import anyio
import pytest

from bench.dying import place, workload
from harness.errors import ApiError, ObservationFailed


def test_what_was_waited_for_in_vain_is_named() -> None:
    async def never() -> bool:
        raise ApiError(500, "Timeout", "")

    async def wait() -> None:
        await workload.until(never, 0.01, "the end of it")

    with pytest.raises(TimeoutError, match=r"the end of it did not come within 0\.01 s"):
        anyio.run(wait)


def test_a_cluster_that_does_not_become_whole_is_an_error_that_says_what_is_amiss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def take(*_: Any) -> dict[str, str]:
        return {"container/a/residue": "process chaos-x", "node/a/ready": "True"}

    monkeypatch.setattr(place.fingerprint, "take", take)
    monkeypatch.setattr(place, "STEADY_SECONDS", -1.0)
    nobody: Any = None
    with pytest.raises(ObservationFailed, match="not as it should be") as raised:
        anyio.run(place.Place(nobody, nobody).steady)
    assert raised.value.why == "after -1 s: container/a/residue"


class Stack:
    """Nodes, agents and a stack of one workload, of which something may be away."""

    def __init__(self, *, agents: int = 2, available: int = 3) -> None:
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        replicas = {"replicas": 3, "updatedReplicas": 3, "availableReplicas": available, "observedGeneration": 1}
        web = {"metadata": {"name": "web", "namespace": "shop", "generation": 1}, "spec": {"replicas": 3}}
        self.found = {
            "/api/v1/nodes": [{"metadata": {"name": name}} for name in "ab"],
            "/api/v1/namespaces/chaos-system/pods": [{"metadata": {}, "status": ready}] * agents,
            "/apis/apps/v1/namespaces/shop/deployments": [{**web, "status": replicas}],
        }

    async def list(self, path: str, **_: Any) -> list[dict[str, Any]]:
        return self.found[path]

    async def get(self, path: str) -> dict[str, Any]:
        return {"data": {"paths": json.dumps(["/apis/apps/v1/namespaces/shop/deployments/web"])}}


def test_agents_and_the_stack_are_waited_for_before_a_cell_begins() -> None:
    def lacking(**more: int) -> list[str]:
        kube, nobody = Stack(**more), None
        there: Any = place.Place(nobody, kube)  # type: ignore[arg-type]
        return list(anyio.run(there._lacking))

    assert lacking() == lacking(agents=0) == []
    assert lacking(agents=1, available=2) == ["1 of 2 agents are ready", "shop/web is not complete"]


def test_processes_are_limited_for_the_one_fault_that_takes_them_up(here: Any, tmp_path: Path) -> None:
    told: list[tuple[str, ...]] = []

    class Kube:
        async def list(self, path: str, *, labels: str) -> list[dict[str, Any]]:
            statuses = [{"containerID": "containerd://c0ffee"}]
            return [{"spec": {"nodeName": "worker"}, "status": {"containerStatuses": statuses}}]

    class Place(place.Place):
        async def docker(self, *words: str) -> str:
            told.append(words)
            return ""

    kube: Any = Kube()
    there = Place(here.cluster, kube)
    anyio.run(there.suit, "pod_freeze", "t-x")
    assert told == []
    anyio.run(there.suit, "pod_pids", "t-x")
    ((*_, shell, option, script, name, container, most),) = told
    assert (container, most) == ("c0ffee", "60")
    limit = tmp_path / "pod" / "c0ffee" / "pids.max"
    limit.parent.mkdir(parents=True)
    limit.write_text("max")
    subprocess.run([shell, option, script.replace("/sys/fs/cgroup", str(tmp_path)), name, container, most], check=True)
    assert limit.read_text() == "60\n"


def test_the_fingerprint_is_waited_for_and_what_stays_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [ApiError(500, "Timeout", ""), {"a": "1", "b": "2"}, {"a": "1"}]

    async def take(*_: Any) -> dict[str, str]:
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(place.fingerprint, "take", take)
    monkeypatch.setattr(place, "PAUSE_SECONDS", 0)
    nobody: Any = None
    here = place.Place(nobody, nobody)
    assert anyio.run(here.unlike, {"a": "1"}, 60.0) == []
    assert anyio.run(here.unlike, {"a": "2"}, -1.0) == ["a: 2 -> 1"]


def test_a_cluster_that_is_not_whole_is_not_begun_with() -> None:
    whole = {"node/a/ready": "True", "node/a/taints": "5eed", "container/a/residue": "", "container/a/state": "running"}
    whole |= {"node/a/conditions": ""}
    assert place.amiss(whole) == []
    wrong = {"node/a/ready": "Unknown", "container/a/residue": "process chaos-x", "fault/n/f": "present"}
    assert place.amiss({**whole, **wrong}) == ["node/a/ready", "container/a/residue", "fault/n/f"]
    assert place.amiss({**whole, "node/a/conditions": "not-ready"}) == ["node/a/conditions"]


def test_what_an_earlier_command_left_is_emptied_besides_ones_own() -> None:
    deleted: list[str] = []

    class Kube:
        async def list(self, path: str, **_: Any) -> list[dict[str, Any]]:
            return [{"metadata": {"name": name}} for name in ("own", "left")] if path.endswith("namespaces") else []

        async def get(self, path: str) -> dict[str, Any]:
            raise ApiError(404, "NotFound", "")

        async def delete(self, path: str) -> None:
            deleted.append(path)

    kube: Any = Kube()
    anyio.run(workload.forgotten, kube, "own")
    assert deleted[0] == "/api/v1/namespaces/left"
    content = {"/apis/apps/v1/namespaces/left/deployments", "/api/v1/namespaces/left/pods"}
    assert content < {*deleted}
    assert not any("/own" in path for path in deleted)
