"""Do what is due: one run, in a thread of its own, so that a signal reaches the scheduler and not the run."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

from harness.engine import run
from harness.engine.options import Options, Outcome, Stop
from harness.errors import Exit, HarnessError
from harness.model.experiment import Experiment
from harness.model.verdict import Verdict
from harness.schedule.bell import Bell
from harness.schedule.log import FAILED, PLANNED, RAN, REFUSED, Tick, shown

Say = Callable[[str], None]


def seed_of(seed: int, experiment: Experiment, due: datetime) -> int:
    """Return the seed of one run: the same for the same schedule's seed, experiment and time."""
    text = f"{seed} {experiment.name} {shown(due)}"
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 1_000_000


def perform(experiment: Experiment, due: datetime, options: Options, bell: Bell, say: Say) -> Tick:
    """Run an experiment that is due, or show its plan; what keeps it from beginning is in the tick."""
    seed = seed_of(options.seed or 0, experiment, due)
    chosen, tick = replace(options, seed=seed), Tick(experiment.name, shown(due), "", RAN, seed=seed)
    try:
        if options.dry_run:
            say(run.dry_run(experiment, chosen))
            return replace(tick, at=shown(bell.now()), state=PLANNED)
        outcome = _run(experiment, chosen, bell)
    except HarnessError as error:
        return replace(tick, at=shown(bell.now()), state=REFUSED, why=str(error), exit=int(error.exit))
    except Exception as bug:  # the next one is due all the same
        say(traceback.format_exc())
        why = f"{type(bug).__name__}: {bug}"
        return replace(tick, at=shown(bell.now()), state=FAILED, why=why, exit=int(Exit.INTERNAL))
    say(outcome.text)
    dirty = outcome.verdict is Verdict.DIRTY
    cut = bool(bell.asked) and outcome.verdict is Verdict.ABORTED
    return replace(
        tick,
        at=shown(bell.now()),
        why="" if outcome.right else outcome.reason,
        run=outcome.run,
        verdict=str(outcome.verdict),
        exit=int(Exit.INTERRUPTED) if cut else outcome.exit,
        last=dirty or bool(bell.asked),
    )


def _run(experiment: Experiment, options: Options, bell: Bell) -> Outcome:
    stop = Stop()
    with ThreadPoolExecutor(1, thread_name_prefix="scheduled run") as alone:
        running = alone.submit(run.run, experiment, replace(options, stop=stop))
        running.add_done_callback(lambda _: bell.ring())
        while not running.done():
            if bell.wait(None):
                stop.ask(f"{bell.asked} was received")
                break
        return running.result()
