"""The cells that were measured, as data: one line of JSON each, the newest of a cell counts."""

from __future__ import annotations

import ast
import dataclasses
import enum
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What a run passes through from its plan to its undo, and what strikes and looks. A page, a night or a checker changes
# nothing of that.
ROOMS = (
    *(f"harness/{room}" for room in ("agent", "engine", "hands", "keeper", "resources", "targets", "workloads")),
    "bench/dying",
)
FILES = (
    "harness/cluster/connection.py",
    "harness/cluster/kube.py",
    "harness/cluster/observe.py",
    "harness/cluster/docker.py",
    "harness/faults/__init__.py",
    "bench/crash_matrix/causes.py",
    "bench/crash_matrix/measure.py",
)


class State(enum.StrEnum):
    """What came of a cell: the promise was held or broken, or the cell could not be measured."""

    HELD = "held"
    BROKEN = "broken"
    UNMEASURED = "unmeasured"


@dataclass(frozen=True, slots=True)
class Row:
    """One cell as it was measured.

    `removed` are the seconds from when the promise counts until the effect was surely gone, `blur` how long before that
    it was last surely there; None where there was nothing to remove. `clean` are the seconds until nothing at all was
    other than before, `took` those that the whole cell took. `code` is a hash of the sources that the cell depends on.
    """

    fault: str
    cause: str
    hand: str
    at: str
    code: str
    state: State
    removed: float | None = None
    blur: float | None = None
    clean: float | None = None
    limit: float = 0.0
    verdict: str = ""
    exit: int | None = None
    why: str = ""
    took: float | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Say which cell it is."""
        return self.fault, self.cause


Rows = Mapping[tuple[str, str], Row]


def read(path: Path) -> tuple[dict[tuple[str, str], Row], list[str]]:
    """Return the newest row of each cell, and what could not be read, line by line; no file is no rows."""
    found: dict[tuple[str, str], Row] = {}
    amiss: list[str] = []
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = _row(json.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            amiss.append(f"{path.name}:{number}: {error}")
            continue
        if row.key not in found or found[row.key].at <= row.at:
            found[row.key] = row
    return found, amiss


def _row(values: object) -> Row:
    if not isinstance(values, dict):
        raise TypeError("a row is a mapping")
    row = Row(**{**values, "state": State(values["state"])})
    for name in ("fault", "cause", "hand", "at", "code", "verdict", "why"):
        if not isinstance(getattr(row, name), str):
            raise TypeError(f"{name} is no text")
    for name in ("removed", "blur", "clean", "limit", "took"):
        number = getattr(row, name)
        if number is not None and not (isinstance(number, int | float) and math.isfinite(number)):
            raise TypeError(f"{name} is no number")
    return row


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write the rows in their order, whole or not at all."""
    lines = [json.dumps(dataclasses.asdict(row)) for row in sorted(rows, key=lambda row: row.key)]
    fresh = path.with_suffix(".new")
    fresh.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    fresh.replace(path)


def code(fault: str, root: Path = ROOT) -> str:
    """Return a hash of the sources that the cells of a fault depend on; one without a file depends on the rest."""
    return codes([fault], root)[fault]


def codes(faults: Iterable[str], root: Path = ROOT) -> dict[str, str]:
    """Return the hash of each fault's sources: the fault's own file, what faults share, rooms and files.

    Other faults' files are theirs, but for those that it takes something of: a module of the folder without an
    underscore is no fault. Each source is read once.
    """
    folder = root / "harness" / "faults"
    every = {*folder.glob("*.py"), *(path for room in ROOMS for path in (root / room).rglob("*.py"))}
    every |= {root / file for file in FILES if (root / file).exists()}
    text = {path: path.read_bytes() for path in sorted(every)}
    lines = {path: str(path.relative_to(root)).encode() + b"\0" + text[path] + b"\0" for path in text}
    taken = {path.stem: _taken(text[path]) for path in text if path.parent == folder}
    return {fault: _hash(lines, folder, _own(fault, taken)) for fault in faults}


def _own(fault: str, taken: Mapping[str, set[str]]) -> set[str]:
    """Name a fault and whatever it takes something of, by way of others too."""
    own = {fault}
    while more := {name for one in own for name in taken.get(one, ())} - own:
        own |= more
    return own


def _hash(lines: Mapping[Path, bytes], folder: Path, own: set[str]) -> str:
    sha = hashlib.sha256()
    for path, line in lines.items():
        if path.parent != folder or "_" not in path.stem or path.stem in own or path.name == "__init__.py":
            sha.update(line)
    return sha.hexdigest()[:12]


def _taken(text: bytes) -> set[str]:
    """Name the modules of the faults' folder that a file of it takes something of."""
    nodes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom))
    return {one.name for node in nodes if node.module == "harness.faults" for one in node.names}


def fresh(row: Row | None, code: str) -> bool:
    """Say whether a cell need not be run again: it held, with this very code."""
    return row is not None and row.state is State.HELD and row.code == code
