"""A step that was read as a fault picks as its driver does: by name, by age, a share, all, or by chance."""

from __future__ import annotations

import random

import pytest

from harness.model.fault import Rule, Target
from harness.model.plan import Victim
from harness.targets import chosen

# As they are found: the oldest first.
PODS = [Victim("pod", name, f"uid-{name}", "shop") for name in ("web-2", "web-9", "mail-1", "web-1")]


@pytest.mark.parametrize(
    ("rule", "count", "names"),
    [
        (Rule("pod"), 1, ["mail-1"]),
        (Rule("pod", order="oldest"), 2, ["web-2", "web-9"]),
        (Rule("pod", pattern="^web-"), 9, ["web-1", "web-2", "web-9"]),
        (Rule("pod", pattern="web", share=34), 0, ["web-1", "web-2"]),
        (Rule("pod", share=1), 0, ["mail-1"]),
        (Rule("pod", every=True), 0, ["mail-1", "web-1", "web-2", "web-9"]),
        (Rule("pod", pattern="nobody"), 1, []),
    ],
)
def test_pods_are_picked_as_the_driver_picks(rule: Rule, count: int, names: list[str]) -> None:
    free = chosen.candidates(rule, PODS)
    assert [one.name for one in chosen.of(Target(pods=count, rule=rule), rule, free, random.Random(1))] == names


def test_chance_is_the_seeds() -> None:
    rule = Rule("pod", shuffled=True)
    free = chosen.candidates(rule, PODS)
    picked = [chosen.of(Target(pods=2, rule=rule), rule, free, random.Random(seed)) for seed in (1, 1, 2, 3, 4)]
    assert picked[0] == picked[1]
    assert len({tuple(one) for one in picked}) > 1


def test_a_node_is_found_by_its_name() -> None:
    nodes = [Victim("node", name, f"uid-{name}") for name in ("n1", "n2")]
    rule = Rule("node", name="n2", shuffled=True)
    assert chosen.of(Target(nodes=1, rule=rule), rule, chosen.candidates(rule, nodes), random.Random(1)) == nodes[1:]
