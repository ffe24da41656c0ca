"""The parts of the stack, which come up and go down by themselves; names come from folders, all else from files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.cluster.cache import project_root
from harness.errors import UsageError

CORE = "core"
"""What every other part stands on; its manifests are the overlays'."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a part costs at rest, and to be built once: as measured, and when."""

    mebibytes: int
    millicores: int
    build: str
    measured: str


@dataclass(frozen=True, slots=True)
class Part:
    """One part: what it brings, what it needs, which images it runs, and what is fetched for its manifests.

    `fetched` names a program under images/go, a module of its, a file of that module, and where in the part's folder
    that is put. Where a part that it comes `after` is there, too, it changes what that one brings.
    """

    name: str
    summary: str
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    images: Mapping[str, str] = field(default_factory=dict)
    fetched: Mapping[str, str] = field(default_factory=dict)
    cost: Cost | None = None

    @property
    def component(self) -> bool:
        """Say whether it has manifests of its own."""
        return (folder() / self.name / "kustomization.yaml").exists()


def folder() -> Path:
    """Return the folder of the parts."""
    return project_root() / "stack" / "parts"


def names() -> list[str]:
    """Return the names of the parts, the core first."""
    found = sorted(path.parent.name for path in folder().glob("*/part.yaml"))
    return sorted(found, key=lambda name: name != CORE)


def read(name: str) -> Part:
    """Read what a part says of itself."""
    import yaml

    said: dict[str, Any] = yaml.safe_load((folder() / name / "part.yaml").read_text())
    cost = said.pop("cost", None)
    return Part(
        name,
        **{**said, "needs": tuple(said.get("needs", ())), "after": tuple(said.get("after", ()))},
        cost=Cost(**{**cost, "measured": str(cost["measured"])}) if cost else None,
    )


def check(wanted: Iterable[str]) -> None:
    """Raise UsageError for a part that does not exist."""
    for name in wanted:
        if name not in names():
            raise UsageError(f"no part {name!r}", where="stack/parts", hint=f"one of {', '.join(names())}")


def closed(wanted: Iterable[str]) -> tuple[str, ...]:
    """Return these parts with all that they need, in the order in which they are put together; raises UsageError."""
    found: list[str] = []

    def add(name: str) -> None:
        if name not in found:
            part = read(name)
            for other in (*part.needs, *(one for one in part.after if one in wanted)):
                add(other)
            found.append(name)

    wanted = [CORE, *wanted]
    check(wanted)
    for name in wanted:
        add(name)
    return tuple(found)


def without(there: Iterable[str], gone: Iterable[str]) -> tuple[str, ...]:
    """Return what stays of the parts that are there; raises UsageError where one that stays needs one that goes."""
    check(gone := tuple(gone))
    if CORE in gone:
        raise UsageError(f"the part {CORE} does not go by itself", hint="harness down, without --parts")
    stay = tuple(name for name in there if name not in gone)
    for name in stay:
        if lost := sorted({*read(name).needs} & {*gone}):
            raise UsageError(f"the part {name} needs {', '.join(lost)}", hint=f"--parts {','.join([*gone, name])}")
    return stay
