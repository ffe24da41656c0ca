"""A difference names what is gone, what is new and what is other than before."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest

from harness.cluster.local import LocalCluster
from harness.engine.preflight.scope import Scope
from harness.engine.undoing import fingerprint
from harness.engine.undoing.fingerprint import AT_ONCE, _configs, _containers, _hands, _owned, difference, digest
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


def test_a_workload_that_has_no_pod_says_nothing_of_labels() -> None:
    line, other = {"labels/deployment/shop/web": "1"}, {"labels/deployment/shop/web": "2"}
    assert difference(line, {}) == difference({}, line) == []
    assert difference(line, other) == ["labels/deployment/shop/web: 1 -> 2"]


class Cluster:
    """Pods, and what owns them."""

    def __init__(self, pods: list[Any], objects: dict[str, Any]) -> None:
        self.pods, self.objects = pods, objects

    async def list(self, path: str, **_: Any) -> list[Any]:
        return self.pods

    async def get(self, path: str) -> dict[str, Any]:
        return self.objects[path]


def owned(name: str, *references: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "ownerReferences": list(references)}
    return {"metadata": metadata, "spec": {"containers": [{"image": "db:1"}]}}


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
    assert set(lines) == {"goose/shop/x/replicas", "goose/shop/x/spec", "labels/goose/shop/x", "pods/shop/lone/uid"}


def test_what_owns_pods_is_asked_for_all_at_once_and_how_it_is_served_once() -> None:
    names, path = ("a", "b", "c"), "/apis/apps/v1/namespaces/shop/statefulsets"
    own = {f"{path}/{name}" for name in names}

    class Together(Cluster):
        asked: ClassVar[list[str]] = []

        async def get(self, path: str) -> dict[str, Any]:
            self.asked.append(path)
            # Nobody but the first hears anything before all are asked for.
            with anyio.fail_after(5):
                while path in own and path != next(one for one in self.asked if one in own) and own - {*self.asked}:
                    await anyio.lowlevel.checkpoint()
            return await super().get(path)

    references = [
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name, "uid": f"uid-{name}", "controller": True}
        for name in names
    ]
    objects = {"/apis/apps/v1": {"resources": [{"name": "statefulsets", "kind": "StatefulSet", "namespaced": True}]}}
    objects |= {f"{path}/{name}": {"metadata": {"uid": f"uid-{name}"}, "spec": {}} for name in names}
    pods = [owned(f"{one['name']}-{number}", one) for one in references for number in range(2)]
    lines: dict[str, str] = {}
    anyio.run(_owned, Together(pods, objects), lines, Scope())
    assert set(lines) == {f"labels/statefulset/shop/{name}" for name in names}
    assert sorted(Together.asked) == sorted(objects)


def test_of_many_owners_some_are_asked_for_at_a_time() -> None:
    kind = {"apiVersion": "apps/v1", "kind": "StatefulSet", "controller": True}
    names = [str(number) for number in range(3 * AT_ONCE)]

    class Counting(Cluster):
        under_way, most = 0, 0

        async def get(self, path: str) -> dict[str, Any]:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            await anyio.lowlevel.checkpoint()
            self.under_way -= 1
            return await super().get(path)

    objects = {"/apis/apps/v1": {"resources": [{"name": "statefulsets", "kind": "StatefulSet", "namespaced": True}]}}
    for name in names:
        objects[f"/apis/apps/v1/namespaces/shop/statefulsets/{name}"] = {"metadata": {"uid": f"uid-{name}"}, "spec": {}}
    pods = [owned(f"{name}-0", {**kind, "name": name, "uid": f"uid-{name}"}) for name in names]
    cluster = Counting(pods, objects)
    anyio.run(_owned, cluster, {}, Scope())
    assert cluster.most == AT_ONCE


def test_a_pod_that_lacks_a_label_is_seen_and_one_that_was_replaced_is_not() -> None:
    reference = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "uid-db", "controller": True}
    objects = {
        "/apis/apps/v1": {"resources": [{"name": "statefulsets", "kind": "StatefulSet", "namespaced": True}]},
        "/apis/apps/v1/namespaces/shop/statefulsets/db": {"metadata": {"uid": "uid-db"}, "spec": {}},
    }
    told: list[dict[str, str]] = []
    for second in ({"app": "db", "role": "b"}, {"role": "c", "app": "db"}, {"app": "db"}):
        pods = [owned("db-0", reference), owned("db-1", reference)]
        pods[0]["metadata"]["labels"], pods[1]["metadata"]["labels"] = {"app": "db", "role": "a"}, second
        lines: dict[str, str] = {}
        anyio.run(_owned, Cluster(pods, objects), lines, Scope())
        told.append(lines)
    assert set(told[0]) == {"labels/statefulset/shop/db"}
    assert told[0] == told[1] != told[2]


def test_a_pod_that_has_another_image_than_its_workload_gave_it_is_seen() -> None:
    reference = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "uid-db", "controller": True}
    objects = {
        "/apis/apps/v1": {"resources": [{"name": "statefulsets", "kind": "StatefulSet", "namespaced": True}]},
        "/apis/apps/v1/namespaces/shop/statefulsets/db": {"metadata": {"uid": "uid-db"}, "spec": {}},
    }
    told: list[dict[str, str]] = []
    for image in ("db:1", "nowhere.chaos.invalid/db:1", "db:1"):
        pods = [owned("db-0", reference), owned("db-1", reference)]
        pods[1]["spec"]["containers"][0]["image"] = image
        lines: dict[str, str] = {}
        anyio.run(_owned, Cluster(pods, objects), lines, Scope())
        told.append(lines)
    assert told[0] == told[2] != told[1]


def test_a_secret_is_told_of_by_its_keys_and_never_by_what_they_hold() -> None:
    def told(token: str, *keys: str) -> dict[str, str]:
        lines: dict[str, str] = {}
        metadata = {"namespace": "shop"}
        secrets = [
            {"metadata": {**metadata, "name": "db"}, "data": dict.fromkeys(keys, token)},
            {"metadata": {**metadata, "name": "joins"}, "type": "bootstrap.kubernetes.io/token", "data": {"a": token}},
        ]
        anyio.run(_configs, Cluster(secrets, {}), lines, Scope(), ["secrets"])
        return lines

    assert set(told("x", "a")) == {"secrets/shop/db/keys"}
    assert told("x", "a", "b") == told("y", "b", "a") != told("x", "a")


def test_a_config_map_is_told_of_by_its_keys_and_the_lever_elsewhere() -> None:
    def config(name: str, *keys: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "namespace": "shop"}, "data": dict.fromkeys(keys, "x")}

    told: list[dict[str, str]] = []
    for keys in (("a", "b"), ("b", "a"), ("a",)):
        lines: dict[str, str] = {}
        anyio.run(
            _configs, Cluster([config("settings", *keys), config("chaos-lever")], {}), lines, Scope(), ["configmaps"]
        )
        told.append(lines)
    assert set(told[0]) == {"configmaps/shop/settings/keys"}
    assert told[0] == told[1] != told[2]


@pytest.mark.parametrize(
    ("line", "value", "asked"),
    [
        ("node/a/cordoned", "true", "/api/v1/nodes"),
        ("deployments/shop/a/replicas", "3", "/apis/apps/v1/deployments"),
        ("pods/shop/a/uid", "uid-a", "/api/v1/pods"),
    ],
)
def test_no_more_is_asked_than_tells_the_line_that_is_wanted(line: str, value: str, asked: str) -> None:
    metadata = {"name": "a", "namespace": "shop", "uid": "uid-a"}

    class One(Cluster):
        paths: ClassVar[list[str]] = []

        async def list(self, path: str) -> list[Any]:
            self.paths.append(path)
            return [{"metadata": metadata, "spec": {"unschedulable": True, "replicas": 3}, "status": {}}]

    assert anyio.run(fingerprint.take, One([], {}), None, Scope(), [line]) == {line: value}
    assert One.paths == [asked]


def test_what_the_cluster_taints_a_node_with_for_its_conditions_is_told_apart() -> None:
    def told(*taints: tuple[str, str]) -> dict[str, str]:
        node = {"metadata": {"name": "a"}, "status": {}}
        spec = {"taints": [{"key": key, "effect": effect} for key, effect in taints]}
        return anyio.run(fingerprint.take, Cluster([{**node, "spec": spec}], {}), None, Scope(), lines)

    lines = ["node/a/taints", "node/a/conditions"]
    own, other = ("spot", "NoSchedule"), ("planted", "NoExecute")
    gone = [("node.kubernetes.io/unreachable", effect) for effect in ("NoSchedule", "NoExecute")]
    assert told() == {"node/a/taints": "-"}
    assert told(own, other) == told(other, own) != told(own)
    assert told(*gone, own) == {**told(own), "node/a/conditions": "unreachable"}
    assert told(own, ("node.kubernetes.io/out-of-service", "NoExecute"))["node/a/taints"] != told(own)["node/a/taints"]


NODES = {"worker": "c-worker", "worker2": "c-worker2"}
HERE = LocalCluster("here", Path("none"), "unix:///none", "kind", NODES, "control-plane", Path("none"))
RUNNING = {"Name": "/c-worker", "State": {"Status": "running"}, "NetworkSettings": {"Networks": {"kind": {}}}}


def test_nodes_are_described_by_one_question_and_one_that_is_gone_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def inspect(_: str, *names: str) -> list[Any]:
        asked.append(names)
        return [RUNNING]

    monkeypatch.setattr(fingerprint.docker, "inspect", inspect)
    monkeypatch.setattr(fingerprint.docker, "docker", lambda *_: "two\none\n")
    lines: dict[str, str] = {}
    anyio.run(_containers, HERE, NODES, lines)
    assert asked == [("c-worker", "c-worker2")]
    assert lines == {
        "container/worker/state": "running",
        "container/worker/networks": "kind",
        "container/worker/residue": "one; two",
        "container/worker2/state": "absent",
        "container/worker2/residue": "",
    }


def test_without_a_docker_that_answers_each_node_is_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: Any) -> list[Any]:
        raise PreconditionFailed("no answer within 60 s")

    monkeypatch.setattr(fingerprint.docker, "inspect", silent)
    lines: dict[str, str] = {}
    anyio.run(_containers, HERE, NODES, lines)
    assert lines == {f"unseen/container/{node}": "no answer within 60 s" for node in NODES}


def test_a_node_and_a_keeper_that_do_not_answer_are_lines_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: Any) -> str:
        raise PreconditionFailed("no answer within 60 s")

    monkeypatch.setattr(fingerprint.docker, "inspect", lambda *_: [RUNNING])
    monkeypatch.setattr(fingerprint.docker, "docker", silent)
    lines: dict[str, str] = {}
    anyio.run(_containers, HERE, {"worker": "c-worker"}, lines)
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
