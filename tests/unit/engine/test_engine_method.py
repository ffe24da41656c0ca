"""Injecting, holding and healing: what the engine does whatever a fault, a disk or a terminal does to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from harness.engine import announce, method, run
from harness.engine.session import Session
from harness.engine.undoing import healing
from harness.errors import AbortTriggered, ClusterUnreachable, InjectionFailed, ObservationFailed, UndoFailed
from harness.journal import reader
from harness.model.experiment import Phases
from harness.model.plan import PlannedFault
from tests.unit.engine.doubles import Broken, fails, fault, kinds
from tests.unit.faults.server import Server
from tests.unit.faults.workloads import WEB, planned, web

pytestmark = pytest.mark.anyio


async def test_one_by_one_spares_the_next_target_when_the_last_was_not_undone(session, broken) -> None:
    seen = broken(heal=fails(UndoFailed("still cordoned"))).seen
    with pytest.raises(InjectionFailed, match="spared"):
        await method.inject_in_groups(session, session.plan.faults, 1)
    assert "inject b" not in seen
    assert set(session.owed) == {"a"}


@pytest.mark.case(
    3, "a custom resource that does not say how many pods it wants", "the next pod is spared until it is back"
)
async def test_one_by_one_spares_the_next_target_when_the_last_is_not_back_in_time(session, broken) -> None:
    session.experiment = replace(session.experiment, phases=Phases(recovery=0.05))
    seen = broken(healed=lambda _: anyio.sleep_forever()).seen
    with pytest.raises(InjectionFailed, match="spared"):
        await method.inject_in_groups(session, session.plan.faults, 1)
    assert "inject b" not in seen


async def test_one_by_one_goes_on_when_the_last_is_back(session, broken) -> None:
    seen = broken().seen
    await method.inject_in_groups(session, session.plan.faults, 1)
    assert seen == ["inject a", "felt a", "heal a", "healed a", "inject b"]


@pytest.mark.case(
    23, "a pod that takes long to terminate", "felt when it is going; waited for as long as its own grace"
)
@pytest.mark.parametrize(("grace", "seen"), [(0.0, False), (90.0, True)])
async def test_a_pod_is_waited_for_as_long_as_it_may_take_to_go_and_then_the_limit(
    session, broken, grace: float, seen: bool
) -> None:
    broken(healed=lambda _: anyio.sleep(0.01))
    await method.inject(session, fault("a"))
    session.reach.note(fault("a"))["grace"] = grace
    await method.settle(session, [fault("a")], 0.0)
    assert session.course(fault("a")).healed is seen


async def test_what_heals_by_itself_is_seen_healed_during_the_hold(session, broken) -> None:
    seen = broken().seen
    await method.inject(session, fault("a", "pod_kill"))
    await method.hold(session, [fault("a", "pod_kill")])
    assert seen == ["inject a", "felt a", "heal a", "healed a"]
    assert "fault.healed" in kinds(session)


async def test_what_stays_broken_is_only_felt_during_the_hold(session, broken) -> None:
    seen = broken().seen
    await method.inject(session, fault("a"))
    await method.hold(session, [fault("a")])
    assert seen == ["inject a", "felt a"]


async def test_a_fault_that_was_not_felt_is_not_waited_for_a_second_time(session, broken) -> None:
    seen = broken(felt=lambda _: None).seen
    await method.inject(session, fault("a"))
    await method.hold(session, [fault("a")])
    await method.settle(session, [fault("a")], 1.0)
    assert seen.count("felt a") == 1
    assert kinds(session).count("fault.not_felt") == 1


async def test_evidence_is_waited_for_as_long_as_its_fault_may_take_to_show_it(session, broken, monkeypatch) -> None:
    broken(felt=lambda _: anyio.sleep_forever())
    hasty = {name: replace(kind, felt_within=0.01) for name, kind in method.FAULTS.items()}
    monkeypatch.setattr(method, "FAULTS", hasty)
    await method.inject(session, fault("a"))
    await method.hold(session, [fault("a")])
    whys = [event.data["why"] for event in reader.read(session.directory) if event.type == "fault.not_felt"]
    assert whys == ["nothing was seen within 0.01 s"]


@pytest.fixture
async def beside(session) -> AsyncIterator[TaskGroup]:
    """What goes on beside the walk of a run."""
    async with anyio.create_task_group() as group:
        session.beside = group.start_soon
        yield group
        group.cancel_scope.cancel()


async def test_a_fault_is_felt_beside_the_steps_that_follow_though_nothing_is_to_be_seen_of_it_after_them(
    session, broken, beside
) -> None:
    felt, over = anyio.Event(), False

    async def passing() -> dict[str, Any]:
        felt.set()
        return {} if over else {"pod": "of the release"}

    seen = broken(felt=lambda _: passing()).seen
    await method.inject(session, fault("a"))
    await felt.wait()  # a later step, which takes its time
    await anyio.wait_all_tasks_blocked()
    over = True
    await method.hold(session, [fault("a")])
    assert seen == ["inject a", "felt a"]
    assert [kind for kind in kinds(session) if "felt" in kind] == ["fault.felt"]


GROUP = ExceptionGroup("of several requests", [ObservationFailed("not there"), ClusterUnreachable("away")])


@pytest.mark.parametrize("first", [None, ObservationFailed("not there"), GROUP], ids=str)
async def test_what_is_not_seen_beside_the_steps_is_looked_for_after_them(session, broken, beside, first) -> None:
    looks = [first, {"pod": "of the release"}]

    async def look() -> dict[str, Any] | None:
        if isinstance(found := looks.pop(0), Exception):
            raise found
        return found

    broken(felt=lambda _: look())
    await method.inject(session, fault("a"))
    await anyio.wait_all_tasks_blocked()
    assert not [kind for kind in kinds(session) if "felt" in kind]
    await method.hold(session, [fault("a")])
    assert [kind for kind in kinds(session) if "felt" in kind] == ["fault.felt"]


async def test_who_looks_for_a_fault_after_the_steps_takes_over_from_who_did_so_beside_them(
    session, broken, beside
) -> None:
    looks, cut = 0, list[int]()

    async def look() -> dict[str, Any]:
        nonlocal looks
        number = looks = looks + 1
        if number > 1:
            return {"pod": "of the release"}
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cut.append(number)
            raise
        return {}

    broken(felt=lambda _: look())
    await method.inject(session, fault("a"))
    await anyio.wait_all_tasks_blocked()
    await method.hold(session, [fault("a")])
    assert (looks, cut) == (2, [1])
    assert kinds(session).count("fault.felt") == 1


async def test_a_fault_is_not_looked_for_any_more_once_it_is_undone(session, broken, beside) -> None:
    begun, cut = anyio.Event(), anyio.Event()

    async def look() -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            cut.set()

    broken(felt=lambda _: look())
    await method.inject(session, fault("a"))
    await begun.wait()
    assert await healing.undo(session, fault("a"))
    await cut.wait()
    assert not [kind for kind in kinds(session) if "felt" in kind]


async def test_evidence_of_a_fault_that_is_undone_meanwhile_is_none(session, broken, beside) -> None:
    async def late() -> dict[str, Any]:
        with anyio.CancelScope(shield=True):
            await undone.wait()
        return {"pod": "of the release"}

    undone = anyio.Event()
    broken(felt=lambda _: late())
    await method.inject(session, fault("a"))
    await anyio.wait_all_tasks_blocked()
    await healing.undo(session, fault("a"))
    undone.set()
    await anyio.wait_all_tasks_blocked()
    assert not [kind for kind in kinds(session) if "felt" in kind]


async def test_a_run_looks_for_its_faults_as_long_as_its_walk_lasts(session, broken, monkeypatch) -> None:
    monkeypatch.setattr(run, "_watch", lambda *_: None)
    looking, cut = anyio.Event(), anyio.Event()

    async def look() -> None:
        looking.set()
        try:
            await anyio.sleep_forever()
        finally:
            cut.set()

    async def phases(_: Session) -> None:
        await method.inject(session, fault("a"))
        await looking.wait()

    broken(felt=lambda _: look())
    assert await run._live(session, phases, None) is None
    assert cut.is_set()
    assert (session.owed, session.unclean) == ({}, [])


async def test_the_window_opens_before_the_effect(session, broken) -> None:
    broken(inject=fails(InjectionFailed("half done")))
    with pytest.raises(InjectionFailed):
        await method.inject(session, fault("a"))
    assert kinds(session)[-2:] == ["fault.injecting", "fault.failed"]


async def test_a_terminal_that_is_gone_does_not_end_what_it_tells_of(session) -> None:
    def gone(_: str) -> None:
        raise OSError(5, "Input/output error")

    announce.plain(gone, session.journal)("HEAL")


@pytest.mark.case(17, "a title, or a server's answer, that holds a terminal's commands", "shown without them")
async def test_what_a_run_tells_holds_no_commands_for_a_terminal(session) -> None:
    told: list[str] = []
    announce.plain(told.append, session.journal)("probe  up: \x1b[2Jdown \u202e\r")
    assert told[0].endswith("probe  up: \ufffd[2Jdown \ufffd\ufffd")


async def test_a_run_that_may_not_act_any_more_writes_no_fault_down(session, broken, monkeypatch) -> None:
    seen = broken().seen
    created: list[str] = []

    async def create(path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        created.append(path)
        return body

    monkeypatch.setattr(session.kube, "create", create)
    session.lease.lost = True
    with pytest.raises(AbortTriggered):
        await method.inject(session, fault("a"))
    assert (seen, created) == ([], [])


async def test_what_undoes_a_fault_is_found_out_and_written_down_before_its_effect(session, monkeypatch) -> None:
    server, seen = Server(web(3)), list[str]()
    created: list[dict[str, Any]] = []

    async def create(path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        seen.append(f"created with {server.replicas(WEB)}")
        created.append(body)
        return body

    for name in ("get", "list", "list_at", "patch"):
        monkeypatch.setattr(session.kube, name, getattr(server, name), raising=False)
    monkeypatch.setattr(session.kube, "create", create)
    scale = planned("workload_scale", keep=0.0)
    await method.inject(session, scale)
    assert seen[0] == "created with 3"
    assert server.replicas(WEB) == 0
    (op,) = created[0]["spec"]["undo"]
    assert op["patch"][-1] == {"op": "add", "path": "/spec/replicas", "value": 3}
    assert await healing.undo(session, scale)
    assert server.replicas(WEB) == 3


async def test_a_fault_whose_undo_cannot_be_found_out_is_not_begun_and_owes_nothing(session, broken) -> None:
    async def prepare(fault: PlannedFault, reach: Any) -> Any:
        raise InjectionFailed("nothing is left that would go")

    seen = broken(prepare=prepare).seen
    with pytest.raises(InjectionFailed, match="nothing is left"):
        await method.inject(session, fault("a"))
    assert (seen, session.owed) == ([], {})


class Written:
    """A server that notes what stood in the journal when a fault's resource was written."""

    def __init__(self, session: Session, failure: Exception | None = None) -> None:
        self.session, self.failure = session, failure
        self.bodies: list[dict[str, Any]] = []
        self.patched: list[dict[str, Any]] = []
        self.before: list[str] = []

    async def create(self, path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        if body["kind"] == "NodeFault":
            if self.failure:
                raise self.failure
            self.bodies.append(body)
            self.before = kinds(self.session)
        return body

    async def patch(self, path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        self.patched.append(body)
        return body


@pytest.fixture
def ordered(broken, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Broken]:
    """A fault whose hand acts by itself as soon as its resource is there."""

    def make(**does: Callable[[PlannedFault], Any]) -> Broken:
        found: Broken = broken(**does)

        async def order(one: PlannedFault, reach: Any) -> Any:
            return await found._step("order", one)

        kinds = {kind: replace(one, order=order) for kind, one in method.FAULTS.items()}
        monkeypatch.setattr(method, "FAULTS", kinds)
        return found

    return make


async def test_what_a_hand_is_to_do_by_itself_is_made_before_its_resource_and_the_window_opens_before(
    session, ordered
) -> None:
    seen, session.kube = ordered().seen, Written(session)
    await method.inject(session, fault("a"))
    assert seen == ["order a", "inject a"]
    assert session.kube.bodies[0]["spec"]["parameters"]["api"] == {"what": "order"}
    assert session.kube.before[-1] == "fault.injecting"
    (status,) = (body["status"] for body in session.kube.patched)
    assert "appliedAt" not in status


async def test_an_order_that_cannot_be_made_touches_nothing(session, ordered) -> None:
    seen, session.kube = ordered(order=fails(InjectionFailed("no port"))).seen, Written(session)
    with pytest.raises(InjectionFailed, match="no port"):
        await method.inject(session, fault("a"))
    assert seen == ["order a"]
    assert session.kube.bodies == []


async def test_a_resource_that_may_have_been_written_is_undone_again_after_it_may_have_arrived(
    session, ordered, monkeypatch
) -> None:
    monkeypatch.setattr(healing, "IN_FLIGHT_SECONDS", 0.0)
    seen, server = ordered().seen, session.kube
    session.kube = Written(session, ClusterUnreachable("no answer"))
    with pytest.raises(InjectionFailed):
        await method.inject(session, fault("a"))
    session.kube = server
    await healing.undo(session, fault("a"))
    assert seen == ["order a", "heal a", "heal a"]
