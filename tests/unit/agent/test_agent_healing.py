"""What one node's agent does and undoes, on real processes, control groups and packets."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from harness.agent.resident import effecting, healing, supervising
from harness.agent.resident.fault import Fault
from harness.agent.resident.processes import freezer, pods
from harness.agent.resident.refused import Refused
from tests.unit.agent.lab import PEER, TARGET, Lab, arrived
from tests.unit.agent.pod import Pod
from tests.unit.agent.told import Told, settled

UDP = {"protocol": "udp"}
HOLD = {"op": "packets", "effect": {"kind": "latency", "delay_ms": 60_000}, "match": UDP, "seconds": 600}
FREEZE = {"op": "freeze"}


def fault(pod: Pod, effect: dict[str, Any], key: str = "key-1", run: str = "run-1") -> Fault:
    return Fault(key, f"/apis/x/faults/{key}", run, key, pod.uid, effect)


def test_a_packet_fault_is_done_and_undone(lab: Lab, pod: Pod, make, told: Told):
    agent, sender, receiver = make(), lab.udp(TARGET), lab.udp(PEER)
    agent.do(fault(pod, HOLD))
    assert told.wait("appliedAt")["phase"] == "Injected"
    sender.sendto(b"x", receiver.getsockname())
    told.evidence("packets")
    assert arrived(receiver) == []
    assert agent.heal("key-1", "why")
    assert receiver.recv(9) == b"x"
    assert lab.chains() == []
    assert agent.ledger.faults() == {}
    assert told.wait("healedAt")["evidence"]["packets"]["seen"] == 1


@pytest.mark.parametrize("effect", [HOLD, FREEZE])
def test_the_ledger_has_it_on_disk_before_the_effect(pod: Pod, make, monkeypatch, tmp_path: Path, effect: dict):
    seen = []

    def fail(*_: Any) -> None:
        seen.append(json.loads((tmp_path / "ledger.json").read_text())["faults"])
        raise Refused("no", "the test looks here")

    monkeypatch.setattr(effecting, "packets", fail)
    monkeypatch.setattr(healing.freezer, "freeze", fail)
    make().do(fault(pod, effect))
    assert seen[0]["key-1"]["pod"] == pod.uid
    assert json.loads((tmp_path / "ledger.json").read_text())["faults"] == {}


def test_a_fault_that_was_begun_is_not_done_again(pod: Pod, make, told: Told):
    strike = {"op": "signal", "container": pod.container, "signal": "KILL"}
    make().do(fault(pod, strike))
    assert pod.process.wait() == -signal.SIGKILL
    told.facts.clear()
    agent = make()
    agent.do(fault(pod, strike))
    assert told.facts == []


def test_a_pod_is_frozen_and_thawed(pod: Pod, make):
    agent = make()
    agent.do(fault(pod, FREEZE))
    assert pod.stopped
    assert agent.heal("key-1", "why")
    assert not pod.stopped


def test_a_pod_that_somebody_else_has_frozen_is_refused_and_stays_so(pod: Pod, make, told: Told):
    freezer.freeze(pod.uid)
    agent = make()
    agent.do(fault(pod, FREEZE))
    assert "the pod is frozen already" in told.wait("healedAt")["message"]
    assert not any("appliedAt" in facts for facts in told.facts)
    assert pod.stopped
    assert agent.ledger.faults() == {}
    freezer.thaw(pod.uid)


def test_what_a_killed_agent_left_is_healed_by_the_next(lab: Lab, pod: Pod, make):
    first = make()
    first.do(fault(pod, HOLD))
    first.do(fault(pod, FREEZE, "key-2"))
    for worker in first.workers().values():
        worker._process.kill()
        worker._process.wait()
    assert lab.chains()
    second = make()
    second.recover()
    assert lab.chains() == []
    assert not pod.stopped
    assert second.ledger.faults() == {}


def test_rules_that_no_ledger_knows_are_swept(lab: Lab, pod: Pod, make, tmp_path: Path):
    agent = make()
    agent.do(fault(pod, HOLD))
    for worker in agent.workers().values():
        worker._process.kill()
        worker._process.wait()
    (tmp_path / "ledger.json").write_text("cut off {")
    make().recover()
    assert lab.chains() == []


def test_a_run_that_nobody_renews_is_healed_and_does_nothing_more(lab: Lab, pod: Pod, make, told: Told):
    agent = make()
    agent.do(fault(pod, HOLD))
    agent.leases.seconds = 0
    agent.tick()
    assert told.wait("healedAt")["message"] == "nobody renewed its lease"
    assert lab.chains() == []
    agent.do(fault(pod, HOLD, "key-2"))
    assert told.wait("message")
    assert agent.ledger.faults() == {}
    assert lab.chains() == []


def test_a_run_that_is_renewed_goes_on(lab: Lab, pod: Pod, make, told: Told):
    agent = make()
    agent.do(fault(pod, HOLD))
    agent.tick()
    settled()
    assert agent.ledger.faults()
    assert lab.chains()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_died_or_hangs_is_cleared_away(lab: Lab, pod: Pod, make, told: Told, monkeypatch, how):
    monkeypatch.setattr(supervising, "END_SECONDS", 0.2)
    agent = make()
    agent.do(fault(pod, HOLD))
    (worker,) = agent.workers().values()
    worker._process.send_signal(how)
    if how == signal.SIGKILL:
        worker._ended.wait()
    else:
        monkeypatch.setattr(healing, "SILENT_SECONDS", 0)
    agent.tick()
    told.wait("healedAt")
    assert lab.chains() == []
    assert agent.ledger.faults() == {}


def test_a_target_that_is_gone_is_healed(pod: Pod, make, told: Told):
    agent = make()
    agent.do(fault(pod, HOLD))
    pod.delete()
    for _ in range(healing.LOOK_EVERY):
        agent.tick()
    assert told.wait("healedAt")["message"] == "its target is gone"


def test_a_target_whose_sandbox_was_made_anew_is_not_met_any_more_and_that_is_told(pod: Pod, make, told: Told):
    agent = make()
    agent.do(fault(pod, HOLD))
    pod.renew()
    for _ in range(healing.LOOK_EVERY):
        agent.tick()
    assert told.wait("healedAt")["message"] == "its target has another network now"


def test_a_network_that_something_inside_of_a_pod_made_is_not_the_pods(lab: Lab, pod: Pod):
    pod.nest()
    handle = pods.open_network(pod.uid)
    try:
        assert os.path.samestat(os.fstat(handle), Path(lab.path(TARGET)).stat())
    finally:
        os.close(handle)


def test_what_fails_to_heal_is_tried_again(pod: Pod, make, told: Told, monkeypatch):
    agent = make()
    agent.do(fault(pod, FREEZE))
    with monkeypatch.context() as broken:
        broken.setattr(effecting.freezer, "groups", lambda uid: [Path("/nowhere")])
        broken.setattr(effecting.freezer, "_switch", lambda folder, frozen: False)
        assert not agent.heal("key-1", "why")
        assert agent.ledger.faults()
    agent.tick()
    told.wait("healedAt")
    assert not pod.stopped


def test_two_packet_faults_of_a_pod_have_marks_of_their_own(lab: Lab, pod: Pod, make, told: Told):
    agent, sender, receiver = make(), lab.udp(TARGET), lab.udp(PEER)
    leaving = {"direction": "egress", **UDP}
    twice = {"op": "packets", "effect": {"kind": "duplication", "share": 1}, "match": leaving}
    drop = {"op": "packets", "effect": {"kind": "blackhole"}, "match": leaving}
    agent.do(fault(pod, twice))
    agent.do(fault(pod, drop, "key-2"))
    sender.sendto(b"x", receiver.getsockname())
    told.until({"dropped": 2}, agent.tick)
    assert agent.heal("key-2", "why")
    assert arrived(receiver) == []


def test_a_pod_of_the_nodes_network_is_refused(lab: Lab, proc: Path, make, told: Told):
    pod = Pod(proc)
    try:
        agent = make()
        agent.do(fault(pod, HOLD))
        assert "uses its node's network" in told.wait("message")["message"]
        assert agent.ledger.faults() == {}
    finally:
        pod.delete()


@pytest.mark.parametrize(
    ("effect", "why"),
    [
        ({"op": "packets", "effect": {"kind": "latency", "delay_ms": -1}}, "delay_ms is -1"),
        ({"op": "packets", "effect": {"kind": "slow"}}, "no effect"),
        ({"op": "signal", "container": "f" * 64}, "no process"),
        ({"op": "signal", "container": "../x"}, "no container id"),
        ({"op": "signal", "signal": "SEGV"}, "no signal"),
    ],
)
def test_what_cannot_be_done_is_told_and_leaves_nothing(lab: Lab, pod: Pod, make, told: Told, effect: dict, why: str):
    agent = make()
    agent.do(fault(pod, effect))
    assert why in told.wait("message")["message"]
    assert agent.ledger.faults() == {}
    assert lab.chains() == []


def test_a_container_of_another_pod_is_left_alone(lab: Lab, pod: Pod, proc: Path, make, told: Told):
    other = Pod(proc, lab)
    try:
        make().do(fault(pod, {"op": "signal", "container": other.container}))
        assert "not of the pod" in told.wait("message")["message"]
        assert other.process.poll() is None
    finally:
        other.delete()


def test_the_agent_that_ends_heals_everything(lab: Lab, pod: Pod, make):
    agent = make()
    agent.do(fault(pod, HOLD))
    agent.do(fault(pod, FREEZE, "key-2"))
    agent.end()
    assert lab.chains() == []
    assert not pod.stopped


def test_a_fault_of_a_node_acts_in_the_nodes_network_on_named_interfaces(
    lab: Lab, pod: Pod, proc: Path, make, told: Told
):
    # The lab's target stands for the node.
    (proc / "1").unlink()
    (proc / "1").symlink_to(f"/proc/{pod.process.pid}")
    agent, sender, receiver = make(), lab.udp(TARGET), lab.udp(PEER)
    everywhere = Fault("key-1", "/apis/x/nodefaults/f", "run-1", "f", "", HOLD)
    agent.do(everywhere)
    assert "without its interfaces" in told.wait("message")["message"]
    told.facts.clear()
    named = {**HOLD, "match": {**UDP, "interfaces": ["eth0"]}}
    agent.do(Fault("key-2", "/apis/x/nodefaults/g", "run-1", "g", "", named))
    assert told.wait("appliedAt")
    sender.sendto(b"x", receiver.getsockname())
    told.evidence("packets")
    assert arrived(receiver) == []
    assert agent.heal("key-2", "why")
    assert receiver.recv(9) == b"x"
    assert lab.chains() == []
