"""Options that several commands share, each under one name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

RUNS = Path("runs")
EXISTING = click.Path(exists=True, path_type=Path)


def cluster(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --context and --kubeconfig: which cluster, ours when neither is given."""
    function = click.option("--context", help="Kubernetes context; must be allowed (HARNESS_CONTEXTS).")(function)
    return click.option("--kubeconfig", type=EXISTING, help="Kubeconfig that has the context.")(function)


def runs(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --runs: the folder that holds one folder per run."""
    return click.option(
        "--runs", type=click.Path(path_type=Path), default=RUNS, show_default=True, help="Where runs are kept."
    )(function)
