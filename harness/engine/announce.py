"""Say and write down what a run is and what it will touch, before it touches anything."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from harness import __version__
from harness.engine import contexts
from harness.engine.options import Options
from harness.engine.planning import caps, plan
from harness.engine.session import Session
from harness.journal.writer import Journal
from harness.report.inert import inert
from harness.targets import select

WAYS_IN = ("HARNESS_GATEWAY", "HARNESS_HOST", "HARNESS_PROMETHEUS")


def head(session: Session, options: Options) -> None:
    """Write the head of the journal: what is run, where, and how a later command gets there."""
    experiment, planned = session.experiment, session.plan
    session.write(
        "run.start",
        run=planned.run,
        experiment=experiment.name,
        title=experiment.title,
        hypothesis=experiment.hypothesis,
        path=str(experiment.path),
        seed=planned.seed,
        context=planned.context,
        way=_way(session, options),
        version=__version__,
        expect=experiment.expect.verdict,
        argv=[Path(sys.argv[0]).name, *sys.argv[1:]],
    )
    session.say(f"{experiment.name}  run {planned.run}  seed {planned.seed}  {planned.context}")
    if session.scope.unseen:
        session.write("scope", namespace=session.scope.system, unseen=session.scope.unseen)
        session.say(f"SCOPE      {session.scope.unseen}")


def _way(session: Session, options: Options) -> dict[str, list[str]]:
    """Say how a later command gets to the same cluster, its ways in, and its runs where they are kept elsewhere."""
    way = contexts.way(session.kube)
    around = [f"{name}={shlex.quote(os.environ[name])}" for name in WAYS_IN if os.environ.get(name)]
    runs = [] if options.runs.absolute() == Options().runs.absolute() else ["--runs", str(options.runs)]
    ways = {"variables": list(way.variables), "surroundings": around, "options": list(way.options)}
    return ways | {"scope": list(session.scope.words), "runs": runs}


def targets(session: Session) -> None:
    """Write the plan and name what it touches."""
    experiment, planned = session.experiment, session.plan
    late = caps.to_come(experiment, planned.faults, planned.left_out)
    session.write(
        "plan",
        intent=planned.intent,
        resolved=planned.resolved,
        around=list(planned.around),
        shares=list(planned.shares),
        left_out=list(planned.left_out),
        uncovered=list(experiment.uncovered),
        late=[{"activity": one.activity, "kind": one.kind, "target": select.rule(one.target)} for one in late],
        **plan.told(experiment, planned.faults),
    )
    touched = ", ".join(fault.victim.shown for fault in planned.faults) or ("nothing yet" if late else "nothing")
    session.say(f"PLAN       touches {touched}")
    for spec in late:
        session.say(f"           {spec.kind}: {select.late(spec.target)}")
    for share in planned.shares:
        session.say(f"           {share}")
    if planned.left_out:
        session.say(f"           left out by seed {planned.seed}: {', '.join(planned.left_out)}")
    for words in experiment.uncovered:
        session.say(f"PLAN       not covered: {words}")


def plain(say: Callable[[str], None] | None, journal: Journal) -> Callable[[str], None]:
    """Put the run's seconds before each line; without a listener, or with a dead one, lines go nowhere."""

    def tell(line: str) -> None:
        if say:
            # The terminal may be gone by now; that must not end the undo that the line tells of.
            with contextlib.suppress(OSError, ValueError):
                say(f"{journal.now():7.2f}  {inert(line)}")

    return tell
