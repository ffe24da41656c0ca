"""Several faults in one run: who is picked for each, what is done when, and what the plan shows of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.documents import document
from harness.engine import additions, announce
from harness.engine.planning import plan
from harness.engine.session import Session
from harness.errors import ApiError, InjectionFailed, ObservationFailed, UsageError
from harness.journal import reader
from harness.model.experiment import Activity, BlastRadius, Experiment
from harness.model.fault import Hand
from harness.model.plan import Plan, PlannedFault, Victim
from tests.unit.documents.test_documents_composition import text
from tests.unit.engine.doubles import fails
from tests.unit.engine.shop import Cluster, Shop

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("everybody_is_replaced")]


def experiment(*steps: str, **words: str) -> Experiment:
    return document.loads(text(*steps, **words), Path("shop/x.yaml"))


async def planned(made: Experiment, pods: int, seed: int = 1):
    return await plan.resolve(Shop(pods), made, run="run", seed=seed, alone=True)  # type: ignore[arg-type]


def names(found: Any) -> list[str]:
    return [fault.victim.name for fault in found.faults]


@pytest.mark.parametrize("seed", range(8))
async def test_two_that_may_overlap_never_have_the_same_target(seed: int) -> None:
    found = await planned(
        experiment("a|pod_kill|", "bg b|pod_kill|duration: 1s", "c|pod_kill|", caps="pods: 3"), 3, seed
    )
    assert len(set(names(found))) == 3


async def test_two_that_would_overlap_on_the_only_target_are_refused() -> None:
    with pytest.raises(UsageError, match="1 pods wanted, 0 of 1 are free"):
        await planned(experiment("bg a|pod_freeze|duration: 9s", "b|pod_kill|", caps="pods: 2"), 1)


async def test_one_after_the_other_may_have_the_same_target() -> None:
    found = await planned(experiment("a|pod_freeze|duration: 1s", "b|pod_kill|"), 1)
    assert names(found) == ["web-0", "web-0"]


@pytest.mark.parametrize("seed", range(8))
async def test_what_was_deleted_before_is_no_target_any_more(seed: int) -> None:
    found = await planned(experiment("a|pod_kill|duration: 0s", "b|pod_freeze|"), 2, seed)
    assert len(set(names(found))) == 2


CHOICE = ", choose: [{from: [a, b, c], take: 1}]"


async def test_the_seed_draws_and_draws_the_same_again() -> None:
    made = experiment("a|pod_kill|", "b|pod_kill|", "c|pod_kill|", more=CHOICE)
    drawn = {}
    for seed in range(20):
        found, again = await planned(made, 3, seed), await planned(made, 3, seed)
        assert (found.left_out, names(found)) == (again.left_out, names(again))
        assert len(found.left_out) == 2
        drawn[found.faults[0].activity] = found
    assert set(drawn) == {"a", "b", "c"}


async def test_a_choice_elsewhere_changes_no_target() -> None:
    plain = await planned(experiment("a|pod_kill|"), 5, 3)
    more = await planned(experiment("a|pod_kill|", "b|pod_kill|", "c|pod_kill|", more=CHOICE), 5, 3)
    assert names(plain) == names(more)


async def test_the_plan_shows_the_time_line_and_what_is_broken_together() -> None:
    steps = ("bg a|pod_freeze|duration: 20s", "b|pod_kill|times: 3, every: 5s", "c|pod_freeze|", "d|pod_kill|")
    made = experiment(*steps, caps="pods: 3", more=", choose: [{from: [c, d], take: 1}]")
    found = await planned(made, 4)
    a, b, last = names(found)
    shown = plan.text(made, found)
    drawn, left = ("d", "c") if found.left_out == ("c",) else ("c", "d")
    kind = "pod_kill" if drawn == "d" else "pod_freeze"
    inside = "" if drawn == "d" else " (container web)"
    assert shown.partition("  time line")[2].splitlines()[:6] == [
        ", at the earliest",
        f"         0 s to     20 s  bg a; pod_freeze on shop/{a} (container web); for 20 s; beside what follows",
        f"         0 s to     10 s  b; pod_kill on shop/{b}; 3 times every 5 s, the next on what matches by then",
        f"        10 s              {drawn}; {kind} on shop/{last}{inside}; until the method is over",
        "        20 s the method is over; what is still broken is healed after 5 s",
        "  together at most 2 pods and 0 nodes; the caps allow 3 and 0",
    ]
    assert f"  drawn    by seed 1: {drawn}; left out: {left}" in shown


async def test_two_steps_with_one_name_have_a_line_each() -> None:
    # Elsewhere it is Chaos Toolkit's custom to repeat a name; the faults have their own.
    made = experiment("a|pod_freeze|duration: 5s", "b|pod_kill|duration: 20s", caps="pods: 3")
    first, last = made.method
    made = of_all(replace(made, method=(first, replace(last, name="a"))))
    found = await planned(made, 4)
    lines = plan.text(made, found).partition("  time line")[2].splitlines()
    assert [line.split(";")[1].split()[0] for line in lines[1:3]] == ["pod_freeze", "pod_kill"]
    assert [line.count("shop/web") for line in lines[1:3]] == [3, 1]


async def test_one_fault_that_lasts_needs_no_time_line() -> None:
    made = experiment("a|pod_kill|")
    assert "time line" not in plan.text(made, await planned(made, 1))


def test_a_pod_whose_node_goes_too_is_shown() -> None:
    made = experiment("a|pod_kill|", "b|pod_kill|", caps="pods: 2")
    pod = Victim("pod", "web-0", "uid-web-0", "shop", "worker")
    node = Victim("node", "worker", "uid-n", node="worker")
    faults = (
        PlannedFault("1", "pod_kill", "a", Hand.API, pod),
        PlannedFault("2", "node_stop", "b", Hand.HOST, node, takes=(pod,)),
    )
    shown = plan.text(made, Plan("run", 1, "here", faults, "i", "r"))
    assert "overlap: pod_kill hits shop/web-0, which node_stop on worker takes, too" in shown


async def test_a_step_that_lasts_is_felt_and_healed_before_the_next_begins(walk, slept) -> None:
    found = await walk(experiment("a|pod_kill|duration: 20s", "b|pod_kill|"), 2)
    assert found.seen == ["inject run-1", "felt run-1", "heal run-1", "healed run-1", "inject run-2"]
    assert 20.0 in slept


async def test_a_step_without_a_duration_stays_broken(walk, session) -> None:
    found = await walk(experiment("a|pod_kill|", "b|pod_kill|", caps="pods: 2"), 2)
    assert found.seen == ["inject run-1", "inject run-2"]
    assert set(session.owed) == {"run-1", "run-2"}


async def test_a_step_in_the_background_is_healed_beside_the_next(walk, session) -> None:
    found = await walk(experiment("bg a|pod_kill|duration: 20s", "b|pod_kill|", caps="pods: 2"), 2)
    assert sorted(found.seen) == ["felt run-1", "heal run-1", "healed run-1", "inject run-1", "inject run-2"]
    assert set(session.owed) == {"run-2"}


async def test_a_repetition_picks_anew_what_is_there_by_then_and_keeps_to_the_cap(walk, session, slept) -> None:
    found = await walk(experiment("a|pod_kill|times: 3, every: 30s"), 1)
    assert [word.split()[0] for word in found.seen] == ["inject", "felt", "heal", "healed"] * 3
    assert [fault.victim.name for fault in session.plan.faults] == ["web-0", "web-1", "web-2"]
    assert len({fault.id for fault in session.plan.faults}) == 3
    assert [event.type for event in reader.read(session.directory)].count("plan") == 2
    assert len([seconds for seconds in slept if 29 < seconds <= 30]) == 2
    assert not session.owed


async def test_a_repetition_spares_its_next_target_while_the_last_is_not_back(walk) -> None:
    with pytest.raises(InjectionFailed, match="spared"):
        await walk(experiment("a|pod_kill|times: 2"), 2, healed=fails(ObservationFailed("nobody replaces it")))


async def test_what_the_seed_leaves_out_is_not_done_and_is_told(walk, session) -> None:
    made = experiment("a|pod_kill|", "b|pod_kill|", "c|pod_kill|", more=CHOICE)
    found = await walk(made, 3)
    assert len(found.seen) == 1
    announce.targets(session)
    (told,) = [event.data for event in reader.read(session.directory) if event.type == "plan"]
    assert told["left_out"] == list(session.plan.left_out)


async def test_what_is_picked_anew_is_never_what_a_step_to_come_will_have(session) -> None:
    made = experiment("bg a|pod_kill|times: 2", "b|pod_kill|", caps="pods: 2")
    session.kube, session.experiment = Cluster(2), made
    session.scope = replace(session.scope, alone=True)
    session.plan = await plan.resolve(session.kube, made, run="run", seed=1, alone=True)
    first, later = session.plan.faults
    for number in (2, 3, 4):
        (again,) = await additions.add(session, made.method[0], number)
        assert again.victim.name == first.victim.name != later.victim.name


async def test_repetitions_at_the_same_time_have_targets_and_names_of_their_own(walk, session) -> None:
    made = experiment("bg a|pod_kill|times: 2, every: 1s", "bg b|pod_kill|times: 2, every: 1s", caps="pods: 2")
    found = await walk(made, 4)
    assert len({fault.id for fault in session.plan.faults}) == 4
    assert len({fault.victim.uid for fault in session.plan.faults}) == 4
    assert len([word for word in found.seen if word.startswith("heal ")]) == 4
    assert (session.owed, session.unclean) == ({}, [])


async def test_what_is_just_being_injected_is_picked_for_nothing_else(session, begun) -> None:
    made = experiment("bg a|pod_freeze|", "bg b|pod_kill|times: 2", caps="pods: 2")
    await begun(made, 2)
    first, _ = session.plan.faults
    with anyio.CancelScope() as scope:
        session.course(first).injecting = scope
        (again,) = await additions.add(session, made.method[1], 2)
    assert again.victim.uid != first.victim.uid


async def test_what_a_test_asks_for_at_the_same_time_has_a_name_and_a_target_of_its_own(session, begun) -> None:
    made = experiment("a|pod_kill|", "b|pod_kill|", caps="pods: 2")
    await begun(made, 2)
    session.plan, found = replace(session.plan, faults=()), list[PlannedFault]()

    async def ask(number: int) -> None:
        found.extend(await additions.add(session, made.method[number]))

    async with anyio.create_task_group() as together:
        for number in (0, 1):
            together.start_soon(ask, number)
    assert len({fault.id for fault in found}) == len({fault.victim.uid for fault in found}) == 2
    assert session.plan.faults == tuple(found)


@pytest.mark.parametrize(
    ("steps", "caps"),
    [
        (("a|pod_kill|times: 3", "b|pod_kill|times: 2"), "pods: 1"),
        (("bg a|pod_kill|times: 3", "b|pod_kill|duration: 1s", "c|pod_kill|times: 2"), "pods: 2"),
    ],
)
async def test_a_time_that_is_over_counts_for_no_cap(walk, session, steps: tuple[str, ...], caps: str) -> None:
    await walk(experiment(*steps, caps=caps), 8)
    assert session.owed == {}


async def test_what_stays_broken_counts_for_the_cap_of_each_time_beside_it(session, begun) -> None:
    made = experiment("a|pod_kill|", "b|pod_kill|times: 2", caps="pods: 2")
    await begun(made, 4)
    made = replace(made, blast_radius=replace(made.blast_radius, pods=1))
    session.experiment = made
    with pytest.raises(UsageError, match="touches 2 pods"):
        await additions.add(session, made.method[1], 2)


def of_all(made: Experiment) -> Experiment:
    """Have the first step take three pods at once."""
    first = made.method[0]
    assert first.fault
    target = replace(first.fault.target, pods=3, at_once=3)
    return replace(made, method=(replace(first, fault=replace(first.fault, target=target)), *made.method[1:]))


async def test_a_time_that_is_over_before_a_step_to_come_may_have_its_targets(session, begun) -> None:
    made = of_all(experiment("a|pod_freeze|duration: 1s, times: 2", "b|pod_freeze|", caps="pods: 3"))
    await begun(made, 3)
    again = await additions.add(session, made.method[0], 2)
    assert len({fault.victim.uid for fault in again}) == 3


async def test_a_time_never_has_what_a_step_beside_it_has_still_to_break(session, begun) -> None:
    made = experiment("bg a|pod_freeze|duration: 1s", "b|pod_freeze|duration: 1s, times: 2", caps="pods: 2")
    await begun(made, 2)
    beside, own = session.plan.faults
    (again,) = await additions.add(session, made.method[1], 2)
    assert again.victim.uid == own.victim.uid != beside.victim.uid


async def test_all_that_is_deleted_leaves_nothing_for_a_step_to_come_and_the_plan_says_so(begun) -> None:
    with pytest.raises(UsageError, match="0 of 3 are free"):
        await begun(of_all(experiment("a|pod_kill|times: 2", "b|pod_freeze|", caps="pods: 3")), 3)


async def test_what_a_step_to_come_will_have_is_deleted_by_no_time_before_it(session, begun) -> None:
    made = experiment("a|pod_kill|times: 4", "b|pod_freeze|")
    await begun(made, 2)
    _, later = session.plan.faults
    for number in (2, 3, 4):
        (again,) = await additions.add(session, made.method[0], number)
        assert again.victim.uid != later.victim.uid


async def picked(session: Session, begin: Any) -> list[str]:
    await begin(experiment("a|pod_freeze|duration: 1s, times: 8"), 6)
    for number in range(2, 9):
        await additions.add(session, session.experiment.method[0], number)
    return names(session.plan)


async def test_each_time_has_a_chance_of_its_own_and_the_seed_gives_the_same_again(session, begun) -> None:
    first, again = await picked(session, begun), await picked(session, begun)
    assert len(set(first)) > 2
    assert first == again


async def test_steps_that_pick_when_their_turn_comes_have_a_chance_each(session, begun) -> None:
    late = "pod_freeze|late: true, duration: 1s"
    made = experiment("a|pod_freeze|duration: 1s", f"b|{late}", f"c|{late}")

    async def first(step: Activity, seed: int) -> str:
        await begun(made, 3)
        session.plan = replace(session.plan, seed=seed)
        (found,) = await additions.add(session, step)
        return found.victim.name

    _, b, c = made.method
    drawn = [(await first(b, seed), await first(c, seed)) for seed in range(1, 9)]
    assert any(one != other for one, other in drawn)
    assert drawn[0] == (await first(b, 1), await first(c, 1))


async def test_what_promises_nothing_has_no_cap_the_first_time_nor_again(session, begun) -> None:
    written, _, _ = text("a|pod_freeze|duration: 1s, times: 2").partition("extensions:")
    made = document.loads(written.replace("pods: 1", "pods: 50%"), Path("shop/x.yaml"))
    await begun(made, 4)
    assert len(session.plan.faults) == 2
    assert len(await additions.add(session, made.method[0], 2)) == 2
    (told,) = [event.data for event in reader.read(session.directory) if event.type == "plan"]
    assert told["caps"] == {}


class Closed(Cluster):
    """A cluster of somebody else's, whose namespace has not opted in."""

    async def get(self, path: str, **more: Any) -> dict[str, Any]:
        if path == "/api/v1/namespaces/shop":
            return {"metadata": {"labels": {}}}
        if "/configmaps/" in path:
            raise ApiError(404, "NotFound", "")
        return await super().get(path, **more)


async def test_what_is_picked_anew_lives_where_somebody_has_opted_in(session, begun) -> None:
    written, _, _ = text("a|pod_freeze|duration: 1s, times: 2").partition("extensions:")
    made = document.loads(written, Path("shop/x.yaml"))
    await begun(made, 2)
    session.kube, session.experiment = Closed(2), replace(made, blast_radius=BlastRadius())
    before = session.plan
    with pytest.raises(UsageError, match="shop has not opted in"):
        await additions.add(session, made.method[0], 2)
    assert session.plan is before
