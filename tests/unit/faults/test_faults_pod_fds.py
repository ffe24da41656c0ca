"""A limit on open files: what the agent is told, what counts as felt, and what is asked and refused."""

from __future__ import annotations

from typing import Any

import pytest

from harness.agent import manifest
from harness.errors import InjectionFailed, ObservationFailed, UsageError
from harness.faults import FAULTS
from tests.unit.faults.documents import stated
from tests.unit.faults.scripted import CUT, Ended, Over, Scripted
from tests.unit.targets.fakes import POD, PODS, planned, pod, reach

pytestmark = pytest.mark.anyio
KIND = FAULTS["pod_fds"]
FACTS = {"limit": 12, "before": 1024, "open": 12, "processes": 1}
LIMITED = {"appliedAt": "now", "evidence": {"descriptors": {**FACTS, "did": {"limit": 12}}}}


def cluster(*script: Any, ports: tuple[int, ...] = (8080,), **labels: str) -> Scripted:
    """One pod with these ports whose processes its agent says are limited."""
    target = pod()
    listed = [{"containerPort": port} for port in ports]
    target["spec"] = {"nodeName": "worker", "containers": [{"name": "web", "ports": listed}]}
    target["metadata"] |= {"creationTimestamp": "0", "labels": labels or {"app": "web"}}
    running = {"name": "web", "containerID": "containerd://abc123", "state": {"running": {}}}
    target["status"]["containerStatuses"] = [running]
    made = Scripted(target, *script)
    made.status = dict(LIMITED)
    return made


async def felt(kube: Scripted, **parameters: Any) -> Any:
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
    found = await KIND.order(planned("pod_fds", **parameters), reach(cluster(*"abc")))
    assert found == {"op": "descriptors", "container": "abc123", **told}


async def test_it_is_felt_when_one_of_several_requests_at_once_stays_without_an_answer():
    kube = cluster(*"abc", *"1234567", CUT)
    assert await felt(kube) == {"request": "one of 8 at once got no answer"}
    assert kube.script == []


async def test_a_pod_that_answers_all_of_them_is_not_felt_whatever_the_agent_says():
    with pytest.raises(ExceptionGroup) as group:
        await felt(cluster(*"abc", *"12345678"))
    assert group.group_contains(Over)


async def test_a_pod_that_is_ready_no_more_is_felt():
    kube = cluster(*"abc", *"12345678")
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
    kube = cluster(*script, ports=ports)
    assert await felt(kube, **parameters) == {"files": "12 open, the limit is 12"}
    assert kube.script == []


async def test_a_limit_that_was_given_back_before_is_not_waited_for():
    kube = cluster(*"abc")
    kube.status = {**LIMITED, "healedAt": "now", "message": "the agent ends"}
    with pytest.raises(ObservationFailed, match="the agent ends"):
        await felt(kube)


async def test_a_pod_that_was_replaced_before_is_not_limited():
    kube = cluster()
    kube.objects[f"{PODS}/web-1"] = pod("uid-9")
    assert KIND.order
    with pytest.raises(InjectionFailed, match="deleted between"):
        await KIND.order(planned("pod_fds"), reach(kube))


async def test_what_the_agent_refuses_is_told_in_its_words():
    said = {"message": "it could not be done: the agent may not become user 999 of group 999"}
    with pytest.raises(InjectionFailed, match="may not become user 999"):
        await KIND.inject(planned("pod_fds"), reach(Ended(said)))


@pytest.mark.parametrize("twice", [1, 2])
async def test_a_limit_that_was_given_back_before_it_was_to_takes_the_evidence_back(twice: int):
    over = {**LIMITED, "healedAt": "now", "message": "the agent started anew"}
    kube, said = Ended(over, over), list[Any]()
    for _ in range(twice):
        await KIND.heal(planned("pod_fds"), reach(kube, emit=lambda *one: said.append(one)))
    assert {*(name for name, _ in said)} == {"fault.not_felt"}


@pytest.mark.parametrize("arguments", ["spare: -1", "spare: 5000", "spare: some", "children: 3"])
def test_what_makes_no_sense_is_refused_with_its_line(arguments: str):
    with pytest.raises(UsageError) as refused:
        stated("pod_fds", arguments)
    assert refused.value.where == "x.yaml:9"


def test_an_agent_is_no_target():
    (agent,) = cluster(**{"app.kubernetes.io/name": manifest.NAME}).objects[PODS]
    agent["metadata"]["namespace"] = manifest.NAMESPACE
    assert KIND.unfit
    found = KIND.unfit({}, agent, POD)
    assert found
    assert "it is an agent" in found.why
