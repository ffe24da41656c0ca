"""Memory stress and exhaustion, on real control groups with limits of some MiB."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.agent.resident.resources import hogs, memory, memory_group
from tests.unit.agent.box import Box
from tests.unit.agent.told import Told

LIMIT = 48 << 20
LARGE = ("python3", "-c", "import time; held = bytearray(12 << 20); print('there', flush=True); time.sleep(600)")


def test_a_containers_memory_is_held_at_a_share_of_its_limit_and_given_back(
    boxes: Callable[..., Box], make, told: Told
):
    box, agent = boxes(memory=LIMIT), make()
    agent.do(box.fault(kind="memory", share=0.7))
    assert told.wait("appliedAt")
    assert told.evidence("resource")["did"]["filled"] >= 0.67
    assert box.read("memory", "memory.usage_in_bytes") >= 0.67 * LIMIT
    assert agent.heal("key-1", "why")
    assert box.others() == []
    assert box.read("memory", "memory.usage_in_bytes") < 0.3 * LIMIT
    assert box.process.poll() is None
    assert told.wait("healedAt")["evidence"]["resource"]["oom_kills"] == 0


def test_what_the_container_takes_itself_is_made_room_for(tmp_path: Path):
    """The share holds also while the container grows: what is held is given back, and nobody is ended."""
    limit, chunk = 100 << 20, memory.CHUNK_BYTES
    used = iter([40 << 20, 44 << 20, 48 << 20, 48 << 20, 60 << 20, 56 << 20, 52 << 20, 48 << 20])
    did: list[str] = []

    class Scripted(memory_group.Memory):
        def used(self) -> int:
            return next(used)

    class Over(Exception):
        pass

    def pause(_: float) -> None:
        did.append("rests")

    def taken(size: int):
        did.append(f"takes {size}")

        class Held:
            def close(self) -> None:
                did.append("gives back")

        return Held()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "_taken", taken)
        with pytest.raises(StopIteration):
            memory.hold(Scripted(tmp_path, True, limit), 48 << 20, pause)
    assert did == [f"takes {chunk}"] * 2 + ["rests"] * 2 + ["gives back"] * 2 + ["rests", "rests"]


def test_the_kernel_ends_the_containers_process_and_nothing_of_the_fault_is_left(
    boxes: Callable[..., Box], make, told: Told
):
    box, agent = boxes(*LARGE, memory=LIMIT), make()
    box.begun()
    agent.do(box.fault(kind="oom"))
    assert told.wait("appliedAt")
    assert box.process.wait(30) == -signal.SIGKILL
    (worker,) = agent.workers().values()
    worker._ended.wait()
    # What fills may be next, when nobody else is left.
    assert worker.facts["oom_kills"] in (1, 2)
    agent.tick()
    assert told.wait("healedAt")["message"] == "its target is gone"
    assert box.others() == []
    assert box.read("memory", "memory.usage_in_bytes") < LIMIT / 2


def test_a_container_that_is_smaller_than_the_faults_own_process_is_refused(
    boxes: Callable[..., Box], make, told: Told
):
    box, agent = boxes(memory=LIMIT), make()
    agent.do(box.fault(kind="oom"))
    assert "the fault's own process" in told.wait("message")["message"]
    assert box.process.poll() is None
    assert box.others() == []


@pytest.mark.parametrize("effect", [{"kind": "memory", "share": 0.5}, {"kind": "oom"}])
def test_a_container_without_a_limit_is_refused(boxes: Callable[..., Box], make, told: Told, effect):
    box, agent = boxes(), make()
    agent.do(box.fault(**effect))
    assert "no memory limit" in told.wait("message")["message"]


@pytest.mark.parametrize("share", [0, 0.96, 1])
def test_a_share_that_could_end_the_container_is_refused(boxes: Callable[..., Box], make, told: Told, share: float):
    box, agent = boxes(memory=LIMIT), make()
    agent.do(box.fault(kind="memory", share=share))
    assert f"share is {share}" in told.wait("message")["message"]


def test_a_container_that_uses_so_much_by_itself_is_refused(boxes: Callable[..., Box], make, told: Told):
    box, agent = boxes(*LARGE, memory=LIMIT), make()
    box.begun()
    agent.do(box.fault(kind="memory", share=0.2))
    assert "uses so much memory already" in told.wait("message")["message"]
    assert box.others() == []


def test_what_holds_memory_is_ended_before_anybody_else(boxes: Callable[..., Box], make, told: Told):
    box, agent = boxes(memory=LIMIT), make()
    agent.do(box.fault(kind="memory", share=0.5))
    assert told.wait("appliedAt")
    (hog,) = box.others()
    assert Path(f"/proc/{hog}/oom_score_adj").read_text() == "1000\n"


def test_what_is_to_outlive_the_container_keeps_what_its_agent_has():
    hog = hogs.start(signal.pause, [], 60, spared=True)
    try:
        own = Path("/proc/self/oom_score_adj").read_text()
        assert Path(f"/proc/{hog.pid}/oom_score_adj").read_text() == own
    finally:
        assert hogs.end([hog]) == []
