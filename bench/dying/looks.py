"""See whether what a fault did is still there, as closely as that can be asked: by the fingerprint's lines it changed.

Whatever the fingerprint sees can be followed, also of a fault that is new. What it needs a second for has a quicker
look: a container's state, frozen control groups, rules, processes of a fault, what is stopped, files. Each look must
have seen what it follows before anything is struck: one that sees nothing would call it gone at once. Of each the last
look that saw it broken is kept, by its begin, and the first that did not, by its end: it was removed in between.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from subprocess import DEVNULL

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus
from anyio.streams.text import TextReceiveStream

from bench.dying.place import Place, pause
from harness.engine.undoing import fingerprint
from harness.engine.undoing.fingerprint import LABELS, OWED, WRITTEN
from harness.errors import HarnessError, ObservationFailed
from harness.keeper.resident.docker import Docker, Refused

PAUSE_SECONDS, AGAIN_SECONDS = 0.05, 0.2
# What the fingerprint has seen this moment is seen by its own look within this time, or nobody can follow it.
SEEN_SECONDS = 20.0
# Each looks for some 15 s and prints 1 while it is broken: a client that is killed leaves nothing behind for long.
_FOLLOW = """
n=0; while [ $n -lt 300 ]; do broken=0; look "$@"; echo $broken; [ $broken = 0 ] && exit
n=$((n+1)); sleep 0.05; done
"""
# Arguments: the control groups, as the fingerprint tells them, of either version.
_FROZEN = """
look() { for dir; do for file in "/sys/fs/cgroup/freezer$dir/freezer.state" "$dir/cgroup.freeze"; do
[ -r "$file" ] && read -r state < "$file" && case $state in THAWED|0) ;; *) broken=1 ;; esac; done; done; }
"""
# Arguments: the chains. A namespace of a pod is known by its oldest process, which ends with the pod.
_RULES = """
places=; for pid in $(lsns -t net -n -o PID); do
for tool in iptables-nft ip6tables-nft iptables-legacy ip6tables-legacy; do
saved=$(nsenter -t "$pid" -n $tool-save 2>/dev/null)
for chain; do case $saved in *":$chain "*) places="$places $pid:$tool" ;; esac; done; done; done
look() { for place in $places; do saved=$(nsenter -t "${place%:*}" -n ${place#*:}-save 2>/dev/null)
for chain; do case $saved in *":$chain "*) broken=1 ;; esac; done; done; }
"""
# Arguments: the faults, by the mark that agents give their processes.
_MARKED = """
look() { for mark; do grep -qsaFxz "CHAOS_HARNESS_FAULT=$mark" /proc/[0-9]*/environ && broken=1; done; }
"""
# Arguments: the names of what was stopped.
_STOPPED = """
look() { stopped=$(grep -ls '^State:.T ' /proc/[0-9]*/status)
for name; do [ -n "$stopped" ] && grep -qsxF "Name:\t$name" $stopped && broken=1; done; }
"""
# Arguments: the names of what may open few files.
_LIMITED = """
look() { limited=$(grep -lsE '^Max open files +[0-9]{1,3} ' /proc/[0-9]*/limits | sed 's/limits$/status/')
for name; do [ -n "$limited" ] && grep -qsxF "Name:\t$name" $limited && broken=1; done; }
"""
# Arguments: the rules, as the node's own tables tell them.
_TABLES = """
look() { saved=$(iptables-save 2>/dev/null; ip6tables-save 2>/dev/null)
for rule; do case $saved in *"$rule"*) broken=1 ;; esac; done; }
"""
# No arguments are heeded: a unit that is on its way was started.
_UNITS = """
look() { systemctl is-active kubelet containerd | grep -qvxE 'active|activating' && broken=1; }
"""
# Arguments: the files.
_FILES = """
look() { for file; do [ -e "$file" ] && broken=1; done; }
"""
QUICK = {
    "cgroup frozen ": _FROZEN,
    "iptables ": _TABLES,
    "ip6tables ": _TABLES,
    "unit ": _UNITS,
    "file ": _FILES,
    "pod rules ": _RULES,
    "fault process ": _MARKED,
    "process stopped ": _STOPPED,
    "process limited ": _LIMITED,
}
# True while it is broken, None where nobody can say.
Look = Callable[[], Awaitable[bool | None]]


@dataclass(slots=True)
class Part:
    """One thing that a fault changed: when a look that saw it so began, and when the first that did not had ended.

    `api` says that the API server keeps it, `looked` that a look has told what it is at all.
    """

    what: str
    broken: float = -math.inf
    whole: float = math.inf
    api: bool = False
    looked: bool = False


@dataclass(slots=True)
class Seen:
    """All that a fault changed; nothing for one that is over at once."""

    parts: list[Part] = field(default_factory=list)

    @property
    def broken(self) -> float:
        """Return when it was surely still there."""
        return max((part.broken for part in self.parts), default=-math.inf)

    @property
    def whole(self) -> float:
        """Return when it was surely gone; not yet is infinity."""
        return max((part.whole for part in self.parts), default=-math.inf)

    @property
    def left(self) -> list[str]:
        """Name what was not seen gone."""
        return [part.what for part in self.parts if part.whole == math.inf]


def effects(before: Mapping[str, str], during: Mapping[str, str]) -> dict[str, str]:
    """Return the lines that a fault changed, as they were: what is written down about it, and what follows, left out.

    A node's readiness and conditions follow, and what the pods of a workload are after its template: both are the
    cluster's answer, in its own time. Of what an agent does by itself alone, without a process or a mark, its ledger is
    all that there is to see.
    """
    changed = fingerprint.changed(before, during)
    owners = [key.removesuffix("/spec").partition("/") for key in changed if key.endswith("/spec")]
    answered = {f"{LABELS}{kind.removesuffix('s')}/{name}" for kind, _, name in owners}
    found = {
        key: before.get(key, "")
        for key in changed
        if not key.startswith((*WRITTEN, *OWED, "unseen/"))
        and not key.endswith(("/ready", "/conditions"))
        and key not in answered
    }
    return found or {key: before.get(key, "") for key in changed if key.startswith("agent/")}


async def follow(
    place: Place,
    before: Mapping[str, str],
    during: Mapping[str, str],
    seen: Seen,
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Look at everything that a fault changed until it is as before; it has started when each part was looked at.

    Raises ObservationFailed where nobody can say what has become of one.
    """
    was = effects(before, during)
    plain = {key for key in was if not key.startswith("container/")}
    async with anyio.create_task_group() as together:

        def begin(what: str, look: Look, *, api: bool = False) -> None:
            part = Part(what, broken=time.monotonic(), api=api)
            seen.parts.append(part)
            together.start_soon(_until_whole, part, look)

        if plain:
            look = partial(_lines, place, {key: was[key] for key in plain})
            begin(", ".join(sorted(plain)), look, api=not any(key.startswith("agent/") for key in plain))
        for key in sorted(was.keys() - plain):
            node, _, what = key.removeprefix("container/").partition("/")
            if what == "state":
                begin(key, partial(_state, place, node, was[key]))
            elif what == "residue" and (found := quick(was[key], during.get(key, ""))):
                for script, arguments in found.items():
                    part = Part(f"{key}: {' '.join(arguments)}", broken=time.monotonic())
                    seen.parts.append(part)
                    together.start_soon(_inside, place, node, script, arguments, part)
            elif what == "residue":
                begin(key, partial(_residue, place, node, key, was[key]))
            else:
                begin(key, partial(_lines, place, {key: was[key]}))
        with anyio.move_on_after(SEEN_SECONDS):
            while not all(part.looked for part in seen.parts):
                await anyio.sleep(PAUSE_SECONDS)
        if blind := [part.what for part in seen.parts if not part.looked]:
            raise ObservationFailed("nobody can say whether it is still there", where=", ".join(blind))
        task_status.started()


def quick(before: str, during: str) -> dict[str, list[str]]:
    """Return the shell programs that follow what is new in a node, with their arguments; none where one thing has none.

    Residue is the fingerprint's: its lines, separated by `; `.
    """
    found: dict[str, list[str]] = {}
    for line in sorted(set(during.split("; ")) - set(before.split("; "))):
        head = next((one for one in QUICK if line.startswith(one)), None)
        if head is None:
            return {}
        found.setdefault(QUICK[head] + _FOLLOW, []).append(line.removeprefix(head))
    return found


async def _until_whole(part: Part, look: Look) -> None:
    while True:
        began = time.monotonic()
        state = await look()
        if state is False:
            part.whole, part.looked = time.monotonic(), True
            return
        if state:
            part.broken, part.looked = began, True
        await anyio.sleep(pause(PAUSE_SECONDS if state else AGAIN_SECONDS, time.monotonic() - began))


async def _lines(place: Place, was: Mapping[str, str]) -> bool | None:
    try:
        now = await place.fingerprint(only=was.keys())
    except HarnessError:
        return None
    # An agent that is away says nothing of what it owes.
    if any(key.startswith("agent/") and key not in now for key in was):
        return None
    return any(now.get(key, "") != value for key, value in was.items())


async def _residue(place: Place, node: str, key: str, was: str) -> bool | None:
    """Look into a whole node; one that does not run tells nothing."""
    state = f"container/{node}/state"
    try:
        now = await place.fingerprint(only=(key, state))
    except HarnessError:
        return None
    return now.get(key, "") != was if now.get(state) == "running" else None


async def _state(place: Place, node: str, was: str) -> bool | None:
    daemon = Docker(place.cluster.docker_host.removeprefix("unix://"), place.cluster.name)
    try:
        found = await anyio.to_thread.run_sync(daemon.inspect, place.cluster.nodes[node], abandon_on_cancel=True)
    except Refused:
        return None
    now = "absent" if found is None else "paused" if found["paused"] else "running" if found["running"] else "exited"
    return now != was


async def _inside(place: Place, node: str, script: str, arguments: Sequence[str], part: Part) -> None:
    """Follow a program in a node, begun again where the node was away or its time was over."""
    argv = ["docker", "exec", place.cluster.nodes[node], "sh", "-c", script, "sh", *arguments]
    while part.whole == math.inf:
        last = time.monotonic()
        async with await anyio.open_process(argv, env=place.environment, stdin=DEVNULL, stderr=DEVNULL) as process:
            assert process.stdout
            try:
                async for text in TextReceiveStream(process.stdout):
                    now, part.looked = time.monotonic(), True
                    if "0" in text:
                        part.whole = now
                        return
                    part.broken, last = last, now
            finally:
                if process.returncode is None:
                    process.kill()
        await anyio.sleep(AGAIN_SECONDS)
