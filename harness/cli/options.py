"""Options that several commands share, each under one name."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from harness.model.experiment import SETS

RUNS = Path("runs")
EXISTING = click.Path(exists=True, path_type=Path)


class Kubeconfig(click.Path):
    """A file that exists and is text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what cannot be a kubeconfig where the option stands."""
        from harness.cluster.kubeconfig.yaml_text import decoded

        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        try:
            # A pipe can be read only once, and whoever wants the configuration has to.
            if path.is_file():
                decoded(path.read_bytes())
        except (OSError, UnicodeDecodeError) as error:
            self.fail(f"'{path}' is no kubeconfig: {error}", param, ctx)
        return path


def cluster(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --context and --kubeconfig: which cluster, ours when neither is given."""
    function = click.option("--context", help="Another cluster, by its context; HARNESS_CONTEXTS allows it.")(function)
    kubeconfig = Kubeconfig(exists=True, path_type=Path)
    return click.option("--kubeconfig", type=kubeconfig, help="The kubeconfig; else as kubectl finds one.")(function)


def namespace(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --namespace: keep to one namespace, as whoever has rights in no other must."""
    text = "Keep to this namespace. By default it is the whole cluster, or the context's where your rights end there."
    return click.option("--namespace", "-n", default="", help=text)(function)


def runs(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --runs: the folder that holds one folder per run."""
    return click.option(
        "--runs",
        type=click.Path(file_okay=False, path_type=Path),
        default=RUNS,
        show_default=True,
        help="Folder that gets one folder for each run.",
    )(function)


def place(folder: Path) -> str:
    """Name a run's folder as a later command finds it: below the default folder of runs its name is enough."""
    return folder.name if folder.parent == RUNS else str(folder)


def one_set(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --set: only the experiments of one set."""
    return click.option("--set", "only", type=click.Choice(SETS), help="Only experiments that name this set.")(function)


def user() -> str:
    """Name whoever this process runs as."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user, whom the system does not know
        return f"user {os.getuid()}"
