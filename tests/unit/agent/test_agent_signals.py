"""A signal to a container's main process: how it is taken, and that what was stopped goes on."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.agent.resident.fault import Fault
from harness.agent.resident.processes import signals
from tests.unit.agent.box import Box
from tests.unit.agent.told import Told

HANDLES = "import signal; signal.signal({name}, lambda *_: print('handled', flush=True)); print('there', flush=True)"
BLOCKS = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [{name}]); print('there', flush=True)"
WAITING = "\nwhile True: signal.pause()"


def program(text: str, name: str = "signal.SIGUSR1") -> tuple[str, ...]:
    return ("python3", "-c", text.format(name=name))


def fault(box: Box, name: str) -> Fault:
    return Fault(
        "key-1", "/apis/x/faults/f", "run-1", "f", box.uid, {"op": "signal", "container": box.container, "signal": name}
    )


def state(box: Box) -> str:
    return Path(f"/proc/{box.process.pid}/stat").read_text().rpartition(")")[2].split()[0]


def taken(told: Told) -> str:
    return str(told.wait("appliedAt")["evidence"]["signal"]["taken"])


def test_a_process_that_was_stopped_goes_on_when_it_is_healed(boxes: Callable[..., Box], make, told: Told):
    box, agent = boxes(), make()
    agent.do(fault(box, "STOP"))
    assert taken(told) == "stops"
    assert state(box) == "T"
    assert agent.heal("key-1", "why")
    assert state(box) != "T"


def test_what_a_killed_agent_stopped_is_let_go_on_by_the_next(boxes: Callable[..., Box], make):
    box = boxes()
    make().do(fault(box, "STOP"))
    second = make()
    second.recover()
    assert state(box) != "T"
    assert second.ledger.faults() == {}


def test_a_process_that_somebody_else_has_stopped_is_refused_and_stays_so(boxes: Callable[..., Box], make, told: Told):
    box, agent = boxes(), make()
    box.process.send_signal(signal.SIGSTOP)
    box.until(lambda: state(box) == "T")
    agent.do(fault(box, "STOP"))
    assert "the container's main process is stopped already" in told.wait("healedAt")["message"]
    assert not any("appliedAt" in facts for facts in told.facts)
    assert state(box) == "T"
    assert agent.ledger.faults() == {}


def test_a_container_of_another_pod_is_neither_stopped_nor_let_go_on(boxes: Callable[..., Box], make, told: Told):
    box, other = boxes(), boxes()
    make().do(replace(fault(box, "STOP"), pod=other.uid))
    assert "the container is not of the pod" in told.wait("healedAt")["message"]
    assert state(box) != "T"
    box.process.send_signal(signal.SIGSTOP)
    box.until(lambda: state(box) == "T")
    signals.go_on(other.uid, box.container)
    assert state(box) == "T"


def test_a_container_that_is_gone_needs_no_undo(boxes: Callable[..., Box], make):
    box, agent = boxes(), make()
    agent.do(fault(box, "STOP"))
    box.process.kill()
    box.process.wait()
    assert agent.heal("key-1", "why")


@pytest.mark.parametrize(
    ("text", "name", "how"),
    [
        (HANDLES + WAITING, "USR1", "caught"),
        (BLOCKS + WAITING, "USR1", "waits"),
        (
            "import signal; signal.signal({name}, signal.SIG_IGN); print('there', flush=True)" + WAITING,
            "USR1",
            "ignored",
        ),
        ("import signal; print('there', flush=True)" + WAITING, "CONT", "ignored"),
        ("import signal; print('there', flush=True)" + WAITING, "USR1", "as usual"),
    ],
    ids=["handled", "blocked", "ignored", "nothing to continue", "ended by it"],
)
def test_how_a_signal_is_taken_is_what_the_kernel_says(
    boxes: Callable[..., Box], make, told: Told, monkeypatch: pytest.MonkeyPatch, text: str, name: str, how: str
):
    if how == "waits":
        # For so long it is looked whether it is taken, which it never is.
        monkeypatch.setattr(signals, "SEEN_SECONDS", 0.1)
    box = boxes(*program(text))
    box.begun()
    make().do(fault(box, name))
    assert taken(told) == how
    if how == "as usual":
        assert box.process.wait() == -signal.SIGUSR1


def test_what_is_blocked_and_taken_soon_is_taken(monkeypatch: pytest.MonkeyPatch):
    pending = iter(["0000000000000200", "0000000000000000"])
    monkeypatch.setattr(signals.pods, "status", lambda pid: {"ShdPnd": next(pending)})
    assert signals._taken(0, "USR1", signal.SIGUSR1, {"SigBlk": "0000000000000200"}) == "caught"
