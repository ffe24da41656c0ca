"""The stack's variants, read from their folders; the command line asks, so nothing heavy is imported."""

from __future__ import annotations

from pathlib import Path

from harness.cluster.cache import project_root
from harness.errors import UsageError
from harness.stack import parts


def manifests() -> Path:
    """Return the folder of the stack's manifests."""
    return project_root() / "stack" / "manifests"


def names() -> list[str]:
    """Return the names of the stack's variants."""
    return sorted(path.parent.name for path in (manifests() / "overlays").glob("*/kustomization.yaml"))


def part_names(overlay: str) -> tuple[str, ...]:
    """Return the parts that an overlay changes, and so brings along."""
    text = (manifests() / "overlays" / overlay / "kustomization.yaml").read_text()
    return tuple(name for name in parts.names() if f"/parts/{name}\n" in text)


def check(overlay: str) -> None:
    """Raise UsageError for a variant that does not exist."""
    known = names()
    if overlay not in known:
        raise UsageError(f"no overlay {overlay!r}", where="stack/manifests/overlays", hint=f"one of {', '.join(known)}")
