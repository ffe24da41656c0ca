"""A container that is killed: what its agent is told, what is noted of it, and what is refused."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import yaml

from harness.documents import schema
from harness.errors import InjectionFailed, UsageError
from harness.faults import FAULTS
from harness.workloads.pod import MIRROR
from tests.unit.faults.documents import stated, text
from tests.unit.faults.scripted import FAULT, HEAL
from tests.unit.targets.fakes import PODS, FakeKube, planned, pod, reach, web

pytestmark = pytest.mark.anyio
KIND = FAULTS["container_kill"]
STRUCK = {"appliedAt": "now", "evidence": {"signal": {"pid": 7, "signal": "KILL", "taken": "ends"}}}
SEEN = {"container": "web", "id": "abc123", "restarts": 2}


def cluster(status: dict[str, Any] | None = None, **metadata: Any) -> FakeKube:
    """One pod that runs, and what its agent says of the fault."""
    target = pod()
    target["metadata"] |= metadata
    running = {"name": "web", "containerID": "containerd://abc123", "state": {"running": {}}, "restartCount": 2}
    target["status"]["containerStatuses"] = [running]
    faults = [{"metadata": {"uid": "u", "name": "run-1"}, "status": status or {}}]
    return FakeKube({PODS: [target], f"{PODS}/web-1": target, FAULT: faults, **web()})


async def told(kube: FakeKube, **parameters: Any) -> Any:
    assert KIND.order
    return await KIND.order(planned("container_kill", **parameters), reach(kube))


@pytest.mark.parametrize(("parameters", "name"), [({}, "KILL"), ({"signal": "TERM"}, "TERM")])
async def test_the_agent_is_told_the_container_and_the_signal(parameters, name):
    assert await told(cluster(), **parameters) == {"op": "signal", "container": "abc123", "signal": name}


async def test_of_a_static_pod_the_agent_is_told_the_uid_that_its_kubelet_has():
    """Its mirror has another one: that of the control groups is what the kubelet has written down there."""
    found = await told(cluster(annotations={MIRROR: "4f1d2c99"}))
    assert found == {"op": "signal", "container": "abc123", "signal": "KILL", "pod": "4f1d2c99"}


async def test_what_was_struck_is_what_was_seen_before_and_the_process_that_the_agent_names():
    at, fault = reach(cluster(STRUCK)), planned("container_kill")
    assert KIND.order
    await KIND.order(fault, at)
    assert await KIND.inject(fault, at) == {**SEEN, "signal": "KILL", "pid": 7, "applied": "now"}


async def test_what_the_agent_refuses_is_told_in_its_words():
    kube = cluster({"message": "it could not be done: the container has ended"})
    with pytest.raises(InjectionFailed, match="the container has ended"):
        await KIND.inject(planned("container_kill"), reach(kube))


async def test_a_container_of_a_pod_that_was_replaced_before_is_not_killed():
    kube = cluster()
    kube.objects[f"{PODS}/web-1"] = pod("uid-9")
    with pytest.raises(InjectionFailed, match="deleted between"):
        await told(kube)


async def test_an_end_is_an_end_though_the_agent_was_replaced_since():
    over = {**STRUCK, "healedAt": "now", "message": "the agent started anew"}
    kube, said = cluster(over), list[Any]()
    await KIND.heal(planned("container_kill"), reach(kube, emit=lambda *one: said.append(one)))
    assert kube.patched == [(f"{FAULT}/run-1", HEAL)]
    assert said == []


@pytest.mark.parametrize("name", ["KILL", "SIGTERM"])
def test_a_signal_may_be_written_with_its_sig_in_a_document_and_in_an_editor(name):
    (fault,) = stated("container_kill", f"signal: {name}").faults
    assert fault.parameters["signal"] == name.removeprefix("SIG")
    written = yaml.safe_load(text("container_kill", f"signal: {name}"))
    jsonschema.Draft202012Validator(schema.build()).validate(written)


@pytest.mark.parametrize("name", ["STOP", "SIGCONT", "SEGV"])
def test_what_ends_no_container_is_refused_with_its_line(name):
    with pytest.raises(UsageError, match=name) as refused:
        stated("container_kill", f"signal: {name}")
    assert refused.value.where == "x.yaml:9"
