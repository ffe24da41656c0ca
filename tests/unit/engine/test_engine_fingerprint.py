"""A difference names what is gone, what is new and what is other than before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.cluster.local import LocalCluster
from harness.engine import fingerprint
from harness.engine.fingerprint import _hands, _node, _owned, difference, digest
from harness.engine.scope import Scope
from harness.errors import PreconditionFailed
from harness.hands.kind import Place


def test_equal_fingerprints_have_no_difference_and_one_digest() -> None:
    lines = {"node/a/cordoned": "false"}
    assert difference(lines, dict(lines)) == []
    assert digest(lines) == digest(dict(lines))


def test_each_difference_is_one_line_that_says_before_and_after() -> None:
    before, after = {"a": "1", "b": "2"}, {"b": "3", "c": "4"}
    assert difference(before, after) == ["a: 1 -> absent", "b: 2 -> 3", "c: absent -> 4"]
    assert digest(before) != digest(after)


class Cluster:
    """Pods, and what owns them."""

    def __init__(self, pods: list[Any], objects: dict[str, Any]) -> None:
        self.pods, self.objects = pods, objects

    async def list(self, path: str, **_: Any) -> list[Any]:
        return self.pods

    async def get(self, path: str) -> dict[str, Any]:
        return self.objects[path]


def owned(name: str, *references: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}", "ownerReferences": list(references)}}


def test_whatever_owns_pods_is_told_of_and_so_is_a_pod_that_nobody_owns() -> None:
    reference = {"apiVersion": "farm.example/v1", "kind": "Goose", "name": "x", "uid": "uid-x", "controller": True}
    resources = [{"name": "geese", "kind": "Goose", "namespaced": True}, {"name": "geese/scale", "kind": "Scale"}]
    path = "/apis/farm.example/v1/namespaces/shop/geese/x"
    objects = {
        "/apis/farm.example/v1": {"resources": resources},
        path: {"metadata": {"uid": "uid-x"}, "spec": {"flock": 3}},
        f"{path}/scale": {"spec": {"replicas": 3}},
    }
    lines: dict[str, str] = {}
    pods = [owned("x-1", reference), owned("x-2", reference), owned("lone")]
    anyio.run(_owned, Cluster(pods, objects), lines, Scope())
    assert lines["goose/shop/x/replicas"] == "3"
    assert lines["pods/shop/lone/uid"] == "uid-lone"
    assert set(lines) == {"goose/shop/x/replicas", "goose/shop/x/spec", "pods/shop/lone/uid"}


HERE = LocalCluster("here", Path("none"), "unix:///none", "kind", {}, "control-plane", Path("none"))


def test_a_node_and_a_keeper_that_do_not_answer_are_lines_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: Any) -> str:
        raise PreconditionFailed("no answer within 60 s")

    monkeypatch.setattr(
        fingerprint.docker, "inspect", lambda *_: [{"State": {"Status": "running"}, "NetworkSettings": {}}]
    )
    monkeypatch.setattr(fingerprint.docker, "docker", silent)
    lines: dict[str, str] = {}
    anyio.run(_node, HERE, "worker", "c-worker", lines)
    anyio.run(_hands, Place(Cluster([], {}), HERE), lines)  # type: ignore[arg-type]
    assert lines == {"unseen/container/worker": "no answer within 60 s", "unseen/keeper": "away", "processes": ""}


def test_what_agents_owe_is_told_of_on_any_cluster_and_processes_of_this_machine_on_its_own_alone() -> None:
    agent = {"metadata": {"name": "agent-1"}, "spec": {"nodeName": "worker"}}

    class Elsewhere(Cluster):
        async def get_text(self, path: str) -> str:
            return "chaos_agent_faults_owed 2\n"

    lines: dict[str, str] = {}
    anyio.run(_hands, Place(Elsewhere([agent], {})), lines)  # type: ignore[arg-type]
    assert lines == {"agent/worker/owes": "2"}
