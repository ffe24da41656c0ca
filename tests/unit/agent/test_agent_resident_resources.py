"""The agent's whole program, with the rights of the agents' pods, uses up resources of real control groups."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.agent.box import Box
from tests.unit.agent.program import Program
from tests.unit.agent.server import Server
from tests.unit.agent.test_agent_cpu import QUOTA
from tests.unit.agent.test_agent_disk import Mounted
from tests.unit.agent.test_agent_memory import LARGE, LIMIT
from tests.unit.agent.test_agent_resident import FAULT, applied, healed

BURN = {"kind": "cpu", "workers": 1}


def wanted(box: Box, effect: dict[str, Any]) -> dict[str, Any]:
    target = {"kind": "pod", "namespace": "shop", "name": "p", "uid": box.uid}
    told = {"op": "resource", "container": box.container, "effect": effect, "seconds": 60}
    spec = {"run": "run-1", "id": "f1", "kind": "pod_cpu_stress", "hand": "node", "target": target, "undo": []}
    return {"spec": {**spec, "parameters": {"node": told}}}


def felt(item: dict[str, Any]) -> bool:
    return bool((item.get("status") or {}).get("evidence", {}).get("resource", {}).get("did"))


@pytest.mark.parametrize(
    ("effect", "limits"),
    [
        (BURN, {"cpu_quota_us": QUOTA}),
        ({"kind": "memory", "share": 0.5}, {"memory": LIMIT}),
        ({"kind": "pids", "share": 1}, {"pids": 20}),
    ],
    ids=["cpu", "memory", "pids"],
)
def test_it_is_felt_and_its_deletion_heals(
    boxes: Callable[..., Box], server: Server, program: Program, effect: dict, limits: dict
):
    box = boxes(**limits)
    server.put(FAULT, wanted(box, effect))
    server.wait(FAULT, felt)
    server.delete(FAULT)
    program.hear("is healed: nobody wants it any more")
    box.until(lambda: not box.others())


def test_a_container_is_ended_for_lack_of_memory(boxes: Callable[..., Box], server: Server, program: Program):
    box = boxes(*LARGE, memory=LIMIT)
    box.begun()
    box.show(box.process.pid)
    server.put(FAULT, wanted(box, {"kind": "oom"}))
    assert server.wait(FAULT, healed)["status"]["evidence"]["resource"]["oom_kills"] >= 1
    assert box.process.wait() == -9


def test_a_volume_is_filled(boxes: Callable[..., Box], server: Server, program: Program, tmp_path: Path):
    there = Mounted(tmp_path, boxes)
    try:
        server.put(FAULT, wanted(there.box, {"kind": "disk", "path": str(there.path), "share": 0.5}))
        server.wait(FAULT, felt)
        server.delete(FAULT)
        program.hear("is healed")
    finally:
        there.box.process.kill()
        there.close()


def test_nothing_burns_on_after_the_agent_was_killed_and_the_next_one_tells(
    boxes: Callable[..., Box], server: Server, program: Program
):
    box = boxes(cpu_quota_us=QUOTA)
    server.put(FAULT, wanted(box, BURN))
    server.wait(FAULT, applied)
    assert box.others()
    program.kill()
    box.until(lambda: not box.others())
    program.start()
    server.wait(FAULT, healed)
    assert box.others() == []


def test_nothing_burns_on_when_the_run_is_over_and_the_api_server_away(
    boxes: Callable[..., Box], server: Server, program: Program
):
    program.kill()
    program.start(seconds=3)
    box = boxes(cpu_quota_us=QUOTA)
    server.put(FAULT, wanted(box, BURN))
    server.wait(FAULT, applied)
    server.stop()
    program.hear("is healed: nobody renewed its lease")
    box.until(lambda: not box.others())
    server.start()
    server.wait(FAULT, healed)
