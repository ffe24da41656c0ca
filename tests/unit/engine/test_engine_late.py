"""Targets that are picked when their step's turn comes: shown, capped, and no evidence where nothing matches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.documents import document
from harness.engine import announce
from harness.engine.planning import caps, plan
from harness.errors import UsageError
from harness.journal import reader
from harness.model.experiment import Experiment
from harness.model.fault import Hand, Rule
from harness.model.plan import PlannedFault, Victim
from tests.unit.documents.test_documents_composition import text
from tests.unit.engine.test_engine_composition import experiment, names, planned

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("everybody_is_replaced")]

LATE = ("a|pod_kill|duration: 0s", "b|pod_kill|late: true")


async def test_what_is_picked_late_is_not_picked_by_the_plan_and_shown_as_such() -> None:
    made = experiment(*LATE)
    found = await planned(made, 2)
    assert [fault.activity for fault in found.faults] == ["a"]
    shown = plan.text(made, found)
    assert "    pod_kill       1 of shop/a=b, picked when its turn comes\n" in shown
    assert "b; pod_kill on 1 of shop/a=b, picked when its turn comes; until the method is over" in shown
    assert "together at most 1 pods" in shown


@pytest.mark.parametrize(("pods", "lasts"), [(1, "10"), (2, "20")])
async def test_the_time_line_knows_how_long_it_takes_though_not_whom(pods: int, lasts: str) -> None:
    steps = ("a|pod_kill|duration: 0s", "b|pod_freeze|late: true, duration: 10s", "c|pod_kill|")
    made = document.loads(text(*steps, caps="pods: 2").replace("pods: 1", f"pods: {pods}"), Path("shop/x.yaml"))
    shown = plan.text(made, await planned(made, 4)).partition("  time line")[2].splitlines()
    assert shown[2].startswith(f"         0 s to     {lasts} s  b; pod_freeze on {pods} of shop/a=b, picked")
    assert shown[3].startswith(f"        {lasts} s              c; ")


async def test_a_share_that_is_picked_late_is_counted_by_then_and_the_plan_does_not_say_more(walk) -> None:
    written = text(*LATE, caps="pods: 2").replace("pods: 1}, late", "pods: all, at-once: all}, late")
    made = document.loads(written, Path("shop/x.yaml"))
    shown = plan.text(made, await planned(made, 4))
    assert "together at least 1 pods and 0 nodes, a share is counted when its turn comes; the caps allow 2" in shown
    with pytest.raises(UsageError, match="touches 4 pods and 0 nodes at the same time"):
        await walk(made, 4)
    written = text("a|pod_freeze|duration: 1s, times: 2", caps="pods: 3").replace("pods: 1}, dur", "pods: all}, dur")
    again = document.loads(written, Path("shop/x.yaml"))
    assert "together at least 3 pods" in plan.text(again, await planned(again, 3))


async def test_a_run_that_has_only_targets_to_come_is_not_said_to_touch_nothing(session, begun) -> None:
    made = experiment("a|pod_kill|duration: 0s", "b|pod_kill|late: true")
    told: list[str] = []
    session.say = told.append
    await begun(replace(made, method=made.method[1:]), 2)
    announce.targets(session)
    assert told[0] == "PLAN       touches nothing yet"


def test_what_stands_alone_in_a_run_has_nobody_beside_it_whose_turn_is_yet_to_come() -> None:
    victim = Victim("workload", "dns", "uid", "shop", owner="Deployment/dns")
    lone = PlannedFault("1", "dns_loss", "a", Hand.API, victim)
    made = experiment(*LATE)
    with pytest.raises(UsageError, match="dns_loss stands alone in a run, this one has 2 faults"):
        caps.require_alone(made, [lone])
    caps.require_alone(made, [lone], ("b",))


async def test_what_is_picked_late_is_there_since_an_earlier_step(walk, session) -> None:
    found = await walk(experiment(*LATE), 1)
    assert found.seen == ["inject run-1", "felt run-1", "heal run-1", "healed run-1", "inject run-1-1"]
    assert names(session.plan) == ["web-0", "web-1"]
    (told,) = [event.data for event in reader.read(session.directory) if event.type == "plan"]
    assert [fault["victim"]["name"] for fault in told["faults"]] == ["web-1"]


async def test_what_is_picked_late_is_said_before_anything_is_touched(session, begun) -> None:
    said = list[str]()
    session.say = said.append
    await begun(experiment(*LATE), 1)
    announce.targets(session)
    assert said == ["PLAN       touches shop/web-0", "           pod_kill: 1 of shop/a=b, picked when its turn comes"]
    (told,) = [event.data for event in reader.read(session.directory) if event.type == "plan"]
    assert told["late"] == [{"activity": "b", "kind": "pod_kill", "target": "1 of shop/a=b"}]


async def test_what_is_picked_late_and_matches_nothing_is_no_evidence(walk) -> None:
    made = experiment("a|pod_kill|", "b|pod_kill|late: true", caps="pods: 2")
    with pytest.raises(UsageError, match="1 pods wanted, 0 of 1 are free"):
        await walk(made, 1, inject=lambda _: {"what": "inject"})


async def test_what_is_picked_late_counts_for_the_cap_of_the_plan() -> None:
    made = experiment("a|pod_freeze|", "b|pod_kill|late: true", caps="pods: 2")
    made = replace(made, blast_radius=replace(made.blast_radius, pods=1))
    with pytest.raises(UsageError, match="touches 2 pods and 0 nodes at the same time"):
        await planned(made, 2)


async def test_what_the_seed_leaves_out_is_not_picked_late_either(walk, session) -> None:
    choice = ", choose: [{from: [b, c], take: 1}]"
    made = experiment("a|pod_kill|", "b|pod_kill|late: true", "c|pod_kill|late: true", caps="pods: 2", more=choice)
    await walk(made, 4)
    assert len(session.plan.faults) == 2
    assert session.plan.faults[-1].activity not in session.plan.left_out


def as_their_driver_picks(made: Experiment, rule: Rule) -> Experiment:
    steps = [replace(one, fault=replace(one.fault, target=replace(one.fault.target, rule=rule))) for one in made.method]
    return replace(made, method=tuple(steps))


EVERY = Rule(kind="pod", every=True)
TWICE = ("a|pod_kill|", "b|pod_kill|")


async def test_what_another_drivers_step_would_kill_again_is_picked_by_then_as_that_driver_does(walk, session) -> None:
    made = as_their_driver_picks(experiment(*TWICE, caps="pods: 2"), EVERY)
    plan_of_one = await planned(made, 1)
    assert [fault.activity for fault in plan_of_one.faults] == ["a"]
    shown = plan.text(made, plan_of_one)
    assert "all of shop/a=b, picked when its turn comes" in shown
    assert "together at least 2 pods" in shown
    await walk(made, 1)
    assert names(session.plan) == ["web-0", "web-1"]


async def test_another_drivers_step_that_picks_others_than_the_one_before_is_planned() -> None:
    made = as_their_driver_picks(experiment(*TWICE, caps="pods: 2"), Rule(kind="pod"))
    assert names(await planned(made, 2)) == ["web-0", "web-1"]


async def test_what_another_drivers_step_would_break_twice_is_refused_and_named_as_broken_already() -> None:
    made = as_their_driver_picks(experiment("a|pod_freeze|", "b|pod_freeze|", caps="pods: 2"), EVERY)
    with pytest.raises(UsageError, match="every pod that matches is broken by an earlier step"):
        await planned(made, 1)
