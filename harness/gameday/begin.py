"""Make the folder of a game day with a plan to be filled in."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from harness.errors import UsageError
from harness.gameday.plan import FILE

SKELETON = Path(__file__).parent / "skeleton.yaml"
ENTRY = """\
  - file: {}
    expected:                   # what should be seen, in words; the verdict is the experiment's own
    # hold-point:               # what has to be so before it begins
"""


def new(folder: Path, experiments: Sequence[Path]) -> Path:
    """Write the plan's skeleton and return its file; raises UsageError where there is one already."""
    path = folder / FILE
    # From the plan's own folder, in quotes as YAML takes them.
    files = [json.dumps(os.path.relpath(one.resolve(), folder.resolve()), ensure_ascii=False) for one in experiments]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(SKELETON.read_text(encoding="utf-8") + "".join(map(ENTRY.format, files)))
    except FileExistsError:
        raise UsageError("there is one already", where=str(path), hint="another folder for another day") from None
    return path
