"""A run waits until nothing is amiss, says for what, and where that is in vain it never begins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest

from harness.engine.watching import settle
from harness.errors import NeverBegun
from harness.journal import reader
from harness.model.experiment import Phases
from tests.unit.engine.looked_at import Cluster, ago, deployment, pod

pytestmark = pytest.mark.anyio


async def test_a_system_that_is_well_costs_one_look_and_its_answers_are_written_down(told, session):
    session.kube = Cluster()
    await settle.settle(session, session.journal.now() + session.experiment.phases.settle)
    once = session.kube.asked
    await settle.look(session)
    assert session.kube.asked == 2 * once
    assert [event.type for event in reader.read(session.directory)] == ["settled"]


async def test_a_system_that_does_not_settle_is_never_begun_and_the_journal_tells_why(told, session):
    session.kube = Cluster(shop_deployments=[deployment("cart", 1)])
    session.experiment = replace(session.experiment, phases=Phases(settle=1.0))
    with pytest.raises(NeverBegun) as error:
        await settle.settle(session, session.journal.now() + session.experiment.phases.settle)
    assert error.value.what == "the system did not settle within 1 s"
    assert error.value.why == "shop/cart has 1 of 2 pods available"
    (waiting,) = [event for event in reader.read(session.directory) if event.type == "settle"]
    assert waiting.data["waiting"] == ["shop/cart has 1 of 2 pods available"]


@pytest.mark.parametrize("seconds", [0.05, 0.0])
async def test_a_hypothesis_that_the_time_cuts_off_is_not_met(told, session, monkeypatch, seconds):
    async def never(_):
        await anyio.sleep_forever()

    session.kube = Cluster()
    monkeypatch.setattr(settle.steady, "ask", never)
    with pytest.raises(NeverBegun, match="did not settle"):
        await settle.settle(session, session.journal.now() + seconds)
    assert [event.type for event in reader.read(session.directory)] == []


class Seen(Cluster):
    """A cluster in which whatever was listed once has gone by the next look."""

    async def list(self, path: str, **more: Any) -> list[dict[str, Any]]:
        found = await super().list(path, **more)
        if found:
            self.lists = {}
        return found


async def test_a_pod_that_goes_while_the_hypothesis_is_asked_is_waited_for(told, session, monkeypatch):
    """An autoscaler that lets one go at last: as few are ready as were asked for, and one more is not gone yet."""
    session.kube, asked = Seen(), 0

    async def ask(_):
        nonlocal asked
        asked += 1
        session.kube.lists = {"shop_pods": [pod("web-9", deletionTimestamp=ago(-30))]} if asked == 1 else {}
        return [{"name": "ready pods", "ok": True, "value": 5, "error": None}]

    monkeypatch.setattr(settle, "LOOK_EVERY", 0)
    monkeypatch.setattr(settle.steady, "ask", ask)
    await settle.settle(session, session.journal.now() + 30)
    waited = [event.data["waiting"] for event in reader.read(session.directory) if event.type == "settle"]
    assert (waited, asked) == ([["shop/web-9 is terminating"]], 2)
