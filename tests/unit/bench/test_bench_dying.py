"""What crash matrix, torment and fault times share: documents and strikes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from bench.dying import document, strikes
from harness.documents import document as documents
from harness.errors import ApiError, ObservationFailed, UsageError
from harness.faults import FAULTS
from harness.model.fault import Hand
from harness.model.parameter import Parameter, Type


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_of_the_folder_has_a_document_that_can_be_loaded(name: str) -> None:
    text = document.written(FAULTS[name], "t-x", ["claude-ecosystem-prod"], 60)
    experiment = documents.loads(text, Path("x.json"), promised=True)
    assert [fault.kind for fault in experiment.faults] == [name]
    assert experiment.phases.hold == 60
    with_load = document.written(FAULTS[name], "t-x", [], 60, {"url": "http://127.0.0.1:9/", "rate": "20/s"})
    assert documents.loads(with_load, Path("x.json"), promised=True).load


@pytest.mark.parametrize("type", Type)
def test_each_type_of_parameter_has_an_example_that_is_accepted(type: Type) -> None:
    one = Parameter("p", type, "", required=True, minimum=None if type is not Type.DURATION else 0.001)
    kind = replace(FAULTS["pod_kill"], parameters=(one,))
    arguments = json.loads(document.written(kind, "t-x", [], 1))["method"][0]["provider"]["arguments"]
    one.read(arguments["p"])


def test_a_target_without_an_example_is_an_error_and_no_silence() -> None:
    with pytest.raises(UsageError, match="target of kind moon"):
        document.written(replace(FAULTS["pod_kill"], target="moon"), "t-x", [], 1)


async def within(seconds: float, act: Callable[[], Awaitable[None]]) -> None:
    with anyio.fail_after(seconds):
        await act()


def test_the_api_server_goes_on_whoever_stopped_it_is_killed(
    here: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / f"own-{os.getpid()}"
    shutil.copy("/bin/sleep", program)
    monkeypatch.setattr(strikes, "API", program.name)
    stood = subprocess.Popen([str(program), "600"])

    def state() -> str:
        return Path(f"/proc/{stood.pid}/stat").read_text().rpartition(")")[2].split()[0]

    async def child(parent: int, word: str = "") -> int:
        while True:
            for path in Path(f"/proc/{parent}/task").glob("*/children"):
                # What else there is may end meanwhile.
                with contextlib.suppress(OSError):
                    for pid in map(int, path.read_text().split()):
                        if pid != stood.pid and word in Path(f"/proc/{pid}/cmdline").read_text():
                            return pid
            await anyio.sleep(0.01)

    async def hold_up() -> None:
        async with strikes.api_stopped(here, 60) as goes_on:
            # A signal is sent before it is heeded.
            while state() != "T":
                await anyio.sleep(0.01)
            stopper = await child(os.getpid(), program.name)
            clock = await child(await child(stopper))
            os.kill(stopper, signal.SIGKILL)
            began = time.monotonic()
            # What it waits with: its time is over.
            os.kill(clock, signal.SIGKILL)
            assert await goes_on() > began
        while state() == "T":
            await anyio.sleep(0.01)

    try:
        while Path(f"/proc/{stood.pid}/comm").read_text().strip() != program.name:
            pass
        anyio.run(within, 120, hold_up)
    finally:
        stood.kill()
        stood.wait()


def test_a_word_that_comes_along_with_another_is_heard(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hold_up() -> None:
        async with strikes.api_stopped(here, 0.1) as goes_on:
            await goes_on()

    monkeypatch.setattr(strikes, "_HOLD_UP", r"printf 'stopped\ngoes on\n'")
    anyio.run(within, 120, hold_up)


def test_what_cannot_be_stopped_is_an_error(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hold_up() -> None:
        async with strikes.api_stopped(here, 0.1):
            raise AssertionError

    monkeypatch.setattr(strikes, "API", "nobody-has-this")
    with pytest.raises(ObservationFailed, match="was not stopped"):
        anyio.run(hold_up)


def test_the_main_process_of_a_container_is_the_oldest_with_a_parent_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    def one(pid: int, parent: int, group: str, born: int) -> Any:
        return SimpleNamespace(pid=pid, parent=parent, group=group, born=born)

    found = [one(1, 0, "", 0), one(4, 5, "/x/c0ffee", 8), one(5, 1, "/x/c0ffee", 8), one(7, 1, "/x/c0ffee", 9)]
    look = SimpleNamespace(processes={process.pid: process for process in found})
    monkeypatch.setattr(strikes.processes, "look", lambda: look)
    assert strikes.main_process("c0ffee") == 5
    with pytest.raises(ObservationFailed, match="no process"):
        strikes.main_process("decaf")


def test_the_engines_child_is_known_by_its_module() -> None:
    engine: Any = SimpleNamespace(process=SimpleNamespace(pid=os.getpid()))
    argv = [sys.executable, "-S", "-c", "import signal; signal.pause()", "harness.steps"]
    with subprocess.Popen(argv) as steps:
        try:
            assert strikes.child(engine, "harness.load") is None
            while (strike := strikes.child(engine, "harness.steps")) is None:
                assert steps.poll() is None
            strike()
            assert steps.wait() == -signal.SIGKILL
        finally:
            steps.kill()


def test_the_healer_of_the_node_hand_is_the_nodes_agent_and_of_the_others_the_keeper(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Place:
        async def agents(self) -> list[dict[str, Any]]:
            statuses = [{"containerID": "containerd://c0ffee", "state": {"running": {}}}]
            return [{"metadata": {}, "spec": {"nodeName": "a"}, "status": {"containerStatuses": statuses}}]

        async def docker(self, *_: str) -> str:
            return "77\n"

    here: Any = Place()
    killed: list[int] = []
    monkeypatch.setattr(strikes, "main_process", lambda container: {"c0ffee": 5}[container])
    monkeypatch.setattr(strikes, "kill", killed.append)
    for hand in Hand:
        anyio.run(strikes.healer, here, hand, "a")()
    assert killed == [5 if hand is Hand.NODE else 77 for hand in Hand]
    with pytest.raises(ObservationFailed, match="no agent on the node"):
        anyio.run(strikes.healer, here, Hand.NODE, "b")


def test_who_has_ended_already_cannot_be_killed() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        assert strikes.kill(process.pid)
    assert not strikes.kill(process.pid)


def test_a_pod_is_deleted_only_while_it_is_the_one_that_was_hit() -> None:
    asked: list[tuple[str, Any]] = []

    class Kube:
        async def delete(self, path: str, **more: Any) -> None:
            asked.append((path, more))
            raise ApiError(409, "Conflict", "the UID is another")

    here: Any = SimpleNamespace(kube=Kube())
    with pytest.raises(ApiError, match="the UID is another"):
        anyio.run(strikes.delete, here, {"namespace": "n", "name": "a", "uid": "u"})
    assert asked == [("/api/v1/namespaces/n/pods/a", {"uid": "u", "grace": 0})]
