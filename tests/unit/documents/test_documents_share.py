"""A target takes a count, a share, or all: rounded down, never to nothing, and the same for the same seed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.documents import document
from harness.errors import UsageError
from harness.model.fault import Target
from harness.model.share import EVERYBODY, Share

DOCUMENT = """\
title: x
description: x
method:
  - type: action
    name: x
    provider: {{type: python, module: harness.chaostoolkit.actions, func: {func},
               arguments: {{target: {{{target}}}}}}}
extensions:
  - {{name: harness, objectives: {{recovery: {{within: 5s}}}}, blast-radius: {{namespaces: [shop], {caps}}}}}
"""


def target(amount: str, caps: str = "pods: 3", func: str = "pod_kill", which: str = "namespace: shop, selector: a=b"):
    text = DOCUMENT.format(func=func, target=f"{which}, {amount}", caps=caps)
    return document.loads(text, Path("x.yaml")).faults[0].target


def none(low: int, high: int) -> int:
    raise AssertionError("nothing is drawn")


@pytest.mark.parametrize(
    ("amount", "pods", "share"),
    [
        ("pods: 2", 2, None),
        ("pods: 30%", 0, Share("pod", 30.0)),
        ("pods: 12.5 %", 0, Share("pod", 12.5)),
        ("pods: all", 0, Share("pod", 100.0)),
        ("mode: one", 1, None),
        ("mode: all", 0, Share("pod", 100.0)),
        ("mode: fixed, value: '2'", 2, None),
        ("mode: fixed, value: 2", 2, None),
        ("mode: fixed-percent, value: '30'", 0, Share("pod", 30.0)),
        ("mode: fixed-percent, value: 30%", 0, Share("pod", 30.0)),
        ("mode: random-max-percent, value: 50", 0, Share("pod", 50.0, drawn=True)),
    ],
)
def test_how_many_is_said_by_count_by_share_or_in_the_words_of_chaos_mesh(editor, amount, pods, share):
    found = target(amount)
    assert (found.pods, found.nodes, found.share, found.kind) == (pods, 0, share, "pod")
    text = DOCUMENT.format(func="pod_kill", target=f"namespace: shop, selector: a=b, {amount}", caps="pods: 3")
    editor.validate(yaml.safe_load(text))
    assert found.least == (pods or 1)


def test_nodes_are_taken_by_share_as_pods_are():
    found = target("nodes: 50%", "nodes: 1", "node_cordon", "selector: a=b")
    assert (found.share, found.kind, found.nodes) == (Share("node", 50.0), "node", 0)


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("pods: 0%", "above 0 %"),
        ("pods: 101%", "up to 100 %"),
        ("pods: some", "a share like 30%, or all"),
        ("pods: 0.5", "a share like 30%, or all"),
        ("pods: true", "a share like 30%, or all"),
        ("pods: 0", "at least 1"),
        ("mode: fixed", "needs 'value'"),
        ("mode: one, value: 2", "takes no value"),
        ("mode: fixed, value: 1.5", "not a whole number"),
        ("mode: fixed-percent, value: many", "above 0 %"),
        ("mode: fixed-procent, value: 30", "did you mean 'fixed-percent'?"),
        ("mode: fixed, value: 1, pods: 1", "say the same twice"),
        ("pods: 1, value: 30", "'value' belongs to 'mode'"),
        ("at-once: 1", "needs 'pods'"),
    ],
)
def test_what_says_nothing_clear_is_refused(amount, said):
    with pytest.raises(UsageError) as refused:
        target(amount)
    assert said in str(refused.value)


def test_a_share_needs_a_cap_that_is_a_number():
    with pytest.raises(UsageError, match="the blast radius allows 0"):
        target("pods: all", caps="nodes: 1")
    with pytest.raises(UsageError, match="30%"):
        target("pods: all", caps="pods: 30%")


def test_all_may_be_broken_at_once():
    assert target("pods: all, at-once: all").at_once == EVERYBODY
    assert target("pods: 2, at-once: all").at_once == EVERYBODY
    assert target("pods: 50%, at-once: 7").at_once == 7


@pytest.mark.parametrize(
    ("percent", "of", "count", "said"),
    [
        (30.0, 5, 1, "30 % of 5 pods = 1 (1.5 rounded down)"),
        (50.0, 4, 2, "50 % of 4 pods = 2"),
        (29.0, 100, 29, "29 % of 100 pods = 29"),
        (33.3, 10, 3, "33.3 % of 10 pods = 3 (3.33 rounded down)"),
        (100.0, 1, 1, "all of 1 pod = 1"),
        (100.0, 7, 7, "all of 7 pods = 7"),
    ],
)
def test_a_share_is_rounded_down_and_says_so(percent, of, count, said):
    assert Share("pod", percent).count(of, none) == (count, said)


@pytest.mark.parametrize("drawn", [False, True])
def test_a_share_that_rounds_down_to_nothing_is_refused(drawn):
    with pytest.raises(ValueError, match=r"30 % of 3 pods = none \(0\.9 rounded down\)"):
        Share("pod", 30.0, drawn=drawn).count(3, none)


@given(seed=st.integers(), of=st.integers(2, 500), percent=st.integers(50, 100))
def test_a_drawn_share_is_the_same_for_the_same_seed_and_never_above_its_limit(seed, of, percent):
    share = Share("node", float(percent), drawn=True)
    first, second = (share.count(of, random.Random(seed).randint) for _ in range(2))
    assert first == second
    assert 1 <= first[0] <= share.most(of) <= of * percent / 100


def test_a_target_without_share_is_as_it_was():
    assert (Target("shop", "a=b", pods=2).kind, Target(nodes=1).kind, Target(nodes=3).least) == ("pod", "node", 3)
