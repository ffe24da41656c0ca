"""Whether a fault's pod is in the fault's own namespace, which is all that its writer has rights for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from harness.agent.resident import belonging, fault
from harness.agent.resident.api import Answered, Api, Unreachable
from harness.agent.resident.refused import Refused
from tests.unit.agent.server import Server

UID, KUBELETS = "11111111-aaaa", "22222222bbbb"
MIRROR = {belonging.MIRROR: KUBELETS}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(belonging, "BACKOFF", (0.0, 0.0))


@pytest.fixture
def empty() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def written(namespace: str, uid: str, **order: Any) -> dict[str, Any]:
    target = {"kind": "pod", "name": "p", "uid": uid}
    spec = {"hand": "node", "run": "r", "target": target, "parameters": {"node": {"op": "freeze", **order}}}
    return {"metadata": {"uid": "u", "name": "f", "namespace": namespace}, "spec": spec}


def checked(api: Any, item: dict[str, Any]) -> None:
    found = fault.read(item)
    assert found
    belonging.check(api, item, found)


def with_pod(server: Server, namespace: str = "shop", **metadata: Any) -> Api:
    server.put(f"/api/v1/namespaces/{namespace}/pods/p", {"metadata": {"uid": UID, **metadata}})
    return Api("127.0.0.1", server.port, None)


def test_a_pod_of_the_faults_namespace_is_taken(empty: Server):
    checked(with_pod(empty), written("shop", UID))


def test_a_uid_of_a_pod_elsewhere_is_refused(empty: Server):
    with pytest.raises(Refused, match="pod shop/p is another one"):
        checked(with_pod(empty), written("shop", "33333333-cccc"))


def test_what_the_order_names_is_what_counts(empty: Server):
    with pytest.raises(Refused, match="another one"):
        checked(with_pod(empty), written("shop", UID, pod="33333333-cccc"))


def test_a_pod_that_is_not_there_is_refused(empty: Server):
    with pytest.raises(Refused, match="there is no pod other/p"):
        checked(with_pod(empty), written("other", UID))


def test_a_static_pods_other_uid_is_believed_where_only_administrators_write_pods(empty: Server):
    checked(with_pod(empty, "kube-system", annotations=MIRROR), written("kube-system", UID, pod=KUBELETS))
    with pytest.raises(Refused, match="another one"):
        checked(with_pod(empty, annotations=MIRROR), written("shop", UID, pod=KUBELETS))


def test_a_fault_of_a_node_has_no_pod_to_be_asked_for():
    order = {"op": "packets", "effect": {}}
    item = {"metadata": {"uid": "u", "name": "f"}, "spec": {"hand": "node", "run": "r", "parameters": {"node": order}}}
    checked(None, item)


class Answers:
    """An API server that gives one answer after the other."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def get(self, path: str) -> dict[str, Any]:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"metadata": {"uid": answer}}


def test_an_api_server_that_does_not_answer_now_is_asked_again():
    answers = Answers(Unreachable("reset"), Answered(429, "later"), UID)
    checked(answers, written("shop", UID))
    assert answers.answers == []


@pytest.mark.parametrize(
    "answers", [[Unreachable("reset")] * 3, [Answered(403, "forbidden")]], ids=["away", "no right"]
)
def test_where_nobody_tells_nothing_is_done(answers: list[Exception]):
    asked = Answers(*answers)
    with pytest.raises(Refused, match="nobody told whether the pod is in namespace shop"):
        checked(asked, written("shop", UID))
    assert asked.answers == []
