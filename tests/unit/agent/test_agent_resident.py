"""The agent's whole program, against an API server of this test and real packets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.agent.resident.processes import freezer
from tests.unit.agent.lab import PEER, TARGET, Lab, arrived
from tests.unit.agent.pod import Pod
from tests.unit.agent.program import LEASE, Program, lease
from tests.unit.agent.server import Server

FAULT = "/apis/chaos.harness.dev/v1alpha1/namespaces/shop/faults/f1"
HOLD = {"op": "packets", "effect": {"kind": "latency", "delay_ms": 60_000}, "match": {"protocol": "udp"}}


def wanted(pod: Pod, effect: dict[str, Any], **more: Any) -> dict[str, Any]:
    target = {"kind": "pod", "namespace": "shop", "name": "p", "uid": pod.uid}
    spec = {"run": "run-1", "id": "f1", "kind": "pod_latency", "hand": "node", "target": target, "undo": []}
    return {"spec": {**spec, "parameters": {"node": effect}, **more}}


def applied(item: dict[str, Any]) -> bool:
    return "appliedAt" in (item.get("status") or {})


def healed(item: dict[str, Any]) -> bool:
    return "healedAt" in (item.get("status") or {})


def test_a_fault_is_done_its_evidence_told_and_its_deletion_heals(lab: Lab, pod: Pod, server: Server, program: Program):
    sender, receiver = lab.udp(TARGET), lab.udp(PEER)
    server.put(FAULT, wanted(pod, HOLD))
    assert server.wait(FAULT, applied)["status"]["phase"] == "Injected"
    sender.sendto(b"x", receiver.getsockname())
    server.wait(FAULT, lambda item: item["status"]["evidence"]["packets"].get("seen") == 1)
    assert arrived(receiver) == []
    server.delete(FAULT)
    assert receiver.recv(9) == b"x"
    program.hear("is healed: nobody wants it any more")
    assert lab.chains() == []


def test_a_fault_that_is_to_be_healed_tells_what_was_seen(lab: Lab, pod: Pod, server: Server, program: Program):
    server.put(FAULT, wanted(pod, HOLD))
    server.wait(FAULT, applied)
    server.patched(FAULT, {"metadata": {"annotations": {"chaos.harness.dev/heal": "true"}}})
    assert server.wait(FAULT, healed)["status"]["evidence"]["packets"]["missed"] == 0
    assert lab.chains() == []


@pytest.mark.parametrize("end", ["given back", "marked", "gone"])
def test_a_run_that_lost_its_lease_is_healed(lab: Lab, pod: Pod, server: Server, program: Program, end: str):
    server.put(FAULT, wanted(pod, HOLD))
    server.wait(FAULT, applied)
    if end == "gone":
        server.delete(LEASE)
    else:
        server.put(LEASE, lease("") if end == "given back" else lease(**{"chaos.harness.dev/expired": "run-1"}))
    server.wait(FAULT, healed)
    assert lab.chains() == []


def test_a_fault_is_healed_on_time_while_the_api_server_is_away(lab: Lab, pod: Pod, server: Server, program: Program):
    program.kill()
    program.start(seconds=3)
    server.put(FAULT, wanted(pod, HOLD))
    server.wait(FAULT, applied)
    server.stop()
    program.hear("is healed: nobody renewed its lease")
    assert lab.chains() == []
    server.start()
    server.wait(FAULT, healed)


def test_an_agent_that_was_killed_heals_when_it_comes_back_and_does_nothing_twice(
    lab: Lab, pod: Pod, server: Server, program: Program
):
    server.put(FAULT, wanted(pod, {"op": "freeze"}))
    server.wait(FAULT, applied)
    program.kill()
    assert pod.stopped
    program.start()
    assert not pod.stopped
    server.wait(FAULT, healed)
    server.put(FAULT.replace("f1", "f2"), wanted(pod, HOLD))
    server.wait(FAULT.replace("f1", "f2"), applied)
    assert not pod.stopped


def test_an_agent_that_sees_control_groups_from_its_own_alone_does_not_freeze_itself(
    pod: Pod, server: Server, tmp_path: Path
):
    """In version 2 each container has such a view: of its own group it sees no name there."""
    program = Program(server, tmp_path)
    enter = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(pod.door), "unshare", "--cgroup"]
    program.start(first=enter)
    try:
        pod.show(program.process.pid)
        server.put(FAULT, wanted(pod, {"op": "freeze"}))
        status = server.wait(FAULT, lambda item: "message" in item.get("status", {}))["status"]
    finally:
        freezer.thaw(pod.uid)
        program.kill()
    assert "does not freeze itself" in status["message"]
    assert not pod.stopped


def test_an_agent_that_is_asked_to_end_heals_and_tells_first(lab: Lab, pod: Pod, server: Server, program: Program):
    server.put(FAULT, wanted(pod, HOLD))
    server.wait(FAULT, applied)
    program.process.terminate()
    assert program.process.wait() == 0
    assert healed(server.get(FAULT))
    assert lab.chains() == []


@pytest.mark.parametrize(
    "spec",
    [
        {"hand": "host"},
        {"target": {"kind": "pod", "namespace": "other", "name": "p", "uid": "u"}},
        {"target": {"kind": "node", "name": "n", "uid": "u"}},
        {"parameters": {"node": {"op": "format"}}},
        {"parameters": {}},
        {"run": "../x"},
    ],
)
def test_what_is_not_the_agents_is_left_alone(lab: Lab, pod: Pod, server: Server, program: Program, spec: dict):
    server.put(FAULT, wanted(pod, HOLD, **spec))
    # What comes later has been done, so that was seen and passed over.
    server.put(FAULT.replace("f1", "f2"), wanted(pod, {"op": "freeze"}))
    server.wait(FAULT.replace("f1", "f2"), applied)
    if spec.get("hand") != "host":
        server.wait(FAULT, lambda item: item.get("status", {}).get("message", "").startswith("refused: "))
    # By its end it has told all that it did.
    program.process.terminate()
    assert program.process.wait() == 0
    assert not applied(server.get(FAULT))
    assert lab.chains() == []
