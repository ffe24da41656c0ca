"""How much memory may be taken: never so much that a node, its other pods or another container lack it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.agent.resident.refused import Refused
from harness.agent.resident.resources import cpu, memory, memory_group, order, pids
from tests.unit.agent.second import MEBI, NODE, OWN, POD, Second

GIBI = 1024  # in MiB


@pytest.fixture
def second(tmp_path: Path, proc: Path, monkeypatch: pytest.MonkeyPatch) -> Second:
    """A container of 1 GiB on a node of 16 GiB, of which its pods may have 12."""
    made = Second(tmp_path, proc)
    made.memory(NODE, 12 * GIBI, 4 * GIBI)
    made.memory(POD, GIBI, 100)
    made.memory(OWN, GIBI, 100)
    monkeypatch.setattr(memory_group, "MEMINFO", tmp_path / "meminfo")
    node(8 * GIBI)
    return made


def node(free: int) -> None:
    memory_group.MEMINFO.write_text(f"MemTotal: {16 * MEBI} kB\nMemAvailable: {free * 1024} kB\n")


def told(**effect: object) -> order.Order:
    return order.read({"fault": "run-1/f", "effect": effect, "lease": 10, "seconds": 60})


def test_version_2_is_read_as_well(second: Second) -> None:
    found = memory_group.limited(second.container.groups)
    assert (found.limit, found.used(), found.kills(), found.together()) == (GIBI * MEBI, 100 * MEBI, 1, False)
    second.write(OWN, "memory.oom.group", "1")
    assert found.together()


@pytest.mark.parametrize("effect", [{"kind": "memory", "share": 0.9}, {"kind": "oom"}])
def test_a_node_that_has_not_so_much_memory_is_spared(second: Second, effect: dict[str, object]) -> None:
    second.process(7, OWN, 90)
    make = memory.exhaust if effect["kind"] == "oom" else memory.stress
    assert make(told(**effect), second.container)
    node(GIBI)
    with pytest.raises(Refused, match="the node has not enough memory"):
        make(told(**effect), second.container)


@pytest.mark.parametrize("effect", [{"kind": "memory", "share": 0.9}, {"kind": "oom"}])
def test_what_a_nodes_pods_may_have_together_is_met_by_none_of_them(second: Second, effect: dict[str, object]) -> None:
    second.process(7, OWN, 90)
    second.memory(NODE, 12 * GIBI, 11 * GIBI)
    make = memory.exhaust if effect["kind"] == "oom" else memory.stress
    with pytest.raises(Refused, match="the node's pods have together not enough memory"):
        make(told(**effect), second.container)


def test_an_effect_ends_when_the_node_runs_short_of_memory_meanwhile(second: Second) -> None:
    effect = memory.stress(told(kind="memory", share=0.9), second.container)
    assert effect.ends() == ""
    node(300)
    assert effect.ends() == "the node has almost no memory left"
    node(8 * GIBI)
    second.memory(NODE, 12 * GIBI, 12 * GIBI - 100)
    assert effect.ends() == "the node's pods have together almost no memory left"


def test_whom_the_kernel_ended_before_the_fault_is_no_part_of_it(second: Second) -> None:
    effect = memory.stress(told(kind="memory", share=0.9), second.container)
    assert effect.told()["oom_kills"] == 0
    second.write(OWN, "memory.events", "oom 3\noom_kill 2")
    assert effect.told()["oom_kills"] == 1


def test_another_container_that_the_kernel_would_choose_is_spared(second: Second) -> None:
    second.process(7, OWN, 90)
    second.process(8, f"{POD}/cri-containerd-{'a' * 64}.scope", 600)
    # Each has a limit of its own: whoever meets it is alone there.
    second.memory(POD, 2 * GIBI, 700)
    assert memory.exhaust(told(kind="oom"), second.container)
    second.memory(POD, GIBI, 700)
    with pytest.raises(Refused, match="another container's process"):
        memory.exhaust(told(kind="oom"), second.container)


def test_a_pause_process_is_nobody_that_the_kernel_would_choose(second: Second) -> None:
    second.process(7, OWN, 90)
    second.process(8, f"{POD}/cri-containerd-{'a' * 64}.scope", 1)
    second.memory(POD, GIBI, 101)
    assert memory.exhaust(told(kind="oom"), second.container)


def test_what_burns_or_crowds_fits_into_the_containers_memory(second: Second) -> None:
    second.write(OWN, "cpu.max", "1000 100000")
    second.write(OWN, "cpu.stat", "usage_usec 1\nnr_periods 1\nnr_throttled 1\nthrottled_usec 1")
    second.write(OWN, "pids.max", "4000")
    second.write(OWN, "pids.current", "1")
    assert cpu.make(told(kind="cpu", workers=64), second.container)
    assert pids.make(told(kind="pids", share=1), second.container)
    second.memory(OWN, 128, 100)
    for make, effect in ((cpu.make, told(kind="cpu", workers=64)), (pids.make, told(kind="pids", share=1))):
        with pytest.raises(Refused, match="memory limit is too low"):
            make(effect, second.container)
