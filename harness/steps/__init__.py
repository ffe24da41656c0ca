"""Run Chaos Toolkit activities in a child process that can be killed at any moment."""

from harness.steps.worker import Worker, run

__all__ = ["Worker", "run"]
