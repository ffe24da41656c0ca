"""How long a worker goes on, by a clock that a test sets."""

from __future__ import annotations

import json
import os

import pytest

from harness.agent.resident import term
from harness.agent.resident.term import Term


class Clock:
    """The clock of a worker, and its input."""

    def __init__(self) -> None:
        self.now = 100.0
        self.reads, self._writes = os.pipe()

    def tell(self, worker: Term, **message: object) -> str:
        os.write(self._writes, json.dumps(message).encode() + b"\n")
        return worker.hear(self.reads, lambda asked: None)

    def close(self) -> None:
        os.close(self.reads)
        os.close(self._writes)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    made = Clock()
    monkeypatch.setattr(term, "boottime", lambda: made.now)
    yield made
    made.close()


def test_a_lease_that_is_renewed_does_not_end(clock: Clock):
    worker = Term(600, 10)
    clock.now += 9
    assert clock.tell(worker, lease=20) == ""
    clock.now += 19
    assert (worker.over(), worker.left()) == ("", 1)
    clock.now += 1
    assert worker.over() == "its lease was not renewed"


def test_no_lease_is_longer_than_the_time_in_all(clock: Clock):
    worker = Term(30, 10)
    clock.tell(worker, lease=600)
    clock.now += 30
    assert worker.over() == "its time is over"


def test_a_worker_that_is_told_to_end_says_why(clock: Clock):
    assert clock.tell(Term(30, 10), end="enough") == "enough"
