"""A keeper that is gone or silent holds up only what nobody else can undo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.cluster.local import LocalCluster
from harness.engine import lease
from harness.engine.preflight.scope import Scope
from harness.engine.session import Session
from harness.engine.undoing import healing, owed, undo
from harness.errors import PreconditionFailed, RunInProgress, UndoFailed
from harness.hands import healer
from harness.journal import reader
from harness.model.fault import Hand
from harness.model.plan import PlannedFault
from harness.resources import resource
from tests.unit.engine.doubles import fault

pytestmark = pytest.mark.anyio
CLUSTER = LocalCluster("here", Path("none"), "unix:///none", "kind", {}, "control-plane", Path("none"))


class Keeper:
    """A keeper that answers, hangs or is lost, and remembers what it was asked."""

    heals = own = True

    def __init__(self, *, lost: bool = False, hangs: bool = False) -> None:
        self.lost, self.hangs = anyio.Event(), hangs
        self.asked: list[str] = []
        if lost:
            self.lost.set()

    async def _ask(self, what: str) -> None:
        if self.hangs:
            await anyio.sleep_forever()
        if self.lost.is_set():
            raise UndoFailed("the keeper is gone")
        self.asked.append(what)

    async def register(self, identity: str, undo_ops: list[dict[str, Any]]) -> None:
        await self._ask(f"register {identity}")

    async def heal(self, identity: str) -> None:
        await self._ask(f"heal {identity}")

    async def forget(self, identity: str) -> None:
        await self._ask(f"forget {identity}")

    async def beat(self) -> None:
        await self._ask("beat")

    async def end(self) -> None:
        await self._ask("end")


class Kind:
    """A fault that its hand heals: the API server by itself, the host by the keeper of the session."""

    instant = False
    remains = None

    def __init__(self, session: Session | None = None) -> None:
        self.session, self.healed_ids = session, list[str]()

    def undo(self, one: PlannedFault, reach: Any) -> list[dict[str, Any]]:
        return [{"op": "exec", "container": "control-plane", "argv": ["true"]}]

    async def heal(self, one: PlannedFault, reach: Any) -> None:
        if one.hand is Hand.HOST:
            await reach.healer.heal(one.id)
        self.healed_ids.append(one.id)

    async def healed(self, one: PlannedFault, reach: Any) -> dict[str, Any]:
        return {}


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> Kind:
    found = Kind()
    for module in (healing, undo):
        monkeypatch.setattr(module, "FAULTS", {"node_cordon": found, "node_freeze": found})
    return found


@pytest.fixture
def without_keeper(session: Session) -> Session:
    """A run that owes one undo of each hand and has just lost its keeper."""
    session.cluster, session.healer = CLUSTER, Keeper(lost=True)  # type: ignore[assignment]
    session.reach = replace(session.reach, healer=session.healer)
    host = fault("b", "node_freeze", Hand.HOST)
    for one in (fault("a"), host):
        session.course(one).owed = True
    session.enter("hold")
    return session


async def test_what_the_api_server_undoes_does_not_wait_for_a_lost_keeper(
    without_keeper: Session, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, found = without_keeper, Keeper()

    async def find(_: Session) -> None:
        with anyio.fail_after(30):
            while kind.healed_ids != ["a"]:
                await anyio.lowlevel.checkpoint()
        session.healer = found  # type: ignore[assignment]
        session.reach = replace(session.reach, healer=found)  # type: ignore[arg-type]

    monkeypatch.setattr(owed, "_find_healer", find)
    await owed.undo(session)
    assert kind.healed_ids == ["a", "b"]
    assert session.unclean == []
    assert found.asked == ["heal b", "forget b", "end"]


async def test_what_only_a_keeper_undoes_is_owed_where_none_comes_back(
    without_keeper: Session, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owed, "_find_healer", lambda *_: anyio.lowlevel.checkpoint())
    await owed.undo(without_keeper)
    assert set(without_keeper.owed) == {"b"}
    assert "the keeper is gone" in "; ".join(without_keeper.unclean)


async def test_what_the_api_server_did_not_undo_is_tried_again_once_a_keeper_is_found(
    without_keeper: Session, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, found, heal = without_keeper, Keeper(), kind.heal
    refused = anyio.Event()

    async def first_refused(one: PlannedFault, reach: Any) -> None:
        if one.id == "a" and not refused.is_set():
            refused.set()
            raise UndoFailed("the API server is away")
        await heal(one, reach)

    async def find(_: Session) -> None:
        with anyio.fail_after(30):
            await refused.wait()
        session.healer = found  # type: ignore[assignment]
        session.reach = replace(session.reach, healer=found)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "heal", first_refused)
    monkeypatch.setattr(owed, "_find_healer", find)
    await owed.undo(session)
    assert session.unclean == []


async def test_a_keeper_that_cannot_be_told_of_an_undo_does_not_make_the_run_dirty(
    session: Session, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healing, "FORGET_SECONDS", 0.01)
    session.healer = Keeper(hangs=True)  # type: ignore[assignment]
    session.reach = replace(session.reach, healer=session.healer)
    session.course(fault("a")).owed = True
    assert await healing.undo(session, fault("a"))
    assert session.unclean == []
    (error,) = [event.data for event in reader.read(session.directory) if event.type == "error"]
    assert "was not told" in error["what"]


# -- harness undo -----------------------------------------------------------------------------------------------------


class Server:
    """An API server with two faults written down."""

    context, server, kubeconfig = "kind-here", "", None

    def __init__(self, *kinds: tuple[str, Hand]) -> None:
        faults = [fault(f"f{number}", kind, hand) for number, (kind, hand) in enumerate(kinds)]
        operations = [{"op": "exec", "container": "control-plane", "argv": ["true"]}]
        self.left = {resource.name(one): resource.body(one, "run", operations) for one in faults}

    async def list(self, path: str, **_: Any) -> list[dict[str, Any]]:
        return list(self.left.values()) if path.endswith("/nodefaults") else []

    async def delete(self, path: str, **_: Any) -> dict[str, Any]:
        self.left.pop(path.rpartition("/")[2], None)
        return {}


BOTH = (("node_cordon", Hand.API), ("node_freeze", Hand.HOST))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run `harness undo` against a server; `starts` is the keeper that comes up when one is started."""

    async def run(
        server: Server, connects: list[Any], starts: Exception | None = None, of: str = ""
    ) -> tuple[int, list[str]]:
        said: list[str] = []
        answers = iter(connects)

        async def connect(*_: Any) -> Keeper:
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer  # type: ignore[no-any-return]

        def ensure(*_: Any) -> None:
            if starts:
                raise starts

        async def nothing(*_: Any) -> None:
            return None

        async def none(*_: Any) -> list[Any]:
            return []

        async def everything(*_: Any) -> Scope:
            return Scope()

        monkeypatch.setattr(healer.Keeper, "connect", connect)
        monkeypatch.setattr(healer.container, "ensure", ensure)
        for name, double in (("current", nothing), ("outlive", nothing), ("clear", nothing), ("everywhere", none)):
            monkeypatch.setattr(lease, name, double)
        monkeypatch.setattr(undo.scopes, "of", everything)
        return await undo.undo(server, CLUSTER, said.append, run=of), said  # type: ignore[arg-type]

    return run


AWAY = PreconditionFailed("the keeper is away")


async def test_undo_starts_a_keeper_that_is_away(asked: Callable[..., Any], kind: Kind) -> None:
    server, keeper = Server(*BOTH), Keeper()
    count, said = await asked(server, [AWAY, keeper])
    assert count == 2
    assert server.left == {}
    assert [words for words in keeper.asked if words != "beat"] == [
        "forget f0",
        "register f1",
        "heal f1",
        "forget f1",
        "end",
    ]
    assert len(said) == 2


async def test_a_run_that_broke_nothing_is_not_taken_for_all_of_them(asked: Callable[..., Any], kind: Kind) -> None:
    server = Server(*BOTH)
    count, said = await asked(server, [Keeper()], of="rum")
    assert (count, said) == (0, ["left broken: what run broke; `harness undo` heals that, too"])
    assert len(server.left) == 2


async def test_undo_heals_without_a_keeper_what_needs_none_and_says_what_is_left(
    asked: Callable[..., Any], kind: Kind
) -> None:
    server = Server(*BOTH)
    with pytest.raises(UndoFailed) as failed:
        await asked(server, [AWAY], starts=PreconditionFailed("Docker does not answer"))
    assert kind.healed_ids == ["f0"]
    assert list(server.left) == ["f1"]
    assert "Docker does not answer" in failed.value.why
    assert "node_freeze on node-f1" in failed.value.why


async def test_undo_leaves_a_run_that_lives_alone(asked: Callable[..., Any], kind: Kind) -> None:
    server = Server(*BOTH)
    with pytest.raises(RunInProgress):
        await asked(server, [RunInProgress("run r is going on")])
    assert len(server.left) == 2


async def test_undo_heals_by_what_is_written_down_a_fault_of_another_version(asked: Callable[..., Any]) -> None:
    server, keeper = Server(("node_melt", Hand.HOST)), Keeper()
    count, _ = await asked(server, [keeper])
    assert count == 1
    assert [words for words in keeper.asked if words != "beat"][:2] == ["register f0", "heal f0"]


async def test_undo_heals_by_its_path_a_fault_of_another_version_that_an_agent_did(
    asked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, paths = Server(("pod_soak", Hand.NODE)), list[str]()

    async def heal(_: Any, path: str) -> None:
        paths.append(path)

    monkeypatch.setitem(undo.HANDS, Hand.NODE, replace(undo.HANDS[Hand.NODE], undo=heal))  # type: ignore[arg-type]
    await asked(server, [Keeper()])
    assert paths == ["/apis/chaos.harness.dev/v1alpha1/nodefaults/f0"]
    assert server.left == {}


async def test_undo_says_that_it_lacks_the_hand_of_a_fault_of_another_version(
    asked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(("pod_soak", Hand.NODE))
    monkeypatch.delitem(undo.HANDS, Hand.NODE)  # type: ignore[arg-type]
    with pytest.raises(UndoFailed, match="this version does not know the fault"):
        await asked(server, [Keeper()])
    assert list(server.left) == ["f0"]


async def test_undo_says_what_a_fault_of_another_version_needs_where_nothing_is_written_down(
    asked: Callable[..., Any],
) -> None:
    server = Server(("node_melt", Hand.API))
    for item in server.left.values():
        item["spec"]["undo"] = []
    with pytest.raises(UndoFailed, match="does not know the fault"):
        await asked(server, [Keeper()])
