"""Lead through the day: a hold point, the coordinator's word, a look both ways, one run; then the next.

All there is to know is in the log, so a day whose terminal has died goes on at its hold point.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from harness.engine import run
from harness.engine.options import Options, Stop
from harness.errors import Exit, HarnessError, PreconditionFailed, UsageError
from harness.gameday import log, looking, plan, progress, text
from harness.gameday.plan import GameDay, Step
from harness.gameday.progress import GO, SKIP, STOP, State
from harness.journal import reader, runs
from harness.model.verdict import worst
from harness.report.view import build
from harness.source import encoding

FINGERPRINT = "fingerprint.json"
# The coordinator's word at a hold point, and why; any other word asks for a look, none at all means nobody is there.
Ask = Callable[[GameDay, State], tuple[str, str]]
NOBODY = ""


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep a second driver away; one that dies lets go. Raises PreconditionFailed."""
    place = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise PreconditionFailed("somebody drives this game day already", where=str(folder)) from None
    finally:
        os.close(place)


def driven(folder: Path) -> bool:
    """Say whether somebody drives the day now."""
    try:
        with alone(folder):
            return False
    except PreconditionFailed:
        return True


def go(folder: Path, options: Options, ask: Ask, say: Callable[[str], None]) -> int:
    """Run one step after another as the coordinator says, and return the worst exit code.

    Raises UsageError and PreconditionFailed where the plan is wrong, the day is closed or somebody else drives it.
    """
    codes: list[int] = []
    held, shown = Exit.NOTHING_RAN, 0
    with alone(folder):
        mend(folder)
        while True:
            # Anew at each hold point: an edit meanwhile voids the approvals.
            day, entries = plan.read(folder), log.read(folder)
            if progress.closed(entries):
                raise UsageError("this game day is closed", where=str(folder), hint="another day has another folder")
            state = progress.upcoming(progress.fold(day, entries))
            if state is None:
                say("every step is done; next: harness gameday close")
                return worst(codes)
            if shown != state.step.number:
                say(text.hold_point(day, state))
            shown = state.step.number
            word, why = ask(day, state)
            if word in (SKIP, STOP):
                _write(day, state.step, progress.WORD, day.coordinator, word=word, why=why)
            if word == SKIP:
                continue
            if word in (STOP, NOBODY):
                return worst([*codes, held] if held == Exit.USAGE or not codes else codes)
            checks = anyio.run(looking.look, day, state.step, entries, options, datetime.now(UTC))
            said = text.checks(checks)
            say(said)
            wrong = [check.name for check in checks if not check.ok]
            _write(day, state.step, progress.LOOK, said=said, no_go=wrong)
            held = Exit.USAGE if wrong else Exit.NOTHING_RAN
            if word == GO and wrong:
                say(f"no go: {', '.join(wrong)}")
            elif word == GO:
                _write(day, state.step, progress.WORD, day.coordinator, word=word, hash=day.hash)
                codes.append(_run(day, state.step, options, say))
                shown = 0
                if codes[-1] in (Exit.DIRTY, Exit.INTERRUPTED):
                    return worst(codes)


def _write(day: GameDay, step: Step, type: str, who: str = "", **data: Any) -> None:
    log.append(day.folder, type, who or day.roles["driver"][0], step=step.number, experiment=step.name, **data)


def _run(day: GameDay, step: Step, options: Options, say: Callable[[str], None]) -> int:
    stop, left = Stop(), (day.window[1] - datetime.now(UTC)).total_seconds()
    clock = threading.Timer(max(0.0, left), stop.ask, ["the window of the game day is over"])
    clock.daemon = True
    try:
        _remember(day, options)
        _write(day, step, progress.BEGIN, context=options.context or "", seed=day.seed)
        clock.start()
        outcome = run.run(step.experiment, replace(options, stop=stop))
    except HarnessError as error:
        _write(day, step, progress.REFUSED, why=str(error))
        say(f"error: {error}")
        return int(error.exit)
    finally:
        clock.cancel()
    say(outcome.text)
    _write(day, step, progress.END, **_ended(outcome.dir))
    return outcome.exit


def _remember(day: GameDay, options: Options) -> None:
    """Take the cluster's fingerprint before the first step; the day is closed against it."""
    path = day.folder / FINGERPRINT
    if not path.exists():
        encoding.write(path, json.dumps(anyio.run(looking.fingerprint, day, options), indent=1) + "\n")
        log.append(day.folder, progress.FINGERPRINT, day.roles["driver"][0], file=path.name)


def _ended(folder: Path) -> dict[str, Any]:
    """Return what the results need to know of a run, from its journal."""
    events = reader.read(folder)
    view = build(events)
    abort = next((event.data for event in events if event.type == "abort"), {})
    return {
        "run": folder.name,
        "verdict": view.verdict.upper(),
        "expected": view.expected,
        "right": view.right,
        "why": view.reason,
        "cause": view.cause,
        "recovery": next((item.recovery for item in view.findings if item.checker == "recovery"), ""),
        "seconds": round(view.duration, 1),
        "abort": {key: abort[key] for key in ("trigger", "why", "latency") if key in abort},
    }


def mend(folder: Path) -> None:
    """Write the end of a run whose driver died, as its journal tells it."""
    entries = log.read(folder)
    begun = progress.running(entries)
    if begun is None:
        return
    named = {key: begun.data.get(key) for key in ("step", "experiment")}
    known = {entry.data.get("run") for entry in entries}
    for one in runs.every(folder / plan.RUNS):
        if one.run not in known and one.started >= begun.at.timestamp():
            log.append(folder, progress.END, begun.who, **named, **_ended(one.dir))
            return
    log.append(folder, progress.REFUSED, begun.who, **named, why="its driver died before it wrote anything down")
