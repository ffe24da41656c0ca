"""What shows in a baseline only, though settling waits for it, is waited for again, and a new baseline begins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.engine import judge
from harness.engine.watching import baseline, settle
from harness.errors import NeverBegun
from harness.journal import reader
from harness.model.experiment import Phases
from harness.model.load import LoadSpec, Stage

pytestmark = pytest.mark.anyio
EJECTS, OPEN = "the gateway ejects 1 host", "1 of the callers' breakers towards router not closed"


@pytest.fixture
def looks(session, monkeypatch):
    """Have the gauges tell what a test says, look by look, and nothing afterwards."""
    session.experiment = replace(session.experiment, phases=Phases(settle=60.0, baseline=0.0))
    found: list[list[str]] = []

    async def gauges(_):
        return found.pop(0) if found else []

    async def objects(_):
        return []

    monkeypatch.setattr(settle, "gauges", gauges)
    monkeypatch.setattr(settle, "objects", objects)
    return found


def phases(session) -> list[str]:
    return [event.phase for event in reader.read(session.directory) if event.type == "phase.start"]


async def hold(session, seconds: float = 60.0) -> None:
    await baseline.hold(session, session.journal.now() + seconds)


async def test_a_steady_baseline_is_held_once(session, looks):
    await hold(session)
    assert phases(session) == ["baseline"]


async def test_a_host_that_was_ejected_before_and_shows_only_now_is_waited_for(session, looks):
    looks += [[EJECTS], [OPEN]]
    await hold(session)
    assert phases(session) == ["baseline", "settle", "baseline"]
    events = reader.read(session.directory)
    assert [event.data["waiting"] for event in events if event.type == "settle"] == [[EJECTS], [OPEN]]
    assert judge.history(events, []).steady_from == [e.t for e in events if e.type == "phase.start"][-1]


async def test_no_rule_aborts_a_run_that_settles_again(session, looks, monkeypatch):
    session.experiment, session.load_from = replace(session.experiment, load=LoadSpec("here", 1.0)), 0.0
    monkeypatch.setattr(judge, "baseline", lambda *_: [])
    looks += [[EJECTS]]
    seen = []

    async def again(session, _):
        seen.append(session.steady_load_from)

    monkeypatch.setattr(settle, "settle", again)
    await hold(session)
    assert seen == [float("inf")]
    assert session.steady_load_from < float("inf")


@pytest.mark.parametrize("ejects", [[], [EJECTS]])
async def test_a_promise_that_the_baseline_broke_is_not_waited_for(session, looks, monkeypatch, ejects):
    looks += [ejects]
    monkeypatch.setattr(judge, "baseline", lambda *_: ["availability: 9 of 10 operations failed"])
    with pytest.raises(NeverBegun, match="not fit to be judged") as error:
        await hold(session)
    assert error.value.why == "; ".join(["availability: 9 of 10 operations failed", *ejects])
    assert phases(session) == ["baseline"]


async def test_a_pod_that_goes_ends_the_run_for_it_may_be_a_target(session, looks, monkeypatch):
    async def objects(_):
        return ["shop/cart-1 is terminating"]

    monkeypatch.setattr(settle, "objects", objects)
    looks += [[EJECTS]]
    with pytest.raises(NeverBegun) as error:
        await hold(session)
    assert error.value.why == f"shop/cart-1 is terminating; {EJECTS}"


async def test_what_does_not_pass_within_the_time_for_settling_ends_the_run(session, looks):
    looks += [[EJECTS]]
    with pytest.raises(NeverBegun, match="not fit to be judged") as error:
        await hold(session, seconds=0.0)
    assert error.value.why == EJECTS


async def test_stages_that_have_begun_cannot_begin_anew(session, looks, monkeypatch):
    session.experiment = replace(session.experiment, load=LoadSpec("here", 1.0, stages=(Stage(1.0, 1.0),)))
    monkeypatch.setattr(judge, "baseline", lambda *_: [])
    looks += [[EJECTS]]
    with pytest.raises(NeverBegun):
        await hold(session)
