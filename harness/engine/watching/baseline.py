"""Hold a baseline, and judge it first: what does not hold without a fault cannot be blamed on one."""

from __future__ import annotations

import math

import anyio

from harness.engine import judge
from harness.engine.session import Session
from harness.engine.watching import settle, traffic
from harness.errors import NeverBegun
from harness.journal import operations, reader


async def hold(session: Session, until: float) -> None:
    """Ask the same promises of the baseline and look once more; raises NeverBegun when no fault can be blamed.

    A gauge is as old as its scrape: what the run before did last may show here first. It is waited for as in settling,
    and a new baseline begins; not with stages, which have begun, and not where a promise was broken.
    """
    load = session.experiment.load
    while True:
        session.enter("baseline")
        if load:
            session.steady_load_from = max(session.journal.now(), session.load_from + load.ramp)
        await traffic.begin(session)
        await anyio.sleep(session.experiment.phases.baseline)
        events = reader.read(session.directory)
        amiss = judge.baseline(session.experiment, judge.history(events, operations.read(session.directory)))
        amiss += await settle.objects(session)
        passing = await settle.gauges(session)
        if not (amiss or passing):
            return
        if amiss or (load and load.stages) or session.journal.now() >= until:
            raise NeverBegun(
                "the system was not fit to be judged before any fault",
                why="; ".join([*amiss, *passing]),
                hint="what does not hold without a fault cannot be blamed on one; `harness doctor`",
            )
        session.steady_load_from = math.inf
        session.enter("settle")
        session.write("settle", waiting=passing)
        session.say(f"SETTLE     again: {'; '.join(passing)}")
        await settle.settle(session, until)
