"""Find runs by the start of their name."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.journal.event import FILE

_TAIL = 256 * 1024


@dataclass(frozen=True, slots=True)
class Run:
    """One run on disk: `verdict` is empty while it goes on, or when it died before the end."""

    run: str
    dir: Path
    started: float
    experiment: str
    verdict: str


def every(root: Path) -> list[Run]:
    """List the runs under `root`, newest first."""
    folders = [path.parent for path in root.glob(f"*/{FILE}")] if root.is_dir() else []
    return sorted((_describe(folder) for folder in folders), key=lambda run: (run.started, run.run), reverse=True)


def latest(root: Path) -> Run:
    """Return the newest run; raises UsageError when there is none."""
    runs = every(root)
    if not runs:
        raise UsageError("there is no run yet", where=str(root), hint="`harness run EXPERIMENT` makes one")
    return runs[0]


def find(root: Path, prefix: str) -> Run:
    """Return the one run whose name begins with `prefix`, or the newest for `latest`.

    Raises UsageError when none or several do.
    """
    if prefix == "latest":
        return latest(root)
    named = Path(prefix)
    # Path.is_file() raises for a name that is too long.
    if os.path.isfile(named / FILE):  # noqa: PTH113
        return _describe(named)
    runs = every(root) or [latest(root)]
    found = [run for run in runs if run.run.startswith(prefix)]
    exact = [run for run in found if run.run == prefix]
    if len(found) == 1 or exact:
        return (exact or found)[0]
    shown = ", ".join(run.run for run in (found or runs)[:5]) or "none"
    what = f"several runs begin with {prefix!r}" if found else f"no run begins with {prefix!r}"
    raise UsageError(what, where=str(root), why=f"there is: {shown}", hint="`harness runs` lists them all")


def _describe(folder: Path) -> Run:
    path = folder / FILE
    first: dict[str, Any] = {}
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
    return Run(
        run=folder.resolve().name,
        dir=folder,
        started=float(first.get("wall") or path.stat().st_mtime),
        experiment=str(data.get("experiment") or ""),
        verdict=str((verdict.get("data") or {}).get("verdict") or ""),
    )


def _record(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
