"""How long a run lives that says nothing, by a clock that a test sets."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.keeper.resident import connection
from harness.keeper.resident.connection import Connection
from harness.keeper.resident.docker import Docker
from harness.keeper.resident.healing import Keeper
from harness.keeper.resident.ledger import Ledger


class Client:
    """One end of a connection to a keeper, and the keeper's clock."""

    def __init__(self, folder: Path, ours: socket.socket) -> None:
        self.now = 100.0
        self.keeper = Keeper(Docker(str(folder / "docker.sock"), "c"), Ledger(folder / "ledger.json"), "", "v1", 0, 0)
        self._ours, self._lines = ours, ours.makefile()

    def ask(self, **message: Any) -> dict[str, Any]:
        self._ours.sendall(json.dumps(message).encode() + b"\n")
        answer: dict[str, Any] = json.loads(self.heard())
        return answer

    def heard(self) -> str:
        """Wait for what the keeper says; nothing when it has closed the connection."""
        return self._lines.readline()

    def close(self) -> None:
        self._lines.close()


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    ours, theirs = socket.socketpair()
    ours.settimeout(30)
    made = Client(tmp_path, ours)
    monkeypatch.setattr(connection, "boottime", lambda: made.now)
    thread = threading.Thread(target=Connection(made.keeper, theirs).serve)
    thread.start()
    yield made
    made.close()
    ours.close()
    thread.join(30)


def test_a_beat_keeps_the_run_alive(client: Client) -> None:
    assert client.ask(do="hello", run="run-1", lease=10)["ok"]
    for _ in range(3):
        client.now += 9
        assert client.ask(do="beat")["ok"]
    assert client.keeper.live == "run-1"


def test_a_run_without_a_beat_is_over(client: Client) -> None:
    client.ask(do="hello", run="run-1", lease=10)
    client.now += 11
    assert client.heard() == ""
    assert (client.keeper.live, client.keeper.ledger.expired) == ("", ["run-1"])


def test_a_beat_that_comes_late_renews_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing wakes the keeper before the beat does.
    monkeypatch.setattr(connection, "LOOK_SECONDS", 60.0)
    client.ask(do="hello", run="run-1", lease=10)
    client.now += 11
    with pytest.raises((OSError, ValueError)):
        client.ask(do="beat")
    assert (client.keeper.live, client.keeper.ledger.expired) == ("", ["run-1"])
