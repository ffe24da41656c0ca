"""A document of an experiment, and where a session finds it."""

from __future__ import annotations

from pathlib import Path

import pytest

DOCUMENT = """\
title: One pod is deleted
description: Deletes one pod.
tags: [pod]
method:
  - type: action
    name: delete one
    provider:
      type: python
      module: harness.chaostoolkit.actions
      func: pod_kill
      arguments: {{target: {{namespace: shop, selector: app=cart, pods: 1}}}}
extensions:
  - name: harness
    sets: [{sets}]
    load: {{workload: execute-agent, rate: 20/s}}
    objectives: {{availability: {{ratio: 99%}}}}
    blast-radius: {{namespaces: [shop], pods: 1}}
{more}
"""


def write(pytester: pytest.Pytester, name: str, *, sets: str = "local", more: str = "") -> Path:
    path = pytester.path / "experiments" / "cart" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(DOCUMENT.format(sets=sets, more=more))
    return path
