"""What the keeper does when a run lives, ends, falls silent or dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import anyio
import pytest

from harness.errors import AbortTriggered, InjectionFailed, PreconditionFailed, RunInProgress, UndoFailed
from harness.keeper import client, container
from harness.keeper.client import Keeper

PAUSE = [{"op": "pause", "container": "node-a"}]
UNPAUSE = [{"op": "unpause", "container": "node-a"}]
KUBECTL = [{"op": "exec", "container": "control-plane", "argv": ["kubectl", "uncordon", "node-a"]}]
pytestmark = pytest.mark.anyio


async def until(true):
    with anyio.fail_after(30):
        while not await true():
            await anyio.sleep(0.01)


async def healed(keeper):
    async def idle():
        found = await client.status(keeper.socket)
        return not found["live"] and not found["owed"] and not found["dead"]

    await until(idle)


async def frozen(keeper, run="run-1", lease=60.0):
    connected = await Keeper.connect(keeper.socket, run, lease)
    await connected.register("f1", UNPAUSE)
    await connected.apply("f1", PAUSE)
    return connected


async def test_an_effect_is_done_and_undone(keeper, docker):
    run = await frozen(keeper)
    assert docker.state("node-a")["Paused"]
    assert (await run.inspect("node-a")) == {"paused": True, "running": True, "addresses": ["198.51.100.7"]}
    await run.heal("f1")
    assert not docker.state("node-a")["Paused"]
    assert await client.owed(keeper.socket) == []
    await run.end()
    assert not run.lost.is_set()


async def test_the_ledger_is_written_before_the_effect(keeper, docker):
    run = await Keeper.connect(keeper.socket, "run-1", 60)
    await run.register("f1", UNPAUSE)
    assert json.loads(keeper.ledger.read_text())["runs"] == {"run-1": {"f1": UNPAUSE}}
    assert not docker.state("node-a")["Paused"]
    await run.end()


async def test_an_effect_without_an_undo_on_the_ledger_is_refused(keeper, docker):
    run = await Keeper.connect(keeper.socket, "run-1", 60)
    with pytest.raises(InjectionFailed, match="no undo"):
        await run.apply("f1", PAUSE)
    await run.register("f1", [])
    with pytest.raises(InjectionFailed, match="no undo"):
        await run.apply("f1", PAUSE)
    assert not docker.state("node-a")["Paused"]
    await run.end()


async def test_a_container_of_another_cluster_is_refused(keeper, docker):
    docker.add("stranger", cluster="another")
    run = await Keeper.connect(keeper.socket, "run-1", 60)
    with pytest.raises(InjectionFailed, match="no node of cluster"):
        await run.register("f1", [{"op": "unpause", "container": "stranger"}])
    await run.register("f1", UNPAUSE)
    with pytest.raises(InjectionFailed, match="no node of cluster"):
        await run.apply("f1", [{"op": "pause", "container": "stranger"}])
    with pytest.raises(InjectionFailed, match="no node of cluster"):
        await run.apply("f1", [{"op": "exec", "container": "stranger", "argv": ["true"]}])
    assert not docker.state("stranger")["Paused"]
    assert docker.execs == []
    await run.end()


@pytest.mark.parametrize(
    "op",
    [
        {"op": "remove", "container": "node-a"},
        {"op": "exec", "container": "node-a"},
        {"op": "exec", "container": "node-a", "argv": "true"},
        {"op": "pause"},
        "pause",
    ],
)
async def test_an_operation_it_does_not_know_is_refused(keeper, op):
    run = await Keeper.connect(keeper.socket, "run-1", 60)
    with pytest.raises(InjectionFailed, match="not an operation"):
        await run.register("f1", [op])
    await run.end()


async def test_a_second_run_is_refused_with_the_name_of_the_first(keeper):
    first = await Keeper.connect(keeper.socket, "run-1", 60)
    with pytest.raises(RunInProgress, match="run-1"):
        await Keeper.connect(keeper.socket, "run-2", 60)
    await first.end()
    second = await Keeper.connect(keeper.socket, "run-2", 60)
    await second.end()


async def test_the_end_of_the_connection_heals(keeper, docker):
    run = await frozen(keeper)
    run._writer.transport.abort()
    await anyio.to_thread.run_sync(docker.wait, lambda: not docker.state("node-a")["Paused"])
    await healed(keeper)


async def test_a_killed_client_process_is_healed(keeper, docker):
    program = f"""
import anyio
from pathlib import Path
from harness.keeper.client import Keeper
async def main():
    run = await Keeper.connect(Path({str(keeper.socket)!r}), "run-1", 60)
    await run.register("f1", {UNPAUSE!r})
    await run.apply("f1", {PAUSE!r})
    print("frozen", flush=True)
    await anyio.sleep_forever()
anyio.run(main)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=os.environ)
    assert child.stdout.readline() == "frozen\n"
    assert docker.state("node-a")["Paused"]
    child.kill()
    child.wait()
    child.stdout.close()
    await anyio.to_thread.run_sync(docker.wait, lambda: not docker.state("node-a")["Paused"])
    await healed(keeper)


async def test_a_run_without_a_beat_is_healed_and_stays_expired(keeper, docker):
    run = await frozen(keeper, lease=5.0)
    with anyio.fail_after(30):
        await run.lost.wait()
    await anyio.to_thread.run_sync(docker.wait, lambda: not docker.state("node-a")["Paused"])
    with pytest.raises(AbortTriggered):
        await run.beat()
    with pytest.raises(AbortTriggered):
        await run.apply("f1", PAUSE)
    with pytest.raises(AbortTriggered, match="expired"):
        await Keeper.connect(keeper.socket, "run-1", 60)
    assert not docker.state("node-a")["Paused"]
    await run.end()


async def test_a_keeper_that_was_killed_heals_when_it_starts(keeper, docker):
    run = await frozen(keeper)
    keeper.kill()
    with anyio.fail_after(30):
        await run.lost.wait()
    assert docker.state("node-a")["Paused"]
    with pytest.raises(UndoFailed):
        await run.heal("f1")
    await run.end()
    keeper.start()
    await anyio.to_thread.run_sync(docker.wait, lambda: not docker.state("node-a")["Paused"])
    await healed(keeper)
    assert json.loads(keeper.ledger.read_text())["runs"] == {}


async def tried(docker, times):
    """Wait until it was tried so often to heal; the one before the last has failed by then, and that is known."""
    tries = lambda: sum(call.endswith("/unpause") for call in docker.calls)  # noqa: E731
    await anyio.to_thread.run_sync(docker.wait, lambda: tries() >= times)


async def test_a_healing_that_fails_is_tried_until_it_is_seen(keeper, docker):
    docker.broken = {"unpause"}
    run = await frozen(keeper)
    run._writer.transport.abort()
    await tried(docker, 3)
    found = await client.status(keeper.socket)
    assert found["owed"] == ["f1"]
    assert "unpause is broken" in found["errors"]["f1"]
    docker.broken = set()
    await anyio.to_thread.run_sync(docker.wait, lambda: not docker.state("node-a")["Paused"])
    await healed(keeper)


async def test_a_run_that_is_not_healed_keeps_the_next_one_out(keeper, docker):
    docker.broken = {"unpause"}
    run = await frozen(keeper)
    run._writer.transport.abort()
    await tried(docker, 2)
    with pytest.raises(PreconditionFailed, match="not healed") as caught:
        await Keeper.connect(keeper.socket, "run-2", 60)
    assert "unpause is broken" in caught.value.why


async def test_the_cluster_being_silent_does_not_delay_the_host(keeper, docker):
    docker.exit = lambda argv: 1
    run = await frozen(keeper)
    await run.register("f2", KUBECTL)
    run._writer.transport.abort()
    await anyio.to_thread.run_sync(docker.wait, lambda: not docker.state("node-a")["Paused"] and len(docker.execs) > 3)
    assert await client.owed(keeper.socket) == ["f2"]
    docker.exit = lambda argv: 0
    await healed(keeper)


async def test_the_host_is_healed_before_anything_inside_it(keeper, docker):
    run = await Keeper.connect(keeper.socket, "run-1", 60)
    await run.register("f0", KUBECTL)
    await run.register("f1", [*KUBECTL, *UNPAUSE])
    await run.apply("f1", PAUSE)
    docker.calls.clear()
    run._writer.transport.abort()
    await healed(keeper)
    effects = [call for call in docker.calls if call.startswith("POST")]
    assert effects[0] == "POST /containers/node-a/unpause"


async def test_a_dead_run_is_told_to_the_cluster_and_a_finished_one_is_not(keeper, docker):
    finished = await Keeper.connect(keeper.socket, "run-1", 60)
    await finished.end()
    assert docker.execs == []
    dead = await Keeper.connect(keeper.socket, "run-2", 60)
    dead._writer.transport.abort()
    await anyio.to_thread.run_sync(docker.wait, lambda: len(docker.execs) >= 2)
    scripts = [argv[2] for argv in docker.execs]
    assert "chaos.harness.dev/expired" in scripts[0]
    assert "nodefaults" in scripts[1]
    assert [argv[-1] for argv in docker.execs] == ["run-2", "run-2"]
    await healed(keeper)


async def kubectl_run(keeper):
    run = await Keeper.connect(keeper.socket, "run-1", 60)
    await run.register("f1", KUBECTL)
    run._writer.transport.abort()


async def test_what_is_asked_of_the_cluster_is_undone_once_more_before_the_run_is_cleared(keeper, docker):
    await kubectl_run(keeper)
    await healed(keeper)
    undone = [number for number, argv in enumerate(docker.execs) if argv == KUBECTL[0]["argv"]]
    (cleared,) = (number for number, argv in enumerate(docker.execs) if "nodefaults" in argv[2])
    assert (len(undone), cleared) == (2, len(docker.execs) - 1)


async def test_what_may_still_arrive_survives_the_keeper(keeper, docker):
    keeper.kill()
    keeper.in_flight = "60"
    keeper.start()
    await kubectl_run(keeper)
    await anyio.to_thread.run_sync(docker.wait, lambda: len(docker.execs) == 2)
    keeper.kill()
    keeper.in_flight = "0.05"
    keeper.start()
    await healed(keeper)
    assert docker.execs.count(KUBECTL[0]["argv"]) == 3


async def test_what_will_not_be_undone_twice_keeps_no_run_from_being_cleared(keeper, docker):
    docker.exit = lambda argv: argv == KUBECTL[0]["argv"] and docker.execs.count(argv) > 1
    await kubectl_run(keeper)
    await healed(keeper)
    assert "nodefaults" in docker.execs[-1][2]


async def test_a_container_that_is_gone_counts_as_healed(keeper, docker):
    run = await frozen(keeper)
    del docker.containers["node-a"]
    await run.heal("f1")
    assert await client.owed(keeper.socket) == []
    await run.end()


async def test_a_stopped_container_counts_as_healed_where_the_undo_says_so(keeper, docker):
    docker.exit = lambda argv: 1
    run = await Keeper.connect(keeper.socket, "run-1", 60)
    await run.register("f1", [{"op": "exec", "container": "node-a", "argv": ["thaw"], "stopped": "healed"}])
    docker.state("node-a")["Running"] = False
    await run.heal("f1")
    assert docker.execs == []
    await run.end()


async def test_healing_twice_and_forgetting_twice_is_fine(keeper, docker):
    run = await frozen(keeper)
    await run.heal("f1")
    calls = len(docker.calls)
    await run.heal("f1")
    await run.forget("f1")
    await run.forget("never")
    assert len(docker.calls) == calls
    await run.end()


async def test_a_run_that_ends_with_faults_is_healed(keeper, docker):
    run = await frozen(keeper)
    await run.end()
    await anyio.to_thread.run_sync(docker.wait, lambda: not docker.state("node-a")["Paused"])
    await healed(keeper)


async def test_an_effect_that_fails_says_why_and_stays_owed(keeper, docker):
    docker.exit = lambda argv: 3
    run = await Keeper.connect(keeper.socket, "run-1", 60)
    await run.register("f1", UNPAUSE)
    with pytest.raises(InjectionFailed, match="ended with 3"):
        await run.apply("f1", [{"op": "exec", "container": "node-a", "argv": ["freeze"]}])
    assert await client.owed(keeper.socket) == ["f1"]
    await run.end()


async def test_mending_may_come_again_after_it_died(keeper):
    first = await Keeper.connect(keeper.socket, "undo", 60)
    first._writer.transport.abort()
    await first.lost.wait()
    await healed(keeper)
    second = await Keeper.connect(keeper.socket, "undo", 60)
    await second.end()


async def test_a_question_beside_a_live_run_does_not_disturb_it(keeper):
    run = await Keeper.connect(keeper.socket, "run-1", 60)
    found = await client.status(keeper.socket)
    assert (found["live"], found["version"]) == ("run-1", "v1")
    await run.beat()
    assert not run.lost.is_set()
    await run.end()


async def test_a_keeper_says_whether_it_can_see_docker(keeper, docker):
    async def seen():
        return (await client.status(keeper.socket))["docker"]

    await until(seen)
    (keeper.socket.parent / "docker.sock").unlink()
    assert (await client.status(keeper.socket))["docker"] is False


async def test_a_keeper_that_is_away_says_what_to_do(tmp_path):
    with pytest.raises(PreconditionFailed) as caught:
        await Keeper.connect(tmp_path / "none.sock", "run-1", 60)
    assert "harness up" in caught.value.hint


@pytest.mark.parametrize("name", ["", "a/b", "-x", "x" * 64, None])
async def test_a_run_name_that_no_label_can_hold_is_refused(keeper, name):
    with pytest.raises(PreconditionFailed, match="label value"):
        await Keeper.connect(keeper.socket, name, 60)


async def test_garbage_ends_only_its_own_connection(keeper):
    run = await Keeper.connect(keeper.socket, "run-1", 60)
    async with await anyio.connect_unix(str(keeper.socket)) as stranger:
        await stranger.send(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(anyio.EndOfStream):
            await stranger.receive()
    await run.beat()
    await run.end()


async def test_a_keeper_is_reached_however_deep_the_folder_of_its_socket_lies(keeper, tmp_path):
    deep = tmp_path / ("a" * 100) / ("ü" * 100)
    deep.mkdir(parents=True)
    # Nobody can listen there; the keeper does so in its container, where the folder has a short name.
    (deep / "keeper.sock").symlink_to(keeper.socket)
    assert (await client.status(deep / "keeper.sock"))["version"] == "v1"
    assert container._status(deep / "keeper.sock")["version"] == "v1"
    with pytest.raises(PreconditionFailed, match="the keeper is away"):
        await client.status(deep / "nowhere" / "keeper.sock")
    assert container._status(deep / "nowhere" / "keeper.sock") is None
