"""A whole experiment as text, and a way to load it with one thing changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from harness.documents import document, schema
from harness.errors import UsageError

TEXT = """\
title: Evictions stop at the budget
description: Asks to evict three carts at once; the budget must refuse one.
tags: [cart, pod]
controls: [{name: harness, provider: {type: python, module: harness.chaostoolkit.controls}}]
steady-state-hypothesis:
  title: Enough carts are ready
  probes:
    - type: probe
      name: ready carts
      tolerance: {type: range, range: [3, 20]}
      provider: {type: python, module: probes.workload, func: ready_replicas, arguments: {deployment: cart}}
method:
  - type: action
    name: evict three at once
    provider:
      type: python
      module: harness.chaostoolkit.actions
      func: pod_evict
      arguments:
        deadline: 0s
        target: {namespace: shop, selector: app=cart, pods: 3, at-once: 3}
rollbacks: []
extensions:
  - name: harness
    sets: [local, nightly]
    load: {workload: mixed, rate: 50/s}
    phases: {baseline: 10s, hold: 10s, recovery: 60s}
    objectives:
      disruption-budget: {name: cart}
      recovery: {within: 30s}
    abort-when: {availability-below: 80%, for: 10s}
    blast-radius: {namespaces: [shop], pods: 3}
"""
SLO = {"availability": {"ratio": "99.5%"}, "latency": {"p95": "1s", "p99": "2s"}, "burn-rate": {"objective": "99.9%"}}


@pytest.fixture
def text() -> str:
    return TEXT


@pytest.fixture(scope="session")
def editor() -> jsonschema.Draft202012Validator:
    """What an editor does with the schema; `jsonschema.validate` would look at the schema itself each time."""
    return jsonschema.Draft202012Validator(schema.build())


@pytest.fixture
def slo() -> dict[str, dict[str, str]]:
    return SLO


@pytest.fixture
def loaded() -> Callable[..., object]:
    """Load the experiment with pieces of its text replaced."""

    def load(*changes: tuple[str, str], defaults: object = None, promised: bool = True) -> object:
        return document.loads(changed(*changes), Path("cart/evict.yaml"), defaults, promised=promised)

    return load


@pytest.fixture
def refused() -> Callable[..., list[str]]:
    """Return the lines of the error that the experiment is refused with."""

    def refuse(*changes: tuple[str, str], defaults: object = None) -> list[str]:
        with pytest.raises(UsageError) as caught:
            document.loads(changed(*changes), Path("evict.yaml"), defaults, promised=True)
        return str(caught.value).splitlines()

    return refuse


def changed(*changes: tuple[str, str]) -> str:
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text
