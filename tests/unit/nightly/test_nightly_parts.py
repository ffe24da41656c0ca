"""A night has the local stack carry what its experiments need: grouped, in place of other parts, and given back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from harness.cluster import local
from harness.documents import document
from harness.engine.options import Options
from harness.errors import PreconditionFailed
from harness.model.experiment import Experiment
from harness.nightly import parts
from harness.stack import deploy

ROOT = Path(__file__).parents[3]
LOCAL = Options(kubeconfig=None, context=None, seed=1, runs=Path("runs"))


@dataclass
class Stack:
    """A stack whose parts are what was brought up last; `asked` is all of that, with its variant."""

    there: tuple[str, ...] = ("core",)
    overlay: str = "weak-no-pdb"
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def carrier(self, options: Options = LOCAL) -> Callable[[Sequence[str]], None]:
        return parts.carrier(options, self.said.append)


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Stack:
    found = Stack()

    async def there(_: Any) -> tuple[tuple[str, ...], str]:
        return found.there, found.overlay

    async def up(_: Any, say: Any, overlay: str, named: Sequence[str]) -> None:
        found.asked.append((overlay, tuple(named)))
        if "scaling" in named:
            raise PreconditionFailed("no room")
        found.there = tuple(named)

    monkeypatch.setattr(local, "current", lambda: object())
    monkeypatch.setattr(parts, "_there", there)
    monkeypatch.setattr(deploy, "up", up)
    return found


def test_experiments_that_need_the_same_parts_come_together_after_those_that_need_none() -> None:
    names = (
        "mesh/pod_kill",
        "orchestrator/pod_kill",
        "delivery/good_release",
        "mesh/control_plane_kill",
        "nodes/drain",
    )
    order = [one.name for one in parts.grouped(document.load(ROOT / "experiments" / f"{name}.yaml") for name in names)]
    assert order == [
        *("orchestrator/pod_kill", "nodes/drain", "delivery/good_release"),
        *("mesh/pod_kill", "mesh/control_plane_kill"),
    ]


def test_a_part_comes_up_in_place_of_another_and_the_stack_has_in_the_end_what_it_had(stack: Stack) -> None:
    carry = stack.carrier()
    for wanted in ((), ("delivery",), ("delivery",), ("mesh",), ()):
        carry(wanted)
    assert stack.asked == [
        ("weak-no-pdb", ("core", "delivery")),
        ("weak-no-pdb", ("core", "mesh")),
        ("weak-no-pdb", ("core",)),
    ]


def test_a_part_that_is_there_is_left_there_with_all_others(stack: Stack) -> None:
    stack.there = ("core", "mesh", "delivery")
    carry = stack.carrier()
    carry(("mesh",))
    carry(())
    assert stack.asked == []


def test_a_part_that_does_not_come_up_is_said_and_the_others_have_their_turn(stack: Stack) -> None:
    carry = stack.carrier()
    carry(("scaling",))
    carry(("mesh",))
    assert stack.said == ["the stack does not carry scaling: no room"]
    assert stack.there == ("core", "mesh")


@pytest.mark.parametrize("options", [replace(LOCAL, context="staging"), replace(LOCAL, kubeconfig=Path("other"))])
def test_nothing_is_brought_up_on_another_cluster(stack: Stack, options: Options) -> None:
    stack.carrier(options)(("mesh",))
    assert stack.asked == []


def test_nothing_is_brought_up_where_there_is_no_stack_of_ours(stack: Stack) -> None:
    stack.there = ()
    stack.carrier()(("mesh",))
    assert stack.asked == []


def needing(*names: str) -> list[Experiment]:
    return [document.load(ROOT / "experiments" / f"{name}.yaml") for name in names]


def test_who_brings_up_nothing_is_told_once_which_parts_are_lacking_and_what_brings_them(stack: Stack) -> None:
    stack.there = ("core", "delivery")
    experiments = needing("orchestrator/pod_kill", "delivery/good_release", "mesh/pod_kill", "mesh/control_plane_kill")
    assert parts.lacking(experiments, LOCAL) == (
        "2 of 4 experiments will not begin: the stack lacks mesh; `harness up --parts delivery,mesh` brings that, "
        "`harness nightly` what each needs in its turn"
    )
    assert parts.lacking(experiments, replace(LOCAL, context="staging")) == ""


def test_where_no_part_is_lacking_nobody_is_told(stack: Stack) -> None:
    stack.there = ("core", "mesh")
    assert parts.lacking(needing("orchestrator/pod_kill", "mesh/pod_kill"), LOCAL) == ""
