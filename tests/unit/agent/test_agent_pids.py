"""A container's processes are taken up, on real control groups."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.agent.resident.resources import pids
from harness.agent.resident.resources.groups import Groups
from tests.unit.agent.box import Box
from tests.unit.agent.told import Told

LIMIT = 40


def test_nothing_more_can_be_started_and_all_can_again(boxes: Callable[..., Box], make, told: Told):
    box, agent = boxes(pids=LIMIT), make()
    agent.do(box.fault(kind="pids", share=1))
    assert told.wait("appliedAt")
    assert told.evidence("resource")["did"]["there"] == LIMIT
    assert len(box.others()) == 1
    assert agent.heal("key-1", "why")
    assert box.others() == []
    # The kernel counts what has ended a moment longer.
    box.until(lambda: box.read("pids", "pids.current") == 1)


def test_a_share_leaves_room(boxes: Callable[..., Box], make, told: Told):
    box, agent = boxes(pids=LIMIT), make()
    agent.do(box.fault(kind="pids", share=0.5))
    assert told.evidence("resource")["did"]["there"] == LIMIT / 2
    assert box.read("pids", "pids.current") == LIMIT / 2


def test_the_pods_limit_counts_where_it_is_the_lower_one(boxes: Callable[..., Box]):
    box = boxes(pids=LIMIT)
    (box.folder("pids").parent / "pids.max").write_text("20")
    assert pids.lowest(Groups(Path("/sys/fs/cgroup"), box.container)) == (box.folder("pids").parent, 20)


def test_so_many_as_are_there_by_themselves_are_refused(boxes: Callable[..., Box], make, told: Told):
    box, agent = boxes(pids=10), make()
    agent.do(box.fault(kind="pids", share=0.1))
    assert "so many processes are there already" in told.wait("message")["message"]
    assert box.others() == []


@pytest.mark.parametrize(
    ("least", "page", "stack", "own"),
    [(16_384, 4_096, 65_536, 49_152), (131_072, 4_096, 131_072, 49_152), (131_072, 65_536, 131_072, 233_472)],
    ids=["amd64", "arm64", "arm64 with large pages"],
)
def test_a_thread_has_as_much_stack_as_its_machine_asks_for(least: int, page: int, stack: int, own: int):
    """With less than this machine's least none is started."""
    assert (pids.stack_bytes(least), pids.own_bytes(page)) == (stack, own)
    before = threading.stack_size(pids.stack_bytes(os.sysconf("SC_THREAD_STACK_MIN")))
    threading.stack_size(before)


@pytest.mark.parametrize("limits", [{}, {"pids": pids.MOST + 1}])
def test_a_limit_that_is_none_or_the_nodes_is_refused(boxes: Callable[..., Box], make, told: Told, limits: dict):
    box, agent = boxes(**limits), make()
    agent.do(box.fault(kind="pids", share=1))
    assert "pids limit" in told.wait("message")["message"]
    assert box.others() == []


def test_the_memory_of_what_crowds_a_container_is_the_containers(boxes: Callable[..., Box], make, told: Told):
    box, agent = boxes(pids=LIMIT, memory=64 << 20), make()
    before = box.read("memory", "memory.usage_in_bytes")
    agent.do(box.fault(kind="pids", share=1))
    assert told.evidence("resource")
    assert box.read("memory", "memory.usage_in_bytes") > before + 100 * 1024
