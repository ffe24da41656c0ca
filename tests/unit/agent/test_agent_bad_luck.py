"""What an agent still undoes, and tells, where its node's disk is full and where something breaks in itself."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from harness.agent.resident import effecting, supervising
from harness.agent.resident.api import Answered
from harness.agent.resident.fault import Fault
from harness.agent.resident.following import Follower
from harness.agent.resident.processes import descriptors, freezer, pods
from harness.agent.resident.refused import Refused
from harness.agent.resident.statuses import Statuses
from tests.unit.agent.told import Told, settled

POD, CONTAINER = "12345678-aaaa-bbbb-cccc-1234567890ab", "c" * 64


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The pods that are frozen, by their UID."""
    found: set[str] = set()
    monkeypatch.setattr(freezer, "frozen", lambda uid: uid in found)
    monkeypatch.setattr(freezer, "freeze", found.add)
    monkeypatch.setattr(freezer, "thaw", found.discard)
    monkeypatch.setattr(effecting, "sweep", lambda: None)
    return found


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch):
    """Leave no room for the ledger, from when it is called on."""

    def no_room(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def begin() -> None:
        monkeypatch.setattr("harness.agent.resident.ledger.os.fsync", no_room)

    return begin


def freeze(key: str, run: str = "run-1") -> Fault:
    return Fault(key, f"/apis/x/faults/{key}", run, key, f"pod-{key}", {"op": "freeze"})


def test_an_agent_that_starts_on_a_full_disk_heals_all_that_its_ledger_names(make, frozen: set[str], full):
    first = make()
    first.do(freeze("one"))
    first.do(freeze("two"))
    second = make()
    full()
    second.recover()
    assert frozen == set()
    assert second.ledger.faults() == {}


def test_a_run_that_is_over_is_healed_on_a_full_disk(make, told: Told, frozen: set[str], full):
    agent = make()
    agent.do(freeze("one"))
    agent.leases.seconds = 0
    full()
    agent.tick()
    assert told.wait("healedAt")["message"] == "nobody renewed its lease"
    settled()
    assert frozen == set()
    agent.tick()


def test_a_fault_that_cannot_be_written_down_is_not_done_and_that_is_told(make, told: Told, frozen: set[str], full):
    agent = make()
    full()
    assert not agent.do(freeze("one"))
    assert "the ledger cannot be written: No space left" in told.wait("message")["message"]
    assert frozen == set()
    assert agent.ledger.faults() == agent.keys() == {}


def test_packet_rules_that_stay_are_owed_until_they_are_gone(make, monkeypatch: pytest.MonkeyPatch):
    def stays(handles: Any, *chains: str) -> None:
        raise Refused("rules are left", "iptables did not end")

    agent = make()
    agent.ledger.owe("one", {"run": "run-1", "path": "p", "pod": POD, "op": "packets", "chain": "KCH-x-"})
    monkeypatch.setattr(effecting, "_network", lambda pod: os.open(os.devnull, os.O_RDONLY))
    with monkeypatch.context() as patch:
        patch.setattr(supervising, "clear", stays)
        assert not agent.heal("one", "why")
        assert "one" in agent.ledger.faults()
    monkeypatch.setattr(supervising, "clear", lambda handles, *chains: None)
    assert agent.heal("one", "why")


def test_whatever_breaks_an_undo_it_is_tried_again(make, told: Told, frozen: set[str], monkeypatch):
    def broken(uid: str) -> None:
        raise ValueError("a bug")

    agent = make()
    agent.do(freeze("one"))
    with monkeypatch.context() as patch:
        patch.setattr(freezer, "thaw", broken)
        assert not agent.heal("one", "why")
    agent.tick()
    told.wait("healedAt")
    settled()
    assert frozen == set()


def test_whatever_breaks_an_effect_it_is_told_and_undone(make, told: Told, frozen: set[str], monkeypatch):
    def broken(uid: str) -> None:
        frozen.add(uid)
        raise ValueError("a bug")

    monkeypatch.setattr(freezer, "freeze", broken)
    assert make().do(freeze("one"))
    assert "a bug" in told.wait("healedAt")["message"]
    assert frozen == set()


def process(folder: Path, pid: int, name: bytes, limit: int = 1024) -> None:
    """Show a process of the container by a name that its kernel cut off within a letter."""
    one = folder / str(pid)
    (one / "fd").mkdir(parents=True)
    (one / "cgroup").write_text(f"0::/kubepods/pod{POD}/{CONTAINER}\n")
    (one / "stat").write_bytes(b"%d (%s) S 1 %s %d\n" % (pid, name, b"0 " * 17, pid))
    (one / "status").write_bytes(b"Name:\t" + name + b"\nState:\tS (sleeping)\nUid:\t0 0 0 0\nGid:\t0 0 0 0\n")
    (one / "limits").write_text(f"Max open files            {limit}                 4096                 files\n")


def test_a_process_whose_name_is_no_text_is_found_and_looked_at(proc: Path):
    process(proc, 7, "Größenprüfung…"[:12].encode()[:-1] + b"\xc3")
    assert pods.main_process(CONTAINER) == 7
    assert pods.status(7)["State"] == "S (sleeping)"


def test_one_process_whose_limit_cannot_be_given_back_keeps_no_other_from_its_own(proc: Path, monkeypatch):
    process(proc, 7, b"sudo", limit=16)
    process(proc, 8, b"server", limit=16)
    given: list[tuple[int, ...]] = []

    def as_user(pid: int, *limits: int) -> str:
        if pid == 7:
            raise Refused("process 7 is of several users or groups at once")
        given.append((pid, *limits))
        return ""

    monkeypatch.setattr(descriptors, "_as_user", as_user)
    limit = {"born": 0, "soft": 1024, "hard": 4096, "to": 16, "at": 0}
    with pytest.raises(Refused, match="process 7"):
        descriptors.give_back(CONTAINER, [{"pid": 1, **limit}])
    assert given == [(8, 1024, 4096)]


class Busy:
    """An API server that answers with these numbers first, and takes what it is told then."""

    def __init__(self, *answers: int) -> None:
        self.answers, self.taken = list(answers), threading.Event()
        self.facts: list[Any] = []

    def patch(self, path: str, body: Any) -> Any:
        if self.answers:
            raise Answered(self.answers.pop(0), "etcdserver: request timed out")
        self.facts.append((path.removesuffix("/status"), body["status"]))
        self.taken.set()
        return {}


@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_what_an_api_server_cannot_take_yet_is_told_once_more(status: int, monkeypatch):
    monkeypatch.setattr("harness.agent.resident.statuses.AGAIN_SECONDS", 0.01)
    api = Busy(status, status)
    statuses = Statuses(api)  # type: ignore[arg-type]
    statuses.tell("/f", {"healedAt": "t"})
    threading.Thread(target=statuses.write, daemon=True).start()
    assert api.taken.wait(30)
    assert api.facts == [("/f", {"healedAt": "t"})]


@pytest.mark.parametrize("status", [404, 422])
def test_what_it_will_never_take_holds_nothing_up(status: int):
    api = Busy(status)
    statuses = Statuses(api)  # type: ignore[arg-type]
    statuses.tell("/gone", {"healedAt": "t"})
    statuses.tell("/f", {"healedAt": "t"})
    threading.Thread(target=statuses.write, daemon=True).start()
    assert api.taken.wait(30)
    assert api.facts == [("/f", {"healedAt": "t"})]


class Listing:
    """An API server that lists the same again and again."""

    def get(self, path: str, **query: str) -> Any:
        return {"metadata": {"resourceVersion": "1"}, "items": []}

    def watch(self, path: str, version: str, **query: str) -> Any:
        return iter(())


def test_whatever_breaks_while_it_follows_it_follows_on(monkeypatch):
    monkeypatch.setattr("harness.agent.resident.following.BACKOFF", (0.01,))
    over, heard = threading.Event(), []

    def hear(items: Any) -> None:
        heard.append(items)
        if len(heard) == 1:
            raise RuntimeError("can't start new thread")
        over.set()

    Follower(Listing(), "/faults", {}, hear).follow(over)  # type: ignore[arg-type]
    assert heard == [[], []]
