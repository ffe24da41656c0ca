"""What crash matrix, torment and fault times share: documents, looks, runs and strikes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from bench.crash_matrix import causes, measure
from bench.crash_matrix.cells import CAUSES, Cell
from bench.crash_matrix.record import State
from bench.dying import document, looks, place, run, strikes
from bench.dying.looks import Part, Seen
from harness.documents import document as documents
from harness.errors import ApiError, ObservationFailed, UsageError
from harness.faults import FAULTS
from harness.model.fault import Hand
from harness.model.parameter import Parameter, Type

RULES = "pod rules KCH-1; cgroup frozen /pods/a"


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


def test_what_a_fault_did_is_told_from_what_is_written_of_it_and_from_what_follows() -> None:
    before = {"node/a/cordoned": "false", "node/a/taints": "-", "node/a/ready": "True", "container/a/state": "running"}
    during = {
        "node/a/cordoned": "true",
        "node/a/taints": "5eed",
        "node/a/ready": "Unknown",
        "container/a/state": "paused",
        "keeper/owes": "f-1",
        "nodefault//f-1": "present",
        "lease/holder": "run",
        "unseen/container/b": "no answer",
    }
    assert looks.effects(before, during) == {"container/a/state": "running", "node/a/cordoned": "false"}
    assert looks.effects(before, {**before, "node/a/taints": "5eed"}) == {"node/a/taints": "-"}
    # What only an agent knows of is followed by its ledger, and by it alone where nothing else shows.
    assert looks.effects(before, {**before, "agent/a/owes": "f-1", "keeper/owes": "f-1"}) == {"agent/a/owes": ""}
    assert looks.effects(before, {**during, "agent/a/owes": "f-1"}) == looks.effects(before, during)


def test_what_has_a_quicker_look_gets_it_and_anything_else_the_whole_one() -> None:
    found = looks.quick("unit failed", f"unit failed; {RULES}")
    assert sorted(found.values()) == [["/pods/a"], ["KCH-1"]]
    assert looks.quick("", f"{RULES}; file /run/chaos-x") == {}


def test_the_last_thing_that_is_gone_says_when_all_is() -> None:
    seen = Seen([Part("a", 1.0, 2.0), Part("b", 3.0)])
    assert (seen.broken, seen.left) == (3.0, ["b"])
    seen.parts[1].whole = 4.0
    assert (seen.whole, seen.left) == (4.0, [])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A place whose `docker exec NAME ...` runs the rest on this machine."""
    client = tmp_path / "bin" / "docker"
    client.parent.mkdir()
    client.write_text('#!/bin/sh\n[ "$1" = exec ] || exit 1\nshift 2\nexec "$@"\n')
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{client.parent}:{os.environ['PATH']}")
    cluster = SimpleNamespace(nodes={"worker": "c-worker"}, control_plane="c-plane", docker_host="unix:///none")
    return SimpleNamespace(cluster=cluster, environment=dict(os.environ))


async def within(seconds: float, act: Callable[[], Awaitable[None]]) -> None:
    with anyio.fail_after(seconds):
        await act()


def test_a_frozen_control_group_is_followed_until_it_thaws(here: Any, tmp_path: Path) -> None:
    state = tmp_path / "cgroup.freeze"
    state.write_text("1\n")
    seen, began = Seen(), time.monotonic()

    async def thaw() -> None:
        before = {"container/worker/residue": ""}
        during = {"container/worker/residue": f"cgroup frozen {tmp_path}"}
        async with anyio.create_task_group() as group:
            await group.start(looks.follow, here, before, during, seen)
            while seen.broken <= began + 0.05:
                await anyio.sleep(0.01)
            assert seen.left
            state.write_text("0\n")

    anyio.run(within, 120, thaw)
    assert began < seen.broken < seen.whole < time.monotonic()


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


def test_the_fingerprint_is_waited_for_and_what_stays_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [ApiError(500, "Timeout", ""), {"a": "1", "b": "2"}, {"a": "1"}]

    async def take(*_: Any) -> dict[str, str]:
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(place.fingerprint, "take", take)
    monkeypatch.setattr(place, "PAUSE_SECONDS", 0)
    nobody: Any = None
    here = place.Place(nobody, nobody)
    assert anyio.run(here.unlike, {"a": "1"}, 60.0) == []
    assert anyio.run(here.unlike, {"a": "2"}, -1.0) == ["a: 2 -> 1"]


def test_a_cluster_that_is_not_whole_is_not_begun_with() -> None:
    whole = {"node/a/ready": "True", "node/a/taints": "5eed", "container/a/residue": "", "container/a/state": "running"}
    assert place.amiss(whole) == []
    wrong = {"node/a/ready": "Unknown", "container/a/residue": "process chaos-x", "fault/n/f": "present"}
    assert place.amiss({**whole, **wrong}) == ["node/a/ready", "container/a/residue", "fault/n/f"]


class Broken:
    """A cluster that is other than before while a file is there."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.kube: Any = None

    async def fit(self) -> None:
        pass

    async def fingerprint(self, only: Collection[str] = ()) -> dict[str, str]:
        return {"thing": str(self.file.exists())}

    async def steady(self) -> dict[str, str]:
        return await self.fingerprint()

    async def unlike(self, before: dict[str, str], seconds: float) -> list[str]:
        return [] if await self.fingerprint() == before else ["thing"]


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Broken:
    """A cluster and an engine that break and mend one file."""

    @contextlib.asynccontextmanager
    async def lent(*_: Any) -> AsyncIterator[str]:
        yield "t-x"

    async def around(_: Any) -> list[str]:
        return []

    found = Broken(tmp_path / "broken")
    monkeypatch.setattr(run, "HARNESS", (sys.executable, str(Path(__file__).with_name("engine_stand_in.py"))))
    monkeypatch.setattr(measure.workload, "lent", lent)
    monkeypatch.setattr(measure.workload, "around", around)
    monkeypatch.setattr(measure.document, "written", lambda *_: json.dumps({"description": str(found.file)}))
    monkeypatch.setattr(causes, "AGAIN_SECONDS", 0.01)
    promise(monkeypatch, 120.0)
    return found


def promise(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Promise other times than the real ones: what is tried here is no clock."""
    monkeypatch.setattr(Cell, "promise", property(lambda cell: replace(CAUSES[cell.cause], limit=seconds)))
    monkeypatch.setattr(measure, "PATIENCE_SECONDS", 0.0)


@pytest.mark.parametrize("cause", ["sigterm", "sighup", "ctrl-c", "ctrl-c-twice", "terminal-closed"])
def test_a_run_that_heals_holds_the_promise(broken: Any, cause: str) -> None:
    row = anyio.run(measure.measured, broken, Cell("pod_freeze", Hand.NODE, cause))
    assert (row.state, row.verdict, row.exit, row.why) == (State.HELD, "ABORTED", 130, "")
    assert row.removed is not None
    assert not broken.file.exists()


def test_a_run_that_dies_and_is_not_healed_breaks_it(broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    promise(monkeypatch, 0.1)
    row = anyio.run(measure.measured, broken, Cell("pod_freeze", Hand.NODE, "engine-killed"))
    assert (row.state, row.verdict, row.exit) == (State.BROKEN, "", -9)
    assert "left behind: thing" in row.why
    assert "still there" in row.why


def test_a_run_that_goes_on_after_the_strike_is_ended(broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def healed_as_it_died(*_: Any) -> Callable[[], None]:
        return broken.file.unlink

    monkeypatch.setattr(causes.strikes, "healer", healed_as_it_died)
    monkeypatch.setattr(measure, "GOES_ON_SECONDS", 0.1)
    row = anyio.run(measure.measured, broken, Cell("pod_freeze", Hand.NODE, "healer-killed"))
    assert (row.state, row.verdict, row.exit) == (State.HELD, "ABORTED", 130)


def test_a_run_that_ends_before_its_fault_is_no_measurement(broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "HARNESS", ("/bin/sh", "-c", "echo no cluster; exit 4"))
    row = anyio.run(measure.measured, broken, Cell("pod_freeze", Hand.NODE, "ctrl-c"))
    assert row.state is State.UNMEASURED
    assert "the run ended with 4 before fault.injected why no cluster" in row.why
