"""A limit on open files: what the agent is told, what counts as felt, and what is asked and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.agent import manifest
from harness.documents import document
from harness.errors import ApiError, InjectionFailed, ObservationFailed, UsageError
from harness.faults import FAULTS, answers
from tests.unit.targets.fakes import POD, PODS, FakeKube, planned, pod, reach, web

pytestmark = pytest.mark.anyio
KIND = FAULTS["pod_fds"]
FAULT = "/apis/chaos.harness.dev/v1alpha1/namespaces/shop/faults"
CUT = ApiError(503, "ServiceUnavailable", "error trying to reach service: context deadline exceeded")
FACTS = {"limit": 12, "before": 1024, "open": 12, "processes": 1}
LIMITED = {"appliedAt": "now", "evidence": {"descriptors": {**FACTS, "did": {"limit": 12}}}}


class Over(Exception):
    """A test's script has come to its end: whoever waits would wait for ever."""


class Cluster(FakeKube):
    """A pod that answers or not as its script says, and what its agent says of the fault."""

    context = "here"

    def __init__(self, *script: Any, ports: tuple[int, ...] = (8080,), name: str = "web", **labels: str) -> None:
        target = pod()
        listed = [{"containerPort": port} for port in ports]
        target["spec"] = {"nodeName": "worker", "containers": [{"name": name, "ports": listed}]}
        target["metadata"] |= {"creationTimestamp": "0", "labels": labels or {"app": "web"}}
        running = {"name": name, "containerID": "containerd://abc123", "state": {"running": {}}}
        target["status"]["containerStatuses"] = [running]
        super().__init__({PODS: [target], f"{PODS}/web-1": target, f"{PODS}/web-uid-1": target, **web()})
        self.script, self.status = list(script), dict(LIMITED)

    async def get_text(self, path: str) -> str:
        if not self.script:
            raise Over
        if isinstance(said := self.script.pop(0), Exception):
            raise said
        return str(said)

    async def get(self, path: str, **more: Any) -> dict[str, Any]:
        return {"status": self.status} if path.startswith(FAULT) else await super().get(path, **more)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "PAUSE_SECONDS", 0.0)


async def felt(kube: Cluster, **parameters: Any) -> Any:
    at, fault = reach(kube), planned("pod_fds", **parameters)
    assert KIND.order
    await KIND.order(fault, at)
    return await KIND.felt(fault, at)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [({}, {"spare": 0, "children": False}), ({"spare": 5, "children": True}, {"spare": 5, "children": True})],
)
async def test_the_agent_is_told_the_container_and_what_is_to_spare(parameters, told):
    assert KIND.order
    found = await KIND.order(planned("pod_fds", **parameters), reach(Cluster(*"abc")))
    assert found == {"op": "descriptors", "container": "abc123", **told}


async def test_it_is_felt_when_one_of_several_requests_at_once_stays_without_an_answer():
    kube = Cluster(*"abc", *"1234567", CUT)
    assert await felt(kube) == {"request": "one of 8 at once got no answer"}
    assert kube.script == []


async def test_a_pod_that_answers_all_of_them_is_not_felt_whatever_the_agent_says():
    with pytest.raises(ExceptionGroup) as group:
        await felt(Cluster(*"abc", *"12345678"))
    assert group.group_contains(Over)


async def test_a_pod_that_is_ready_no_more_is_felt():
    kube = Cluster(*"abc", *"12345678")
    at, fault = reach(kube), planned("pod_fds")
    assert KIND.order
    await KIND.order(fault, at)
    kube.objects[f"{PODS}/web-1"] = pod(ready=False)
    assert await KIND.felt(fault, at) == {"ready": False}


@pytest.mark.parametrize(
    ("script", "ports", "parameters"),
    [((), (), {}), ((CUT,), (8080,), {}), (tuple("abc"), (8080,), {"spare": 3})],
    ids=["no port", "a policy", "some to spare"],
)
async def test_where_no_request_can_show_it_the_kernels_limit_is_the_evidence(script, ports, parameters):
    kube = Cluster(*script, ports=ports)
    assert await felt(kube, **parameters) == {"files": "12 open, the limit is 12"}
    assert kube.script == []


async def test_a_limit_that_was_given_back_before_is_not_waited_for():
    kube = Cluster(*"abc")
    kube.status = {**LIMITED, "healedAt": "now", "message": "the agent ends"}
    with pytest.raises(ObservationFailed, match="the agent ends"):
        await felt(kube)


async def test_a_pod_that_was_replaced_before_is_not_limited():
    kube = Cluster()
    kube.objects[f"{PODS}/web-1"] = pod("uid-9")
    assert KIND.order
    with pytest.raises(InjectionFailed, match="deleted between"):
        await KIND.order(planned("pod_fds"), reach(kube))


async def test_what_the_agent_refuses_is_told_in_its_words():
    said = {"message": "it could not be done: the agent may not become user 999 of group 999"}
    kube = FakeKube({FAULT: [{"metadata": {"uid": "u", "name": "run-1"}, "status": said}]})
    with pytest.raises(InjectionFailed, match="may not become user 999"):
        await KIND.inject(planned("pod_fds"), reach(kube))


@pytest.mark.parametrize("twice", [1, 2])
async def test_a_limit_that_was_given_back_before_it_was_to_takes_the_evidence_back(twice: int):
    status = {**LIMITED, "healedAt": "now", "message": "the agent started anew"}

    class Ended(FakeKube):
        async def patch(self, path: str, body: Any, **_: Any) -> dict[str, Any]:
            return {"status": status}

    kube = Ended({FAULT: [{"metadata": {"uid": "u", "name": "run-1"}, "status": status}]})
    said = list[Any]()
    for _ in range(twice):
        await KIND.heal(planned("pod_fds"), reach(kube, emit=lambda *one: said.append(one)))
    assert {*(name for name, _ in said)} == {"fault.not_felt"}


def stated(arguments: str) -> Any:
    """Read a document whose arguments are on line 8."""
    text = f"""
title: x
description: x
method:
  - type: action
    name: break it
    provider: {{type: python, module: harness.chaostoolkit.actions, func: pod_fds, arguments:
      {{target: {{namespace: shop, selector: app=web, pods: 1}}{arguments}}}}}
extensions:
  - {{name: harness, objectives: {{recovery: {{within: 10s}}}}, blast-radius: {{namespaces: [shop], pods: 1}}}}
"""
    return document.loads(text, Path("x.yaml"))


@pytest.mark.parametrize("arguments", [", spare: -1", ", spare: 5000", ", spare: some", ", children: 3"])
def test_what_makes_no_sense_is_refused_with_its_line(arguments: str):
    with pytest.raises(UsageError) as refused:
        stated(arguments)
    assert "x.yaml:8" in str(refused.value)


def test_an_agent_is_no_target():
    (agent,) = Cluster(**{"app.kubernetes.io/name": manifest.NAME}).objects[PODS]
    agent["metadata"]["namespace"] = manifest.NAMESPACE
    assert KIND.unfit
    found = KIND.unfit({}, agent, POD)
    assert found
    assert "it is an agent" in found.why
