"""Abort from any terminal: pull the lever, and see how long it took until the running step's undo began."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import anyio

from harness.engine import contexts, lever
from harness.engine.options import Options
from harness.engine.preflight import scope as scopes
from harness.errors import HarnessError
from harness.gameday import log, plan, progress
from harness.journal import reader, runs
from harness.model.units import seconds

# A run sees its lever within a second; of one that does not by then somebody should know.
WAIT_SECONDS = 20.0
LOOK_SECONDS = 0.05


def abort(folder: Path, who: str, why: str, options: Options, namespace: str, say: Callable[[str], None]) -> None:
    """Pull the lever, and write down who did, why, and how long after that the undo began."""
    plan.require(folder)
    asked, begun = time.time(), progress.running(log.read(folder))
    context = options.context or (begun and begun.data.get("context")) or None
    if begun is None and context is None:
        # It may be in the middle of an edit; that must keep nobody.
        with contextlib.suppress(HarnessError):
            context = plan.read(folder).context
    try:
        say(anyio.run(_pull, Options(options.kubeconfig, context), namespace, who, why))
    finally:
        log.append(folder, progress.ABORT, who, why=why)
    if begun is None:
        say("nothing is running; the lever keeps the next step from beginning")
        return
    run, began = _undo(folder)
    if began is None:
        say(f"run {run}: no undo was seen to begin; `harness gameday status`, `harness faults`")
        return
    after = round(max(0.0, began - asked), 3)
    log.append(folder, progress.STOPPED, who, run=run, after=after)
    say(f"run {run}: its undo began {seconds(after)} after the abort was asked for")


async def _pull(options: Options, namespace: str, who: str, why: str) -> str:
    kube, _ = contexts.connect(options.kubeconfig, options.context)
    async with kube:
        scope = await scopes.of(kube, namespace)
        places = await lever.pull(kube, who=who, reason=why, only="".join(scope.inside))
        off = contexts.command(kube, "harness", "lever", "off", *scope.words)
    return f"lever on in {', '.join(places)}; when it may go on: {off}"


def _undo(folder: Path) -> tuple[str, float | None]:
    """Wait for the newest run to begin its undo, or to end, and say when that was, in epoch seconds."""
    deadline, run = time.monotonic() + WAIT_SECONDS, ""
    while time.monotonic() < deadline:
        for one in runs.every(folder / plan.RUNS)[:1]:
            run, events = one.run, [] if one.unreadable else reader.read(one.dir)
            began = next((event.wall for event in events if event.type == "abort"), None)
            if began is not None or one.verdict:
                return run, began
        time.sleep(LOOK_SECONDS)
    return run, None
