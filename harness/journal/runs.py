"""Find runs by the start of their name."""

from __future__ import annotations

import errno
import json
import os
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.journal.event import FILE

_TAIL = 256 * 1024


@dataclass(frozen=True, slots=True)
class Run:
    """One run on disk: `verdict` is empty while it goes on, or when it died before the end.

    `unreadable` says why nothing is known of it; empty where its journal can be read.
    """

    run: str
    dir: Path
    started: float
    experiment: str
    verdict: str
    unreadable: str = ""


def every(root: Path) -> list[Run]:
    """List the runs under `root`, newest first; one that cannot be read is among them."""
    folders = [folder for folder in root.iterdir() if _holds_run(folder)] if root.is_dir() else []
    return sorted((_describe(folder) for folder in folders), key=lambda run: (run.started, run.run), reverse=True)


def latest(root: Path) -> Run:
    """Return the newest run that can be read; raises UsageError when there is none."""
    runs = every(root)
    if runs and runs[0].unreadable:
        runs = [run for run in runs if not run.unreadable] or runs
    if not runs:
        raise UsageError("there is no run yet", where=str(root), hint="`harness run EXPERIMENT` makes one")
    return runs[0]


def find(root: Path, prefix: str) -> Run:
    """Return the one run whose name begins with `prefix`, or the newest for `latest`.

    Raises UsageError when none or several do.
    """
    if prefix == "latest":
        return latest(root)
    for named in (Path(prefix), root / prefix):
        if prefix and _holds_run(named):
            return _describe(named)
    # Path's own raises where a name is too long.
    if os.path.isdir(prefix) and (others := every(Path(prefix))):  # noqa: PTH112
        raise UsageError(
            f"this folder is no run, it holds {len(others)}",
            where=prefix,
            hint=f"--runs {shlex.quote(prefix)} looks into it, and {shlex.quote(str(others[0].dir))} is its newest run",
        )
    runs = every(root) or [latest(root)]
    found = [run for run in runs if run.run.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(run.run for run in (found or runs)[:5]) or "none"
    what = f"several runs begin with {prefix!r}" if found else f"no run begins with {prefix!r}"
    raise UsageError(what, where=str(root), why=f"there is: {shown}", hint="`harness runs` lists them all")


def _holds_run(folder: Path) -> bool:
    """Say whether this is the folder of a run; one that nobody lets us look into may be."""
    try:
        (folder / FILE).lstat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _describe(folder: Path) -> Run:
    """Describe a run; what is amiss with its journal must not take the other runs along."""
    try:
        return _read(folder)
    except OSError as error:
        why = error.strerror or str(error)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        why = f"its journal holds what no run writes ({error})"
    try:
        started = folder.stat().st_mtime
    except OSError:
        started = 0.0
    return Run(folder.name, folder, started, "", "", why)


def _read(folder: Path) -> Run:
    path = folder / FILE
    if not path.is_file():
        # A pipe would wait for somebody who writes.
        raise OSError(errno.EINVAL, "its journal is no file", str(path))
    verdict: dict[str, Any] = {}
    with path.open("rb") as file:
        first = _record(file.readline())
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - _TAIL))
        for line in reversed(file.read().split(b"\n")):
            if b'"verdict"' in line and (record := _record(line)).get("type") == "verdict":
                verdict = record
                break
    data = first.get("data") or {}
    started = float(first.get("wall") or path.stat().st_mtime)
    # Raises for what is no time.
    datetime.fromtimestamp(started, UTC)
    return Run(
        run=folder.resolve().name,
        dir=folder,
        started=started,
        experiment=str(data.get("experiment") or ""),
        verdict=str((verdict.get("data") or {}).get("verdict") or ""),
    )


def _record(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
