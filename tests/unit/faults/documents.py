"""A document with one fault, as a team writes it."""

from __future__ import annotations

from pathlib import Path

from harness.documents import document
from harness.model.experiment import Experiment

POD = "{namespace: shop, selector: app=web, pods: 1}"
RADIUS = "namespaces: [shop], pods: 1"


def text(func: str, arguments: str = "", *, target: str = POD, radius: str = RADIUS) -> str:
    """Write it: its arguments begin in line 7, with the target in line 8 and the others in line 9."""
    return f"""
title: x
description: x
method:
  - type: action
    name: break it
    provider: {{type: python, module: harness.chaostoolkit.actions, func: {func}, arguments:
      {{target: {target},
       {arguments}}}}}
extensions:
  - {{name: harness, objectives: {{recovery: {{within: 60s}}}}, blast-radius: {{{radius}}}}}
"""


def stated(func: str, arguments: str = "", *, target: str = POD, radius: str = RADIUS) -> Experiment:
    """Read it."""
    return document.loads(text(func, arguments, target=target, radius=radius), Path("x.yaml"))
