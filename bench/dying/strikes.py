"""End, suspend and hold up what does faults and undoes them: each by its own process id, found before it is struck.

Only what the project itself started is struck: the run of this command, the keeper, agents, nodes, and pods of a
namespace that was made for it. The nodes are containers of this machine, so that their processes stand in its /proc.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import anyio
from anyio.streams.text import TextReceiveStream

from bench import processes
from bench.dying.place import Place
from bench.dying.run import Run
from harness.cluster import paths
from harness.errors import ObservationFailed
from harness.keeper import container
from harness.model.fault import Hand

API = "kube-apiserver"
# Arguments: for how many seconds, and the process's name. That goes on by itself, also where whoever started this died,
# and before anything is said of it.
_HOLD_UP = """
for dir in /proc/[0-9]*; do
read -r name < "$dir/comm" && [ "$name" = "$2" ] && pid=${dir#/proc/}
done 2>/dev/null
[ -n "$pid" ] || exit 3
(trap '' HUP INT TERM PIPE; sleep "$1"; kill -CONT "$pid"; echo goes on) &
kill -STOP "$pid"; echo stopped; wait
"""
# Leaders that lost their lease meanwhile end, and a kubelet starts them again later each time, unless it is new itself.
_AT_ONCE = ("systemctl", "restart", "kubelet")
API_SECONDS = 120.0
# What it returns says whether there was anything to kill.
Strike = Callable[[], bool]


def kill(pid: int, number: int = signal.SIGKILL) -> bool:
    """Send a signal to a process and say whether it was there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def engine(run: Run) -> Strike:
    """Kill the engine of a run."""
    return lambda: kill(run.process.pid)


def child(run: Run, module: str) -> Strike | None:
    """Kill the engine's child that runs a module of the harness, where it has one."""
    for path in Path(f"/proc/{run.process.pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for pid in path.read_text().split():
                if module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                    return lambda pid=int(pid): kill(pid)  # type: ignore[misc]
    return None


async def keeper(place: Place) -> Strike:
    """Kill the keeper; Docker starts it again."""
    pid = int(await place.docker("inspect", "--format", "{{.State.Pid}}", container.NAME))
    if pid <= 0:
        raise ObservationFailed("the keeper does not run", hint="harness up")
    return lambda: kill(pid)


async def agent(place: Place, node: str) -> Strike | None:
    """Kill the agent of a node, where there is one; the kubelet starts it again."""
    for pod in await place.agents():
        if pod["spec"].get("nodeName") == node:
            pid = main_process(_container(pod))
            return lambda: kill(pid)
    return None


async def healer(place: Place, hand: Hand, node: str) -> Strike:
    """Kill whoever undoes what a hand did when its run cannot: the agent of the node, or the keeper.

    Raises ObservationFailed where there is none.
    """
    if hand is not Hand.NODE:
        return await keeper(place)
    found = await agent(place, node)
    if found is None:
        raise ObservationFailed("there is no agent on the node", where=node, hint="harness up")
    return found


async def target(place: Place, victim: Mapping[str, Any]) -> Strike:
    """Kill the main process of a pod's container; the kubelet starts it again in the same pod."""
    pod = await place.kube.get(paths.pods(victim["namespace"], victim["name"]))
    pid = main_process(_container(pod))
    return lambda: kill(pid)


async def delete(place: Place, victim: Mapping[str, Any]) -> None:
    """Delete a pod at once, only while it is the one that was hit; raises ApiError where it is not."""
    await place.kube.delete(paths.pods(victim["namespace"], victim["name"]), uid=victim["uid"], grace=0)


async def restart(place: Place, node: str) -> None:
    """Stop a node's container without grace and start it again."""
    await place.docker("restart", "-t", "0", place.cluster.nodes[node])


@contextlib.asynccontextmanager
async def api_stopped(place: Place, seconds: float) -> AsyncIterator[Callable[[], Any]]:
    """Stop the API server's process for some seconds; entered once it stands still.

    What is yielded waits until it goes on, and returns when that was. Raises ObservationFailed where nothing stopped.
    """
    argv = ["docker", "exec", place.cluster.control_plane, "sh", "-c", _HOLD_UP, "sh", f"{seconds:g}", API]
    async with await anyio.open_process(argv, env=place.environment, stdin=DEVNULL, stderr=DEVNULL) as process:
        assert process.stdout
        said, heard = TextReceiveStream(process.stdout), ""

        async def hear(word: str) -> float:
            nonlocal heard
            with anyio.fail_after(API_SECONDS):
                # One word may come along with another, which nobody has asked for yet.
                while word not in heard:
                    try:
                        heard += await said.receive()
                    except anyio.EndOfStream:
                        raise ObservationFailed(
                            "the API server was not stopped", why="its process was not found in its node"
                        ) from None
            return time.monotonic()

        await hear("stopped")
        try:
            yield lambda: hear("goes on")
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(seconds + API_SECONDS):
                await process.wait()


async def api_whole(place: Place) -> None:
    """Have the control plane's leaders back at once after the API server was away."""
    await place.docker("exec", place.cluster.control_plane, *_AT_ONCE)


def main_process(container_id: str) -> int:
    """Return this machine's id of a container's main process: the oldest whose parent is none of the container's.

    Raises ObservationFailed where there is none.
    """
    found = processes.look().processes
    inside = {pid: one for pid, one in found.items() if container_id in one.group}
    heads = [one for one in inside.values() if one.parent not in inside]
    if not heads:
        raise ObservationFailed("the container has no process on this machine", where=container_id[:12])
    return min(heads, key=lambda one: one.born).pid


def _container(pod: Mapping[str, Any]) -> str:
    statuses = pod["status"].get("containerStatuses") or []
    running = [one for one in statuses if "running" in (one.get("state") or {})]
    if not running:
        raise ObservationFailed("no container of the pod runs", where=str(pod["metadata"]["name"]))
    return str(running[0]["containerID"]).rpartition("/")[2]
