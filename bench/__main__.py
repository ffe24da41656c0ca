"""Time one pod kill by this harness and by Chaos Toolkit with chaosk8s, turn by turn, and keep the table.

Start is just before the command is executed; the delete is the moment a watch beside both tools sees the pod's
deletionTimestamp. Memory is the largest sum of resident sizes over the command's whole process tree.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.to_thread

from harness.cluster import local
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.cluster.paths import deployments, pods

TURNS = 10
NAMESPACE, SELECTOR, DEPLOYMENT = "claude-ecosystem-prod", "app=claude-tool-router", "claude-tool-router"
HERE = Path(__file__).parent
ROOT = HERE.parent
GOALS = {"start to delete, s": 0.8, "beyond its own waits, s": 1.0, "peak memory, MB": 120.0}
Row = dict[str, float]


@dataclass(slots=True)
class Deletes:
    """When the API server first showed a pod as going, by the watch beside the tools."""

    seen: threading.Event
    at: float = 0.0


async def watch(cluster: LocalCluster, deletes: Deletes, stop: threading.Event) -> None:
    """Note the first deletionTimestamp after each reset."""
    async with Kube.connect(cluster.kubeconfig, cluster.context) as kube, anyio.create_task_group() as group:

        async def follow() -> None:
            _, version = await kube.list_at(pods(NAMESPACE), labels=SELECTOR)
            async for _kind, pod in kube.watch(pods(NAMESPACE), labels=SELECTOR, since=version):
                if pod["metadata"].get("deletionTimestamp") and not deletes.seen.is_set():
                    deletes.at = time.monotonic()
                    deletes.seen.set()

        group.start_soon(follow)
        await anyio.to_thread.run_sync(stop.wait)
        group.cancel_scope.cancel()


async def whole(cluster: LocalCluster) -> None:
    """Wait until every replica is ready and no pod is going."""
    async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
        while True:
            item = await kube.get(deployments(NAMESPACE, DEPLOYMENT))
            going = [
                pod
                for pod in await kube.list(pods(NAMESPACE), labels=SELECTOR)
                if "deletionTimestamp" in pod["metadata"]
            ]
            if item["status"].get("readyReplicas", 0) == item["spec"]["replicas"] and not going:
                return
            await anyio.sleep(0.2)


def tree(root: int) -> list[int]:
    """List a process and all below it."""
    found = [root]
    for process in found:
        for task in Path(f"/proc/{process}/task").glob("*/children"):
            try:
                found += [int(word) for word in task.read_text().split()]
            except OSError:
                continue
    return found


def resident(process: int) -> float:
    """Return a process's resident size in MB."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, IndexError):
        return 0.0


def once(argv: Sequence[str], environment: dict[str, str], folder: Path, deletes: Deletes) -> Row:
    """Run one command to its end and measure it."""
    deletes.seen.clear()
    began = time.monotonic()
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(argv, cwd=folder, env=environment, stdout=output, stderr=output)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, sum(resident(child) for child in tree(process.pid)))
        time.sleep(0.01)
    wall = time.monotonic() - began
    if not deletes.seen.wait(5):
        raise SystemExit(f"no pod was deleted by {' '.join(argv)}:\n{(folder / 'output').read_text()}")
    waited = 0.0
    for journal in folder.glob("runs/*/journal.jsonl"):
        verdict = next(
            json.loads(line)["data"] for line in journal.read_text().splitlines() if '"type":"verdict"' in line
        )
        waited = verdict["seconds"] - verdict["overhead"]
    return {
        "start to delete, s": deletes.at - began,
        "beyond its own waits, s": wall - waited,
        "wall, s": wall,
        "peak memory, MB": peak,
        "exit code": float(process.returncode),
    }


def main() -> None:
    """Take turns, print the table, keep it in docs/bench.md."""
    cluster = local.current()
    if cluster is None:
        raise SystemExit("no local cluster: run `make up`")
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "PYTHONPATH": str(ROOT)}
    commands = {
        "this harness": [str(binaries / "harness"), "run", "-q", str(HERE / "pod_kill.yaml")],
        "chaostoolkit": [
            str(binaries / "chaos"),
            "--no-version-check",
            "run",
            str(HERE / "chaostoolkit_pod_kill.json"),
        ],
    }
    deletes, stop = Deletes(threading.Event()), threading.Event()
    watcher = threading.Thread(target=anyio.run, args=(watch, cluster, deletes, stop), daemon=True)
    watcher.start()
    rows: dict[str, list[Row]] = {name: [] for name in commands}
    try:
        for turn in range(TURNS + 1):
            for name, argv in commands.items():
                anyio.run(whole, cluster)
                with tempfile.TemporaryDirectory() as folder:
                    row = once(argv, environment, Path(folder), deletes)
                if turn:  # the first turn warms the file cache for both
                    rows[name].append(row)
    finally:
        stop.set()
        watcher.join(5)
    text = table(rows)
    print(text)
    keep(text)


def table(rows: dict[str, list[Row]]) -> str:
    """Lay out medians, spreads and ratios."""
    ours, theirs = rows.values()
    lines = ["| figure | this harness | chaostoolkit + chaosk8s | ratio | goal |", "|---|---|---|---|---|"]
    for name in ours[0]:
        mine, other = [row[name] for row in ours], [row[name] for row in theirs]
        if name == "exit code":
            lines.append(f"| exit codes | {codes(mine)} | {codes(other)} | | |")
            continue
        ratio = statistics.median(mine) / statistics.median(other)
        goal = verdict(name, statistics.median(mine))
        lines.append(f"| {name} | {spread(mine)} | {spread(other)} | {ratio:.2f} | {goal} |")
    return "\n".join(lines)


def verdict(name: str, value: float) -> str:
    """Say whether a figure keeps its goal, if it has one."""
    if name not in GOALS:
        return ""
    return f"<= {GOALS[name]:g}: {'kept' if value <= GOALS[name] else 'MISSED'}"


def spread(values: Sequence[float]) -> str:
    """Write median, smallest and largest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def codes(values: Sequence[float]) -> str:
    """Count exit codes."""
    return ", ".join(f"{values.count(code)} x {code:.0f}" for code in sorted(set(values)))


def keep(text: str) -> None:
    """Put the dated table on top of docs/bench.md."""
    path = ROOT / "docs" / "bench.md"
    title, method = (
        "# Bench\n",
        (
            "Medians (smallest-largest) of 10 turns on one cluster, turn by turn; the first turn is not"
            " counted. `make bench` writes this.\n"
        ),
    )
    older = path.read_text().split(method, 1)[-1] if path.exists() else ""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{title}\n{method}\n## {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores\n\n{text}\n{older}")


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m bench", description=__doc__).parse_args()
    main()
