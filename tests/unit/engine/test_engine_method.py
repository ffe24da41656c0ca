"""Injecting, healing and undoing: what the engine does whatever a fault, a disk or a terminal does to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest

from harness.engine import announce, healing, method, owed
from harness.engine.session import Session
from harness.errors import AbortTriggered, ApiError, ClusterUnreachable, InjectionFailed, UndoFailed
from harness.faults import FAULTS
from harness.journal import reader
from harness.model.experiment import Phases
from harness.model.plan import PlannedFault
from tests.unit.engine.doubles import fault
from tests.unit.faults.server import Server
from tests.unit.faults.workloads import WEB, planned, web

pytestmark = pytest.mark.anyio


class Broken:
    """A fault that notes what is done to it; `does` may replace any of its steps."""

    def __init__(self, **does: Callable[[PlannedFault], Any]) -> None:
        self.seen: list[str] = []
        self.prepare = does.pop("prepare", None)
        self.does = does

    def undo(self, fault: PlannedFault, reach: Any) -> list[dict[str, Any]]:
        return []

    async def _step(self, name: str, fault: PlannedFault) -> dict[str, Any]:
        self.seen.append(f"{name} {fault.id}")
        if name in self.does:
            found = self.does[name](fault)
            return await found if hasattr(found, "__await__") else found
        return {"what": name}

    async def inject(self, fault: PlannedFault, reach: Any) -> Any:
        return await self._step("inject", fault)

    async def felt(self, fault: PlannedFault, reach: Any) -> Any:
        return await self._step("felt", fault)

    async def heal(self, fault: PlannedFault, reach: Any) -> None:
        await self._step("heal", fault)

    async def healed(self, fault: PlannedFault, reach: Any) -> Any:
        return await self._step("healed", fault)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Broken]:
    def make(**does: Callable[[PlannedFault], Any]) -> Broken:
        found = Broken(**does)
        steps = {step: getattr(found, step) for step in ("prepare", "undo", "inject", "felt", "heal", "healed")}
        kinds = {kind: replace(FAULTS[kind], **steps) for kind in ("node_cordon", "pod_kill")}
        for module in (method, healing):
            monkeypatch.setattr(module, "FAULTS", kinds)
        return found

    return make


def fails(error: Exception) -> Callable[[PlannedFault], Any]:
    def step(_: PlannedFault) -> Any:
        raise error

    return step


def kinds(session: Session) -> list[str]:
    return [event.type for event in reader.read(session.directory)]


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


async def test_a_full_disk_does_not_keep_the_undo_from_being_done(session, broken, monkeypatch) -> None:
    seen = broken().seen
    await method.inject(session, fault("a"))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(session.journal, "write", full)
    assert await healing.undo(session, fault("a"))
    assert "heal a" in seen
    assert "No space left" in session.unwritten


@pytest.mark.parametrize("hiccup", [ClusterUnreachable("away"), ApiError(503, "ServiceUnavailable", "")], ids=str)
async def test_an_api_server_that_does_not_answer_an_undo_is_asked_again(session, broken, monkeypatch, hiccup) -> None:
    monkeypatch.setattr(healing, "AGAIN_SECONDS", 0.0)
    answers = [hiccup, None]

    def heal(_: PlannedFault) -> None:
        if error := answers.pop(0):
            raise error

    broken(heal=heal)
    await method.inject(session, fault("a"))
    assert await healing.undo(session, fault("a"))
    assert session.unclean == []


async def test_what_an_api_server_that_never_answers_said_last_is_told(session, broken, monkeypatch) -> None:
    monkeypatch.setattr(healing, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(healing, "HEAL_SECONDS", 0.05)
    broken(heal=fails(ClusterUnreachable("nobody is there")))
    await method.inject(session, fault("a"))
    assert not await healing.undo(session, fault("a"))
    assert "not undone within 0.05 s: nobody is there" in session.unclean[0]


async def test_one_undo_that_breaks_does_not_cut_the_others(session, broken) -> None:
    def heal(one: PlannedFault) -> dict[str, Any]:
        if one.id == "a":
            raise RuntimeError("a bug")
        return {}

    broken(heal=heal)
    for one in session.plan.faults:
        await method.inject(session, one)
    session.enter("inject")
    await owed.undo(session)
    assert set(session.owed) == {"a"}
    assert any("a bug" in text for text in session.unclean)


async def test_an_effect_without_an_answer_is_undone_again_after_it_may_have_arrived(
    session, broken, monkeypatch
) -> None:
    monkeypatch.setattr(healing, "IN_FLIGHT_SECONDS", 0)
    seen = broken(inject=fails(ClusterUnreachable("no answer"))).seen
    with pytest.raises(InjectionFailed):
        await method.inject(session, fault("a"))
    await healing.undo(session, fault("a"))
    assert seen.count("heal a") == 2


async def test_an_effect_that_was_answered_is_undone_once(session, broken, monkeypatch) -> None:
    monkeypatch.setattr(healing, "IN_FLIGHT_SECONDS", 0)
    seen = broken().seen
    await method.inject(session, fault("a"))
    await healing.undo(session, fault("a"))
    assert seen.count("heal a") == 1


async def test_an_undo_that_is_cut_before_its_resource_is_gone_is_still_owed_and_done_again(
    session, broken, monkeypatch
) -> None:
    seen, asked, struck = broken().seen, anyio.Event(), session.kube.deleted

    async def no_answer(path: str, **_: Any) -> dict[str, Any]:
        asked.set()
        await anyio.sleep_forever()
        raise AssertionError

    await method.inject(session, fault("a"))
    with monkeypatch.context() as silent:
        silent.setattr(session.kube, "delete", no_answer)
        async with anyio.create_task_group() as together:
            together.start_soon(healing.undo, session, fault("a"))
            await asked.wait()
            together.cancel_scope.cancel()
    assert (set(session.owed), struck) == ({"a"}, [])
    assert session.unclean
    await owed.undo(session)
    assert (seen.count("heal a"), len(struck)) == (2, 1)
    assert (session.owed, session.unclean) == ({}, [])


async def test_a_resource_that_the_undo_itself_takes_away_is_no_wish_of_somebody_else(
    session, broken, monkeypatch
) -> None:
    seen, gone = broken().seen, anyio.Event()

    async def seen_gone(path: str, **_: Any) -> dict[str, Any]:
        await healing._deleted(session, fault("a"))
        gone.set()
        return {}

    await method.inject(session, fault("a"))
    monkeypatch.setattr(session.kube, "delete", seen_gone)
    assert await healing.undo(session, fault("a"))
    assert gone.is_set()
    assert seen.count("heal a") == 1


async def test_an_undo_that_is_seen_to_have_failed_leaves_the_run_dirty(session, broken) -> None:
    broken(healed=fails(UndoFailed("it came back with another address")))
    await method.inject(session, fault("a"))
    await method.settle(session, [fault("a")], 1.0)
    assert any("another address" in text for text in session.unclean)
    assert "fault.healed" not in kinds(session)


async def test_a_fault_whose_resource_is_deleted_while_it_is_injected_stops_there_and_stays_owed(
    session, broken
) -> None:
    begun, ended = anyio.Event(), []

    async def slow() -> None:
        begun.set()
        await anyio.sleep_forever()

    async def inject() -> None:
        try:
            await method.inject(session, fault("a"))
        except InjectionFailed as error:
            ended.append(error.what)

    broken(inject=lambda _: slow())
    async with anyio.create_task_group() as together:
        together.start_soon(inject)
        await begun.wait()
        await healing._deleted(session, session.owed["a"])
    assert "deleted while" in ended[0]
    assert set(session.owed) == {"a"}


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
