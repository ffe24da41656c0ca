from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.model import document
from harness.model.experiment import Experiment, Phases


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def experiment() -> Callable[..., Experiment]:
    """Make an experiment whose blast radius and phases a test may set."""
    text = "{title: x, description: x, method: [], extensions: [{name: harness, objectives: {recovery: {within: 1s}}}]}"
    made = document.loads(text, Path("x.yaml"))
    return lambda radius: replace(made, blast_radius=radius, phases=Phases(recovery=1.0))
