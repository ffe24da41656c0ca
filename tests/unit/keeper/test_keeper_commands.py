"""Nodes of another cluster by the commands of a table: done and looked at, and undone when a run dies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest

from harness.errors import HarnessError, InjectionFailed, PreconditionFailed, UsageError
from harness.faults import FAULTS
from harness.hands import healer as healers
from harness.hands.healer import Nobody
from harness.hands.kind import Place
from harness.hands.known import HANDS
from harness.keeper import commands, table
from harness.keeper.client import Keeper
from harness.keeper.resident import healing
from harness.keeper.resident.docker import Refused
from harness.keeper.resident.ledger import Ledger
from harness.model.fault import Hand
from harness.targets.reach import Reach
from tests.unit.targets.fakes import planned

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "docs" / "own-nodes" / "virsh.yaml"
# A machine is a file that holds its state; what is done to one that is `stuck` has no effect.
TOOL = r"""#!/bin/sh
file=$(dirname "$0")/$2
case $1 in
state) cat "$file" 2> /dev/null || { echo "no machine $2" >&2; exit 4; } ;;
exec) shift 2; exec sh -c "$1" ;;
*) [ -e "$file.stuck" ] || echo "$1" > "$file" ;;
esac
"""
STATES = {"start": "running", "unpause": "running", "pause": "paused", "stop": "stopped"}


class Machines:
    """Two machines and the table about them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.table = folder, folder / "nodes.yaml"
        tool = folder / "tool"
        tool.write_text(TOOL)
        tool.chmod(0o755)
        words = {name: f'[{tool}, {name}, "{{node}}"]' for name in ("state", *STATES)}
        words["exec"] = f'[{tool}, exec, "{{node}}", "{{command}}"]'
        listed = "".join(f"  {name}: {argv}\n" for name, argv in words.items())
        states = ", ".join(f"{name}: {state}" for name, state in STATES.items())
        self.table.write_text(
            f"context: staging\nnodes: {{node-a: vm-a, node-b: vm-b}}\ncommands:\n{listed}states: {{{states}}}\n"
        )
        for name in ("vm-a", "vm-b"):
            (folder / name).write_text("start\n")

    def state(self, name: str) -> str:
        return STATES[(self.folder / name).read_text().strip()]

    @property
    def driver(self) -> commands.Commands:
        return commands.Commands(table.read(self.table))


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    return Machines(tmp_path)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "STATE_SECONDS", 0.0)
    monkeypatch.setattr(commands, "LOOK_SECONDS", 0.0)


@pytest.mark.parametrize(("do", "flag", "undo"), [("stop", "running", "start"), ("pause", "paused", "unpause")])
def test_a_node_is_what_was_asked_for_and_twice_is_once(machines: Machines, do: str, flag: str, undo: str) -> None:
    before = machines.driver.inspect("node-a")
    for kind, state in ((do, STATES[do]), (undo, "running")):
        assert machines.driver.perform({"op": kind, "container": "node-a"}) == {}
        assert machines.driver.perform({"op": kind, "container": "node-a"}) == {"already": True}
        assert machines.state("vm-a") == state
    assert machines.driver.inspect("node-a") == before == {"paused": False, "running": True, "addresses": []}
    assert machines.state("vm-b") == "running"


def test_what_has_no_effect_is_not_taken_for_done(machines: Machines) -> None:
    (machines.folder / "vm-a.stuck").touch()
    with pytest.raises(Refused, match="stop of node-a had no effect"):
        machines.driver.perform({"op": "stop", "container": "node-a"})


def test_a_state_that_the_table_does_not_name_is_no_state(machines: Machines) -> None:
    (machines.folder / "vm-a").write_text("crashed\n")
    with pytest.raises(Refused, match="printed 'crashed'"):
        machines.driver.inspect("node-a")


def test_a_command_that_fails_says_why(machines: Machines) -> None:
    (machines.folder / "vm-a").unlink()
    with pytest.raises(Refused, match="'state' of node-a ended with 4: no machine vm-a"):
        machines.driver.inspect("node-a")


def test_what_a_tool_says_in_no_known_writing_is_told_all_the_same(machines: Machines) -> None:
    (machines.folder / "vm-a").write_bytes(b"arr\xeat\xe9\n")
    with pytest.raises(Refused, match=r"'state' of node-a printed 'arr.t.'"):
        machines.driver.inspect("node-a")


def test_a_node_that_is_not_in_the_table_is_none_and_is_never_taken_for_undone(machines: Machines) -> None:
    assert machines.driver.inspect("node-c") is None
    with pytest.raises(Refused) as refused:
        machines.driver.perform({"op": "start", "container": "node-c"})
    assert refused.value.answer["error"] != "gone"


def test_a_program_is_run_in_the_node_word_by_word(machines: Machines) -> None:
    argv = ["sh", "-c", 'echo "$1|$2"', "sh", "a b", "$HOME '"]
    assert machines.driver.perform({"op": "exec", "container": "node-a", "argv": argv})["output"] == "a b|$HOME '\n"
    with pytest.raises(Refused, match="'exec' of node-a ended with 3"):
        machines.driver.perform({"op": "exec", "container": "node-a", "argv": ["sh", "-c", "exit 3"]})


def test_a_stopped_node_counts_as_undone_where_the_undo_says_so(machines: Machines) -> None:
    machines.driver.perform({"op": "stop", "container": "node-a"})
    undo = {"op": "exec", "container": "node-a", "argv": ["false"], "stopped": "healed"}
    assert machines.driver.perform(undo)["exit"] == 0


def test_a_command_that_the_table_has_not_is_refused(machines: Machines) -> None:
    text = machines.table.read_text().splitlines(keepends=True)
    machines.table.write_text("".join(line for line in text if not line.startswith("  exec:")))
    with pytest.raises(Refused, match="no command 'exec'"):
        machines.driver.perform({"op": "exec", "container": "node-a", "argv": ["true"]})


def test_a_fault_that_could_not_be_undone_is_not_begun(machines: Machines, tmp_path: Path) -> None:
    text = "".join(line for line in machines.table.read_text().splitlines(True) if not line.startswith("  exec:"))
    machines.table.write_text(text)
    ledger = Ledger(tmp_path / "ledger.json")
    keeper = healing.Keeper(machines.driver, ledger, "", "staging", 0.0, 0.0)
    undo = [{"op": "exec", "container": "node-a", "argv": ["true"]}]
    with pytest.raises(Refused, match="no command 'exec'"):
        keeper.register("run", "f-1", undo)
    assert ledger.runs == {}


def test_the_example_of_the_documentation_is_a_table() -> None:
    found = table.read(EXAMPLE)
    assert set(found.commands) == set(table.COMMANDS)
    assert found.states["shut off"] == "stopped"
    assert found.nodes["worker-1"] == "staging-worker-1"


@pytest.mark.parametrize(
    ("line", "instead", "words"),
    [
        ("context:", "contxt: staging", "1: unknown key 'contxt' in a table of commands"),
        ("context:", "# none", "needs 'context'"),
        ("nodes:", "nodes: {}", "2: 'nodes': {} is no mapping of nodes to names"),
        ("nodes:", "nodes: {a: $(b)}", "'$(b)' is no name"),
        ("  stop:", "  stop: [vm, destroy, worker]", "'stop' says nowhere {node}"),
        ("  exec:", '  exec: [ssh, "{node}"]', "'exec' says nowhere {command}"),
        ("  start:", "", "'stop' needs 'start'"),
        ("  unpause:", "", "'pause' needs 'unpause'"),
        ("  state:", "", "the commands need 'state'"),
        ("  stop:", "  stop: virsh destroy", "'stop': 'virsh destroy' is no list of words"),
        ("  stop:", '  halt: [vm, "{node}"]', "unknown key 'halt' in the commands"),
        ("states:", "states: {on: awake}", "'awake' is none of running, paused, stopped"),
    ],
)
def test_a_table_that_means_nothing_is_refused_with_its_line(
    machines: Machines, line: str, instead: str, words: str
) -> None:
    lines = machines.table.read_text().splitlines()
    machines.table.write_text("\n".join(instead if one.startswith(line) else one for one in lines))
    with pytest.raises(UsageError) as refused:
        table.read(machines.table)
    assert words in str(refused.value)
    assert f"{machines.table}:" in str(refused.value)


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        table.read(tmp_path / "none.yaml")


class Service:
    """`harness keeper` in a process of its own."""

    def __init__(self, machines: Machines) -> None:
        self.socket = machines.folder / "keeper.sock"
        self._table = machines.table
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        argv = [sys.executable, "-m", "harness.cli", "keeper", str(self._table), "--socket", str(self.socket)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment)
        assert self._process.stdout
        for line in self._process.stdout:
            if line.endswith("keeper staging of cluster staging listens\n"):
                return
        raise AssertionError("it did not start")

    def until(self, words: str) -> None:
        assert self._process
        assert self._process.stdout
        for line in self._process.stdout:
            if words in line:
                return
        raise AssertionError(f"it did not say {words!r}")

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout
            self._process.stdout.close()
            self._process = None


@pytest.fixture
def service(machines: Machines) -> Iterator[Service]:
    one = Service(machines)
    one.start()
    yield one
    one.kill()


@pytest.fixture
async def run(service: Service, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Keeper]:
    monkeypatch.setenv(healers.NAMED, str(service.socket))
    found = await healers.begin(None, "run-1", 60.0)
    assert isinstance(found, Keeper)
    yield found
    await found.end()


STOP, START = {"op": "stop", "container": "node-a"}, {"op": "start", "container": "node-a"}


async def test_a_run_does_and_undoes_by_the_same_keeper(machines: Machines, run: Keeper) -> None:
    await run.register("f", [START])
    await run.apply("f", [STOP])
    assert machines.state("vm-a") == "stopped"
    assert (await run.inspect("node-a"))["running"] is False
    await run.heal("f")
    assert machines.state("vm-a") == "running"
    with pytest.raises(InjectionFailed, match="no container node-c"):
        await run.register("g", [{**START, "container": "node-c"}])


async def test_a_run_that_dies_is_undone(machines: Machines, service: Service) -> None:
    keeper = await Keeper.connect(service.socket, "run-1", 60.0)
    await keeper.register("f", [START])
    await keeper.apply("f", [STOP])
    await keeper._close()
    service.until("run run-1 is healed")
    assert machines.state("vm-a") == "running"


async def test_a_keeper_that_died_undoes_what_its_ledger_names_when_it_is_started(
    machines: Machines, service: Service
) -> None:
    keeper = await Keeper.connect(service.socket, "run-1", 60.0)
    await keeper.register("f", [START])
    await keeper.apply("f", [STOP])
    service.kill()
    assert machines.state("vm-a") == "stopped"
    service.start()
    await keeper._close()
    again = await Keeper.connect(service.socket, "run-2", 60.0)
    assert machines.state("vm-a") == "running"
    await again.end()


class Elsewhere:
    """A cluster that is not the local one."""

    def __init__(self, context: str) -> None:
        self.context = context


def place(context: str) -> Place:
    return Place(Elsewhere(context))  # type: ignore[arg-type]


async def test_a_run_elsewhere_has_the_keeper_that_is_named_and_no_other(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = HANDS[Hand.HOST]
    with pytest.raises(PreconditionFailed, match="need a keeper"):
        await hand.ready(place("staging"), [])
    assert isinstance(await healers.begin(None, "run-1", 60.0), Nobody)
    monkeypatch.setenv(healers.NAMED, str(service.socket))
    await hand.ready(place("staging"), [])
    with pytest.raises(PreconditionFailed, match="another cluster's"):
        await hand.ready(place("production"), [])
    found = await healers.begin(None, "run-1", 60.0)
    try:
        assert (found.heals, found.own) == (True, False)
        assert hand.take(place("staging"), found) is found
        assert await hand.residue(place("staging")) == {"keeper/owes": ""}
        (check,) = await hand.checks(place("staging"))
        assert check.ok
    finally:
        await found.end()


async def test_requests_to_the_api_server_are_not_its_to_undo(run: Keeper) -> None:
    taken = HANDS[Hand.API].take(place("staging"), run)
    await taken.register("f", [{"op": "delete", "path": "/api/v1/namespaces/shop/pods/web"}])
    with pytest.raises(HarnessError, match="needs the keeper"):
        await taken.heal("f")


async def test_a_keeper_that_is_away_is_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(healers.NAMED, str(tmp_path / "none.sock"))
    with pytest.raises(PreconditionFailed, match="the keeper is away"):
        await healers.begin(None, "run-1", 60.0)
    assert await HANDS[Hand.HOST].residue(place("staging")) == {"unseen/keeper": "away"}


async def test_a_reclaim_is_the_local_clusters_alone(run: Keeper) -> None:
    reach = Reach(Elsewhere("staging"), healer=run)  # type: ignore[arg-type]
    with anyio.fail_after(30), pytest.raises(InjectionFailed, match="only the local cluster's keeper"):
        await FAULTS["node_spot_reclaim"].inject(planned("node_spot_reclaim", notice=1.0), reach)
