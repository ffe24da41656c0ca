"""The machine that carries the local cluster: how much of its CPU is idle, the cluster's, ours, and other people's.

Only counters that the kernel keeps anyway are read, and only where the cluster's containers are processes of this very
kernel: a daemon may as well be in a virtual machine or far away, and then nothing is said rather than something wrong.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from harness.cluster import docker, local
from harness.cluster.host import procfs
from harness.cluster.host.counters import Counters, Shares, between
from harness.cluster.host.others import Crowd, family, process, serving, text
from harness.cluster.local import LocalCluster
from harness.errors import HarnessError, ObservationFailed
from harness.model.units import rounded

RESOURCES = ("cpu", "io", "memory")
# This much of the machine is to be free before a load begins.
ENOUGH_IDLE = 0.4
LOOK_SECONDS = 0.5
# Smaller parts of the machine are not worth a name, and three names are enough.
NAMED, MOST_NAMES = 0.02, 3


@dataclass(frozen=True, slots=True)
class Look:
    """One short look at the machine: its shares, and the others by name; `unseen` says why the cluster is not in it."""

    shares: Shares
    names: Mapping[str, float]
    unseen: str = ""

    @property
    def busy(self) -> bool:
        """Say whether too little is left for what is about to be judged."""
        return self.shares.idle is not None and self.shares.idle < ENOUGH_IDLE

    def __str__(self) -> str:
        if self.shares.idle is None:
            return "not seen"
        named = [f"{name} {rounded(share)}" for name, share in self.names.items() if share >= NAMED][:MOST_NAMES]
        who = f" ({', '.join(named)})" if named else ""
        parts = {"cluster": self.shares.cluster, "taken by the host": self.shares.steal}
        told = [f"{name} {rounded(share)}" for name, share in parts.items() if share and share >= NAMED]
        others = f"others {'not told apart' if self.shares.others is None else rounded(self.shares.others)}{who}"
        return ", ".join([f"{rounded(self.shares.idle)} idle", *told, others])


class Machine:
    """The machine, with the accounts of the containers on it that are the cluster's (`nodes`) or ours (`beside`)."""

    def __init__(
        self,
        nodes: Mapping[str, PurePosixPath] | None = None,
        beside: Iterable[PurePosixPath] = (),
        *,
        containers: Iterable[str] = (),
        daemon: int | None = None,
    ) -> None:
        self._nodes, self._beside, self._daemon = dict(nodes or {}), tuple(beside), daemon
        self._crowd = Crowd(containers)
        self._serving: set[int] = set()
        self._looked = 0.0

    def counters(self, processes: Sequence[int] = ()) -> Counters:
        """Read every counter; `processes` are what the harness has started beside this one, with all below them."""
        used = {name: procfs.seconds(text(str(path))) for name, path in self._nodes.items()}
        return Counters(
            at=time.monotonic(),
            awake=time.clock_gettime(time.CLOCK_BOOTTIME),
            wall=time.time(),
            cpu=procfs.cpu(text("/proc/stat")),
            pressure={name: procfs.pressure(text(f"/proc/pressure/{name}")) for name in RESOURCES},
            cluster={name: seconds for name, seconds in used.items() if seconds is not None},
            harness=self._harness(processes),
            # What a shim has waited for is a whole node: of those who serve only their own time counts.
            serving={pid: one.seconds for pid in self._serving if (one := process(pid))},
        )

    def _harness(self, processes: Sequence[int]) -> float:
        own = process(os.getpid())
        started = [one.total for pid in processes for one in family(pid)]
        beside = [procfs.seconds(text(str(path))) or 0.0 for path in self._beside]
        return sum([own.total if own else 0.0, *started, *beside])

    def others(self, processes: Sequence[int] = ()) -> dict[str, float]:
        """Name those outside of cluster and harness, each with its share of the machine since the last look."""
        ours = {os.getpid(), *self._serving, *(one.pid for pid in processes for one in family(pid))}
        now, since = time.monotonic(), self._looked
        spent = self._crowd.look(ours)
        self._looked, self._serving = now, serving(self._crowd.table, self._daemon)
        whole = (now - since) * (os.cpu_count() or 1)
        return {name: seconds / whole for name, seconds in spent.items()}


def find(cluster: LocalCluster, beside: Sequence[str] = ()) -> Machine:
    """Find the accounts of the cluster's node containers and of those `beside` it; it takes one question to Docker.

    Raises ObservationFailed when the containers' processes are not on this machine.
    """
    mounts = Path("/proc/self/mountinfo").read_text()
    described = docker.inspect(cluster.docker_host, *cluster.nodes.values(), *beside)
    found: dict[str, tuple[str, PurePosixPath]] = {}
    for item in (item for item in described if item["State"]["Pid"]):
        name, pid, identity = item["Name"].lstrip("/"), item["State"]["Pid"], item["Id"]
        account = procfs.account(text(f"/proc/{pid}/cgroup"), mounts, identity)
        if account is None:
            raise ObservationFailed(
                "the cluster's machine is not seen",
                where=cluster.docker_host,
                why=f"process {pid} of container {name} is not found here: Docker is on another machine, "
                "or this process is in a container itself",
            )
        found[name] = (identity, account)
    if not found:
        raise ObservationFailed("the cluster's machine is not seen", where=cluster.docker_host, why="no node runs")
    accounts = {name: account for name, (_, account) in found.items()}
    for item in described:
        # One that is stopped now has its account where the others have theirs, when it is started again.
        name, (identity, sample) = item["Name"].lstrip("/"), next(iter(found.values()))
        accounts.setdefault(name, PurePosixPath(str(sample).replace(identity, item["Id"])))
    return Machine(
        {name: accounts[name] for name in cluster.nodes.values() if name in accounts},
        [accounts[name] for name in beside if name in accounts],
        containers=[item["Id"] for item in described],
        daemon=_daemon(cluster.docker_host),
    )


def _daemon(host: str) -> int | None:
    """Ask the socket whose it is; where it cannot be asked or systemd listens on it, nobody."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(host.removeprefix("unix://"))
            answer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except OSError:
        return None
    pid = int(struct.unpack("3i", answer)[0])
    return pid if pid > 1 else None


def look(seconds: float, beside: Sequence[str] = ()) -> Look:
    """Watch this machine for some seconds, the local cluster told apart where there is one."""
    cluster, machine, unseen = local.current(), Machine(), ""
    if cluster:
        try:
            machine = find(cluster, beside)
        except (HarnessError, OSError) as error:
            unseen = str(error)
    machine.others()
    before = machine.counters()
    time.sleep(seconds)
    shares, names = between(before, machine.counters()), machine.others()
    if unseen:
        shares = replace(shares, cluster=None, others=None)
    return Look(shares, names, unseen)


def warning() -> str:
    """Say in one sentence that this machine is too busy for a verdict on what runs here; empty when it is not."""
    try:
        found = look(LOOK_SECONDS)
    except Exception:  # a look that fails must not keep anybody from a run
        return ""
    return (
        f"this machine is busy before anything began: {found}; a verdict here may be INCONCLUSIVE" if found.busy else ""
    )
