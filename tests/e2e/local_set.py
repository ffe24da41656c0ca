"""The local set as `make chaos-local` runs it, once for every test that asks something about it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.live import ROOT, events, starved, verdict_of

SET_SECONDS = 900


@dataclass(frozen=True, slots=True)
class LocalSet:
    """What the set left: a folder per experiment, in order, and what pytest said."""

    runs: dict[str, Path]
    junit: Path
    exit_code: int
    said: str


def run(folder: Path) -> LocalSet:
    """Run the set as a user does."""
    argv = [sys.executable, "-m", "pytest", "experiments", "--chaos-set", "local"]
    argv += ["--chaos-runs", str(folder / "runs"), f"--junitxml={folder / 'junit.xml'}"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=SET_SECONDS)
    return LocalSet(
        {experiment_of(directory): directory for directory in sorted((folder / "runs").iterdir())},
        folder / "junit.xml",
        done.returncode,
        done.stdout[-6000:],
    )


def experiment_of(directory: Path) -> str:
    """Name the experiment that a run's folder is about."""
    return next(str(event["data"]["experiment"]) for event in events(directory) if event["type"] == "run.start")  # type: ignore[index]


def declared(local_set: LocalSet) -> None:
    """Hold every verdict against its declaration, but for those that name others who had the machine."""
    verdicts = {name: verdict_of(directory) for name, directory in local_set.runs.items()}
    unknown = [name for name, verdict in verdicts.items() if starved(verdict)]
    assert all(verdict["right"] or name in unknown for name, verdict in verdicts.items()), local_set.said
    assert local_set.exit_code == (2 if unknown else 0), local_set.said
    assert len(verdicts) - len(unknown) >= 10
