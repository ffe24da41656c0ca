"""A frozen pod: what its agent is told, what counts as felt, and what is asked at the end."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import InjectionFailed, ObservationFailed
from harness.faults import FAULTS
from tests.unit.faults.scripted import CUT, FAULT, HEAL, Ended, Over, Scripted
from tests.unit.targets.fakes import PODS, planned, pod, reach

pytestmark = pytest.mark.anyio
KIND = FAULTS["pod_freeze"]
PORT = {"containerPort": 8080}
DNS = {"containerPort": 53, "protocol": "UDP"}
FROZEN = {"appliedAt": "now", "evidence": {"freeze": {"frozen": True}}}


def cluster(*script: Any, ports: tuple[dict[str, Any], ...] = (PORT,)) -> Scripted:
    """One pod with these ports that its agent says is frozen."""
    target = pod()
    target["spec"] = {"containers": [{"name": "web", "ports": list(ports)}]}
    made = Scripted(target, *script)
    made.status = FROZEN
    return made


async def felt(kube: Scripted, *, then: dict[str, Any] | None = None) -> Any:
    """Look at the pod before, and return the evidence; `then` is what becomes of the pod in between."""
    assert KIND.order
    at, fault = reach(kube), planned("pod_freeze")
    assert await KIND.order(fault, at) == {"op": "freeze"}
    if then is not None:
        kube.objects |= then
    return await KIND.felt(fault, at)


async def test_a_frozen_pod_is_felt_when_a_request_stays_without_an_answer():
    kube = cluster("a", "b", "c", "still", CUT)
    assert await felt(kube) == {"request": "silent for 1 s"}
    assert set(kube.asked) == {"/api/v1/namespaces/shop/pods/web-1:8080/proxy/"}


async def test_a_pod_that_answers_is_not_frozen_whatever_the_agent_says():
    with pytest.raises(Over):
        await felt(cluster(*"abcdefghi"))


async def test_silence_that_the_agent_knows_nothing_of_is_no_evidence():
    kube = cluster("a", "b", "c", CUT, CUT)
    kube.status = {"appliedAt": "now"}
    with pytest.raises(Over):
        await felt(kube)


async def test_a_pod_that_is_ready_no_more_is_felt_frozen():
    there = pod(ready=False)
    assert await felt(cluster(*"abcd"), then={f"{PODS}/web-1": there}) == {"ready": False}


@pytest.mark.parametrize(
    ("script", "ports"), [([], ()), ([], (DNS,)), ([CUT], (PORT,))], ids=["no port", "no TCP port", "a policy"]
)
async def test_where_no_request_gets_through_the_kernels_word_is_the_evidence(script, ports):
    kube = cluster(*script, ports=ports)
    assert await felt(kube) == {"processes": "frozen"}
    assert kube.script == []


async def test_a_pod_is_asked_at_its_first_tcp_port():
    kube = cluster("a", "b", "c", CUT, ports=(DNS, {"containerPort": 80}))
    await felt(kube)
    assert set(kube.asked) == {"/api/v1/namespaces/shop/pods/web-1:80/proxy/"}


@pytest.mark.parametrize("gone", [pod(going=True, ready=False), pod("uid-9")], ids=["going", "another one"])
async def test_a_pod_that_somebody_else_deleted_was_not_felt_frozen(gone):
    with pytest.raises(ObservationFailed, match="the pod went away"):
        await felt(cluster(*"abcd"), then={f"{PODS}/web-1": gone})


async def test_a_pod_that_its_agent_has_thawed_is_not_waited_for():
    kube = cluster(*"abc")
    kube.status = {**FROZEN, "healedAt": "now", "message": "the agent ends"}
    with pytest.raises(ObservationFailed, match="the agent ends"):
        await felt(kube)


async def test_a_pod_that_was_replaced_before_is_not_frozen():
    kube = cluster()
    kube.objects[f"{PODS}/web-1"] = pod("uid-9")
    assert KIND.order
    with pytest.raises(InjectionFailed, match="deleted between"):
        await KIND.order(planned("pod_freeze"), reach(kube))


@pytest.mark.parametrize("before", [True, False])
async def test_a_pod_that_thawed_before_it_was_to_takes_the_evidence_back(before):
    over = {**FROZEN, "healedAt": "now", "message": "the agent started anew"}
    kube, said = Ended(over, over if before else FROZEN), list[tuple[str, dict[str, Any]]]()
    await KIND.heal(planned("pod_freeze"), reach(kube, emit=lambda *one: said.append(one)))
    assert kube.patched == [(f"{FAULT}/run-1", HEAL)]
    why = "it ended early: the agent started anew"
    assert said == ([("fault.not_felt", {"id": "run-1", "why": why})] if before else [])


async def test_a_pod_is_healed_when_it_answers_again():
    kube = cluster(CUT, "there")
    at, fault = reach(kube), planned("pod_freeze")
    at.note(fault).update(url="u", usual=0.01, ready=True)
    assert await KIND.healed(fault, at) == {"ready": True, "request": "answered"}
    assert kube.script == []
