"""A control that leaves a line wherever it is called."""

from __future__ import annotations

from typing import Any

from conformance_steps import note


def configure_control(label: str = "control", **_: Any) -> None:
    """Leave a line when it is set up."""
    note(f"{label} configured")


def cleanup_control() -> None:
    """Leave a line when it is taken down."""
    note("control cleaned up")


def before_experiment_control(context: Any, label: str = "control") -> None:
    """Leave a line."""
    note(f"{label} before experiment")


def after_experiment_control(context: Any, state: Any, label: str = "control") -> None:
    """Leave a line."""
    note(f"{label} after experiment")


def before_hypothesis_control(context: Any, label: str = "control") -> None:
    """Leave a line."""
    note(f"{label} before hypothesis {context['title']}")


def after_hypothesis_control(context: Any, state: Any, label: str = "control") -> None:
    """Leave a line."""
    note(f"{label} after hypothesis met {state['steady_state_met']}")


def before_method_control(context: Any, label: str = "control") -> None:
    """Leave a line."""
    note(f"{label} before method")


def after_method_control(context: Any, state: Any, label: str = "control") -> None:
    """Leave a line."""
    note(f"{label} after method of {len(state)}")


def before_rollback_control(context: Any, label: str = "control") -> None:
    """Leave a line."""
    note(f"{label} before rollback")


def after_rollback_control(context: Any, state: Any, label: str = "control") -> None:
    """Leave a line."""
    note(f"{label} after rollback of {len(state)}")


def before_activity_control(context: Any, label: str = "control") -> None:
    """Leave a line."""
    note(f"{label} before {context['name']}")


def after_activity_control(context: Any, state: Any, label: str = "control") -> None:
    """Leave a line."""
    note(f"{label} after {context['name']} {state['status']}")
