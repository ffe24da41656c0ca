"""What the keeper still undoes where its disk is full, where something breaks in itself, and where it died at work."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.keeper.resident import healing
from harness.keeper.resident.docker import Refused
from harness.keeper.resident.healing import Keeper
from harness.keeper.resident.ledger import Ledger

START = {"op": "start", "container": "node-a"}
THAW = {"op": "exec", "container": "node-a", "argv": ["thaw"]}


class Nodes:
    """Nodes that do what they are told, and tell of it; `first` happens once, when an undo was done and looked at."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.running = {"node-a": True, "node-b": True}
        self.done: list[Any] = []
        self.first: Callable[[], None] = lambda: None

    def answers(self) -> bool:
        return True

    def can(self, kind: str) -> bool:
        return True

    def inspect(self, container: str) -> dict[str, Any]:
        return {"paused": False, "running": self.running[container], "addresses": []}

    def perform(self, op: dict[str, Any]) -> dict[str, Any]:
        with self.changed:
            self.done.append(op["op"])
            if op["op"] in ("start", "stop"):
                self.running[op["container"]] = op["op"] == "start"
            then, self.first = self.first, lambda: None
            then()
            self.changed.notify_all()
        return {}


@pytest.fixture
def nodes() -> Nodes:
    return Nodes()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healing, "BACKOFF", (0.01,))


def keeper(nodes: Nodes, folder: Path) -> Keeper:
    return Keeper(nodes, Ledger(folder / "ledger.json"), "", "v1", 30.0, 0.05)


def settled(found: Keeper) -> None:
    """Wait until nothing is owed any more, and no thread of the keeper is at work."""
    for one in threading.enumerate():
        if one.name.endswith("(_settle)"):
            one.join(30)
            assert not one.is_alive(), found.errors
    assert found.status()["dead"] == []


def full(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Leave no room for the ledger."""

    def no_room(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("harness.keeper.resident.ledger.os.fsync", no_room)
    return monkeypatch


def test_a_full_disk_keeps_nothing_from_being_undone(nodes: Nodes, tmp_path: Path, monkeypatch):
    found = keeper(nodes, tmp_path)
    found.hello("run-1")
    found.register("run-1", "f1", [START])
    found.register("run-1", "f2", [THAW])
    found.apply("run-1", "f1", [{"op": "stop", "container": "node-a"}])
    with monkeypatch.context() as patch:
        full(patch)
        found.expire("run-1", "its connection ended")
        settled(found)
    assert nodes.running["node-a"]
    assert nodes.done == ["stop", "start", "exec"]
    found.hello("run-2")
    assert json.loads((tmp_path / "ledger.json").read_text())["runs"] == {"run-2": {}}


def test_a_run_that_a_full_disk_kept_out_keeps_no_other_out(nodes: Nodes, tmp_path: Path, monkeypatch):
    found = keeper(nodes, tmp_path)
    with monkeypatch.context() as patch:
        full(patch)
        with pytest.raises(Refused, match="the ledger cannot be written: No space left"):
            found.hello("run-1")
    assert found.hello("run-2") == {"version": "v1"}


def test_an_undo_that_cannot_be_written_is_not_registered(nodes: Nodes, tmp_path: Path, monkeypatch):
    found = keeper(nodes, tmp_path)
    found.hello("run-1")
    with monkeypatch.context() as patch:
        full(patch)
        with pytest.raises(Refused, match="the ledger cannot be written"):
            found.register("run-1", "f1", [START])
    assert found.status()["owed"] == []
    with pytest.raises(Refused, match="no undo on the ledger"):
        found.apply("run-1", "f1", [{"op": "stop", "container": "node-a"}])


def test_what_breaks_while_it_undoes_is_no_reason_to_strike_a_fault_off(nodes: Nodes, tmp_path: Path):
    def broken() -> None:
        nodes.running["node-a"] = False
        raise ValueError("the driver has a bug")

    found = keeper(nodes, tmp_path)
    found.hello("run-1")
    found.register("run-1", "f1", [START])
    nodes.first = broken
    found.expire("run-1", "its connection ended")
    settled(found)
    assert nodes.running["node-a"]


@pytest.mark.parametrize("undo", [START, THAW])
def test_an_effect_that_a_dead_keeper_had_on_its_way_is_undone_when_it_has_arrived(
    nodes: Nodes, tmp_path: Path, undo: dict[str, Any]
):
    died = keeper(nodes, tmp_path)
    died.hello("run-1")
    died.register("run-1", "f1", [undo])

    def arrives() -> None:
        nodes.running["node-a"] = False

    nodes.first = arrives
    settled(keeper(nodes, tmp_path))
    assert nodes.done == [undo["op"]] * 2
    assert json.loads((tmp_path / "ledger.json").read_text())["runs"] == {}


def test_what_has_arrived_is_undone_however_long_that_takes(nodes: Nodes, tmp_path: Path):
    died = keeper(nodes, tmp_path)
    died.hello("run-1")
    died.register("run-1", "f1", [START])
    tries: list[str] = []

    def refuses(op: dict[str, Any]) -> dict[str, Any]:
        tries.append(op["op"])
        if 1 < len(tries) < 5:
            raise Refused("failed", "Docker did not answer")
        return {}

    nodes.perform = refuses  # type: ignore[method-assign]
    settled(Keeper(nodes, Ledger(tmp_path / "ledger.json"), "", "v1", 0.0, 0.05))
    assert len(tries) == 5
