"""Name the code that a night judged: two nights on the same code differ for another reason than the code."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

import anyio

from harness import __version__
from harness.engine import contexts
from harness.engine.options import Options
from harness.stack import apply

GIT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Code:
    """The harness's version, the commit of the folder the experiments are in, and the deployed stack's key."""

    harness: str = ""
    commit: str = ""
    stack: str = ""

    def __str__(self) -> str:
        parts = {"": self.commit, "stack ": self.stack[:12], "harness ": self.harness}
        return ", ".join(f"{name}{value}" for name, value in parts.items() if value) or "unknown"


def of(folder: Path, options: Options) -> tuple[Code, str]:
    """Return the code that runs with these options judge, and the cluster's context.

    Raises as a run does that finds no cluster or may not touch it.
    """
    context, stack = anyio.run(_cluster, options)
    return Code(__version__, commit(folder), stack), context


async def _cluster(options: Options) -> tuple[str, str]:
    kube, _ = contexts.connect(options.kubeconfig, options.context)
    async with kube:
        # Only `harness up` writes a key down: of another cluster's system nothing is known but its documents.
        return kube.context, (await apply.inventory(kube)).get("key", "")


def commit(folder: Path) -> str:
    """Return the commit that is checked out around a folder, with a mark for what is not committed; else nothing."""
    head = _git(folder, "rev-parse", "--short=12", "HEAD").decode().strip()
    changed = _git(folder, "diff", "HEAD", "--no-ext-diff", "--binary") if head else b""
    return head + (f"+{hashlib.sha256(changed).hexdigest()[:6]}" if changed else "")


def _git(folder: Path, *words: str) -> bytes:
    place = folder if folder.is_dir() else folder.parent
    try:
        done = subprocess.run(["git", "-C", str(place), *words], capture_output=True, timeout=GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return b""
    return done.stdout
