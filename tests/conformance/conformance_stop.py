"""A control that interrupts the run before one step."""

from __future__ import annotations

from typing import Any

from chaoslib.exceptions import InterruptExecution
from conformance_steps import note


def before_activity_control(context: Any, step: str) -> None:
    """Interrupt before the step of that name."""
    if context["name"] == step:
        note(f"interrupted before {step}")
        raise InterruptExecution("enough was seen")
