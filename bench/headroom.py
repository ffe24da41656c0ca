"""Say how much of the machine the stack leaves free: at rest, and in the baseline of every experiment of set `local`.

CPU is in cores: seconds of CPU per second. Each load of the set is driven once, with no fault. What other work on this
machine took is shown, and counted as free: it is no part of the design.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from bench import processes
from bench.processes import DOCKER, HARNESS, KEEPER, KUBERNETES, LOAD, OTHERS, STACK, Look, Owners
from harness.cluster import docker, local
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.cluster.paths import deployments
from harness.documents import document
from harness.engine.watching.traffic import GATEWAY, HOST
from harness.journal import operations
from harness.keeper import container
from harness.load import process
from harness.model import units

ROOT = Path(__file__).parents[1]
REST_SECONDS, LOAD_SECONDS, WARM_SECONDS = 30.0, 15.0, 3.0
STACK_NAMESPACES = frozenset({"claude-ecosystem-prod", "istio-system", "monitoring", "chaos-system"})
MOST_OF_KUBERNETES, LEAST_IDLE, LEAST_FACTOR = 0.4, 0.4, 5.0
PARTS = (KUBERNETES, STACK, KEEPER, DOCKER, LOAD, HARNESS, OTHERS)
METHOD = (
    "`make headroom` writes this: CPU in cores, from what each process had computed before and after (/proc).\n"
    "Idle is what the machine would have left without other people's work; the column `others` is that work.\n"
)


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was computed in one stretch of time, in cores, and how long the load's operations took in seconds."""

    title: str
    spent: dict[tuple[str, str, str], float]
    idle: float
    latencies: tuple[float, ...] = ()
    failed: int = 0
    rate: float = 0.0

    def part(self, *parts: str) -> float:
        """Return what some parts computed together."""
        return sum(cores for (part, _, _), cores in self.spent.items() if part in parts)

    def quantile(self, share: float) -> float:
        """Return the time that this share of operations did not exceed."""
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


async def owners(kube: Kube, cluster: LocalCluster, load: int | None = None) -> Owners:
    """Ask the cluster and the Docker daemon whose processes are whose."""
    pods = {}
    for pod in await kube.list("/api/v1/pods"):
        metadata = pod["metadata"]
        labels = metadata.get("labels") or {}
        workload = labels.get("app") or labels.get("k8s-app") or labels.get("component") or metadata["name"]
        # A static pod's processes carry the hash of its file and not the UID of what the API shows.
        uid = (metadata.get("annotations") or {}).get("kubernetes.io/config.hash") or metadata["uid"]
        pods[uid] = (metadata["namespace"], workload)
    lines = docker.docker(cluster.docker_host, "ps", "--no-trunc", "--format", "{{.ID}} {{.Names}}").splitlines()
    ids = {name: found for found, _, name in (line.partition(" ") for line in lines)}
    return Owners(
        pods=pods,
        nodes={ids[name]: name for name in cluster.nodes.values()},
        keepers=frozenset({ids[container.NAME]} if container.NAME in ids else ()),
        load=frozenset({load} if load else ()),
        harness=frozenset({os.getpid()}),
        stack_namespaces=STACK_NAMESPACES,
    )


def stretch(title: str, before: Look, after: Look, whose: Owners, **more: Any) -> Stretch:
    """Turn two looks into cores."""
    cores = os.cpu_count() or 1
    seconds = (after.total - before.total) / cores
    spent = {key: used / seconds for key, used in processes.spent(before, after, whose).items()}
    used = sum(value for (part, _, _), value in spent.items() if part != OTHERS)
    return Stretch(title, spent, 1 - used / cores, **more)


async def rest(kube: Kube, cluster: LocalCluster) -> Stretch:
    """Watch the stack do nothing."""
    whose = await owners(kube, cluster)
    before = processes.look()
    await anyio.sleep(REST_SECONDS)
    return stretch("at rest", before, processes.look(), whose)


async def under(kube: Kube, cluster: LocalCluster, workload: str, rate: float) -> Stretch:
    """Drive one load and watch, from when it is warm until just before it ends."""
    with tempfile.TemporaryDirectory() as folder:
        asked = {"workload": workload, "rate": f"{rate:g}/s"}
        spec = {"load": asked, "url": GATEWAY, "host": HOST, "seconds": 120.0}
        load = await process.start(spec, Path(folder))
        try:
            await load.ready()
            whose = await owners(kube, cluster, load.pid)
            await anyio.sleep(WARM_SECONDS)
            before, since = processes.look(), time.monotonic_ns()
            await anyio.sleep(LOAD_SECONDS)
            after, until = processes.look(), time.monotonic_ns()
        finally:
            await load.stop()
        text = (Path(folder) / operations.FILE).read_bytes()
    records = [record for record in operations.RECORD.iter_unpack(text) if since <= record[0] < until]
    latencies = tuple(sorted((finished - due) / 1e9 for due, _, finished, *_ in records))
    failed = sum(not 200 <= record[3] < 400 for record in records)
    title = f"{workload} {rate:g}/s"
    return stretch(title, before, after, whose, latencies=latencies, failed=failed, rate=rate)


def loads() -> list[tuple[str, float]]:
    """List the different loads of set `local`."""
    slo = document.defaults(ROOT / document.SLO_FILE)
    found = [document.load(path, slo) for path in sorted((ROOT / "experiments").rglob("*.yaml"))]
    return sorted({(one.load.workload, one.load.rate) for one in found if one.load and "local" in one.sets})


async def limits(kube: Kube) -> dict[str, float]:
    """Read the time limits that the running stack has for a call, in seconds, from the innermost outwards."""
    spec = (await kube.get(deployments("claude-ecosystem-prod", "claude-orchestrator")))["spec"]["template"]["spec"]
    told = {entry["name"]: entry.get("value") for entry in spec["containers"][0]["env"]}
    mesh = "/apis/networking.istio.io/v1/namespaces/claude-ecosystem-prod/virtualservices/claude-orchestrator-vs"
    route = (await kube.get(mesh))["spec"]["http"][0]
    return {
        "attempt at a dependency": float(told["CLIENT_TIMEOUT_SECONDS"]),
        "call to a dependency": float(told["CLIENT_DEADLINE_SECONDS"]),
        "try of the gateway": units.duration(route["retries"]["perTryTimeout"]),
        "request": units.duration(route["timeout"]),
    }


def goal(*, kept: bool) -> str:
    """Say whether a goal was kept."""
    return "kept" if kept else "MISSED"


def rows(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Lay out a table."""
    body = [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines)]
    return "\n".join(body).replace("| --- ", "|---").replace("|--- |", "|---|")


def table(quiet: Stretch, busy: Sequence[Stretch], known: dict[str, float]) -> str:
    """Lay out the whole section."""
    stack, kubernetes = quiet.part(STACK, KEEPER), quiet.part(KUBERNETES)
    ratio = stack / kubernetes
    slowest = max(busy, key=lambda one: one.quantile(0.99))
    worst = slowest.quantile(0.99)
    lines = [
        f"At rest the stack costs {stack:.3f} cores, Kubernetes {kubernetes:.3f}: {ratio:.2f}"
        f" (at most {MOST_OF_KUBERNETES}: {goal(kept=ratio <= MOST_OF_KUBERNETES)}).",
        "",
        rows(
            [
                "",
                *PARTS,
                "idle",
                f"at least {LEAST_IDLE:.0%}",
                "stack, ms a request",
                "p50, ms",
                "p95, ms",
                "p99, ms",
                "failed",
            ],
            [_line(one, quiet) for one in (quiet, *busy)],
        ),
        "",
        "An attempt lies within a call, that within a try, that within a request: none takes longer than the request as"
        f" its caller sees it, whose p99 was at most {1000 * worst:.0f} ms ({slowest.title}).",
        "",
        rows(
            ["time limit", "s", "times the worst p99", f"at least {LEAST_FACTOR:g}"],
            [
                [name, f"{limit:g}", f"{limit / worst:.1f}", goal(kept=limit >= LEAST_FACTOR * worst)]
                for name, limit in known.items()
            ],
        ),
        "",
        rows(["part", "what", "process", "cores at rest", *(one.title for one in busy)], _processes(quiet, busy)),
    ]
    return "\n".join(lines)


def _line(one: Stretch, quiet: Stretch) -> list[str]:
    figures = [one.title, *(f"{one.part(part):.3f}" for part in PARTS), f"{one.idle:.1%}"]
    if not one.latencies:
        return [*figures, "", "", "", "", "", ""]
    cost = 1000 * (one.part(STACK) - quiet.part(STACK)) / one.rate
    times = [f"{1000 * one.quantile(share):.1f}" for share in (0.5, 0.95, 0.99)]
    return [*figures, goal(kept=one.idle >= LEAST_IDLE), f"{cost:.1f}", *times, str(one.failed)]


def _processes(quiet: Stretch, busy: Sequence[Stretch]) -> list[list[str]]:
    keys = defaultdict(float)
    for one in (quiet, *busy):
        for key, cores in one.spent.items():
            keys[key] = max(keys[key], cores)
    chosen = sorted((key for key, most in keys.items() if most >= 0.002 and key[0] != OTHERS), key=_order(quiet))
    return [[*key, *(f"{one.spent.get(key, 0.0):.3f}" for one in (quiet, *busy))] for key in chosen]


def _order(quiet: Stretch) -> Any:
    return lambda key: (PARTS.index(key[0]), -quiet.spent.get(key, 0.0), key)


def keep(text: str) -> None:
    """Put the dated section on top of docs/headroom.md."""
    path = ROOT / "docs" / "headroom.md"
    older = path.read_text().split(METHOD, 1)[-1] if path.exists() else ""
    path.write_text(
        f"# Headroom\n\n{METHOD}\n## {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores\n\n{text}\n{older}"
    )


async def main(*, write: bool) -> None:
    """Measure, print, keep."""
    cluster = local.current()
    if cluster is None:
        raise SystemExit("no local cluster: run `make up`")
    async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
        quiet = await rest(kube, cluster)
        busy = [await under(kube, cluster, *load) for load in loads()]
        text = table(quiet, busy, await limits(kube))
    print(text)
    if write:
        keep(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.headroom", description=__doc__)
    parser.add_argument("--print-only", action="store_true", help="do not write docs/headroom.md")
    chosen = parser.parse_args()
    anyio.run(lambda: main(write=not chosen.print_only))
