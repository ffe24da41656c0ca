"""Synthetic runs: the same journal and operations, byte for byte, each time."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.journal.operations import RECORD

WALL = 1_790_000_000.0
ORIGIN = 5_000_000_000_000
NAMESPACE = "claude-ecosystem-prod"
POD = "claude-orchestrator-bb6f5fd96-6nhz5"
UID = "0a7c9d52-5a0e-4a53-9a39-2f2f4b3c1d11"
HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m`|"


class Story:
    """Write a journal event by event at times of its own choosing."""

    def __init__(self, dir: Path, run: str) -> None:
        dir.mkdir(parents=True)
        self.dir, self.run, self.lines, self.phase = dir, run, 0, "preflight"
        self.random = random.Random(4711)

    def write(self, t: float, type: str, **data: Any) -> None:
        self.lines += 1
        record = {"seq": self.lines, "wall": WALL + t, "t": t, "phase": self.phase, "type": type, "schema": 1}
        with (self.dir / "journal.jsonl").open("a") as file:
            file.write(json.dumps(record | {"data": data}) + "\n")

    def enter(self, t: float, phase: str) -> None:
        self.phase = phase
        self.write(t, "phase.start", name=phase)

    def start(self, *, expect: str = "PASS", title: str = "Frozen registries open the breaker", **more: Any) -> None:
        self.write(
            0.0, "run.start", run=self.run, experiment="agent-registry/freeze", title=title,
            hypothesis="Callers keep their answers while the registry hangs",
            path="experiments/agent-registry/freeze.yaml",
            seed=4711, context="kind-chaos-local", version="0.1.0", expect=expect,
            argv=["harness", "run", "experiments/agent-registry/freeze.yaml"], **more,
        )  # fmt: skip

    def plan(self, *kinds: str, pod: str = POD) -> None:
        self.write(
            0.001, "plan", intent="0ebe84fcf88c", resolved="f0df4112e1ab",
            caps={"namespaces": [NAMESPACE], "pods": len(kinds), "nodes": 0},
            faults=[
                {"id": f"{self.run}-{number}", "kind": kind, "activity": "break", "hand": "host", "parameters": {},
                 "victim": {"kind": "pod", "name": pod, "uid": UID, "namespace": NAMESPACE,
                            "node": "chaos-local-worker2", "zone": "b", "owner": "", "container": ""}}
                for number, kind in enumerate(kinds, 1)
            ],
            objectives=[
                {"checker": "availability", "parameters": {"ratio": 0.995}},
                {"checker": "latency", "parameters": {"p95": 1.0, "p99": 2.0}},
                {"checker": "recovery", "parameters": {"within": 20.0}},
            ],
        )  # fmt: skip

    def ready(self, t: float, name: str, value: int, desired: int) -> None:
        self.write(t, "sample", series=f"ready/{NAMESPACE}/{name}", value=value, labels={"desired": str(desired)})

    def machine(self, t: float, names: dict[str, str] | None = None, **shares: float | None) -> None:
        """Write what became of the machine in the second before a time."""
        for name, value in shares.items():
            labels = {f"by/{who}": share for who, share in (names or {}).items()} if name == "others" else {}
            self.write(t + 0.01, "sample", series=f"machine/{name}", value=value, labels=labels, time=t)

    def series(self, t: float, name: str, start: float, values: list[float], **labels: str) -> None:
        self.write(t, "series", series=name, labels=labels, start=start, step=1, values=values)

    def load(self, start: float, end: float, shape: Callable[[float], tuple[float, float]], rate: int = 40) -> None:
        """Write the records of an open loop; `shape` gives latency and share of failures at a time, or nothing."""
        with (self.dir / "operations.bin").open("wb") as file:
            for number in range(int((end - start) * rate)):
                t = start + number / rate
                found = shape(t)
                if not found:
                    continue
                latency, failing = found
                took = latency * self.random.lognormvariate(0, 0.35)
                status = 503 if self.random.random() < failing else 200
                times = [ORIGIN + round(at * 1e9) for at in (t, t + 0.0002, t + took)]
                name = b"claude-orchestrator-bb6f5fd96-6nhz5"
                file.write(
                    RECORD.pack(*times, status, 1, 0, name, b"", b"" if status < 500 else b"timeout: router", 0, 0)
                )


def deviated(dir: Path) -> Path:
    """A freeze that broke one promise of four, with a gap in the load."""
    run = "20260921-140000-3f9a"
    story = Story(dir / run, run)
    story.start()
    story.plan("pod_freeze", "pod_kill")
    story.enter(0.002, "baseline")
    story.write(0.1, "load.started", rate=40, ramp=0.0, workload="execute-agent", pid=4242, origin_ns=ORIGIN,
                record=RECORD.size)  # fmt: skip
    story.ready(0.2, "claude-orchestrator", 5, 5)
    story.ready(0.2, "claude-agent-registry", 2, 2)
    story.write(0.5, "probe", name="ready agent-registry pods", ok=True, value=2, error=None)
    story.enter(8.0, "inject")
    for number, kind in enumerate(("pod_freeze", "pod_kill"), 1):
        story.write(8.1 + number / 10, "fault.injected", id=f"{run}-{number}", kind=kind, at=8.0 + number / 10,
                    victim=f"{NAMESPACE}/{POD}", facts={"uid": UID, "container": "chaos-local-worker2"})  # fmt: skip
    story.enter(8.4, "hold")
    story.ready(8.9, "claude-orchestrator", 4, 5)
    story.write(9.0, "fault.felt", id=f"{run}-2", evidence={"deleted": True, "replaced_by": 1}, after=0.8)
    story.write(9.6, "fault.felt", id=f"{run}-1", evidence={"answers": "none", "silent_for": 1.5}, after=1.4)
    story.write(
        9.1, "k8s.event", kind="Pod", name=POD, namespace=NAMESPACE, reason="Killing", message="Stopping container"
    )
    story.write(10.2, "k8s.event", kind="Pod", name="claude-orchestrator-bb6f5fd96-7tktc", namespace=NAMESPACE,
                reason="Scheduled", message="Successfully assigned to chaos-local-worker3")  # fmt: skip
    story.write(12.5, "restart", pod=POD, container="claude-orchestrator", namespace=NAMESPACE, reason="OOMKilled",
                exit_code=137)  # fmt: skip
    story.write(13.0, "k8s.event", kind="Pod", name=POD, namespace=NAMESPACE, reason="Unhealthy",
                message="Readiness probe failed: " + HOSTILE)  # fmt: skip
    story.ready(14.2, "claude-orchestrator", 5, 5)
    budget = {"budget": "claude-orchestrator-pdb", "policy": "AlwaysAllow", "generation": 2, "observed": 2}
    counts = {"allowed": 0, "healthy": 4, "desired": 4}
    for t, status, ready in ((15.0, 429, True), (15.1, 201, False)):
        story.write(t, "eviction", pod=f"{NAMESPACE}/{POD}", status=status, phase="Running", ready=ready,
                    **budget, **counts)  # fmt: skip
    story.enter(18.4, "heal")
    for number, ops in ((1, [{"op": "unpause", "container": "chaos-local-worker2"}]), (2, [])):
        story.write(18.5, "fault.heal_requested", id=f"{run}-{number}")
        story.write(18.6 + number / 10, "undo", id=f"{run}-{number}", ops=ops, ok=True,
                    how="seen undone" if ops else "nothing to undo", seconds=0.12 * number)  # fmt: skip
        story.write(19.0 + number / 10, "fault.healed", id=f"{run}-{number}", after=0.3, evidence={"ready": True})
    story.enter(19.3, "recovery")
    story.write(27.6, "probe", name="ready agent-registry pods", ok=True, value=2, error=None)
    story.write(27.7, "load.ended", operations=1016)
    story.enter(27.8, "judge")
    for t in range(1, 28):
        taken = 0.48 if 11 < t <= 14 else 0.03
        cluster = 0.45 if t == 13 else round(0.36 + 0.02 * (t % 5), 2)
        idle = 0.02 if 11 < t <= 14 else round(1 - taken - cluster - 0.06, 2)
        seen = {"idle": idle, "others": taken, "steal": 0.0, "cluster": cluster, "harness": 0.05, "pressure": 0.2}
        names = {"python3": "0.46"} if t == 13 else {}
        story.machine(float(t), names, **(dict.fromkeys(seen) if t == 20 else seen))
    states = [2 if 11 <= t < 20 else 1 if t == 20 else 0 for t in range(8, 28)]
    story.write(27.81, "addresses", pods={"10.244.1.9": POD})
    story.series(27.81, "breaker/agent-registry", 8.0, states, pod="a")
    story.series(27.81, f"ejected/{POD}", 8.0, [float(12 <= t < 18) for t in range(8, 28)], pod="gateway")
    story.series(27.81, "ejected/claude-orchestrator-bb6f5fd96-7tktc", 8.0, [0.0] * 20, pod="gateway")
    story.write(27.9, "finding", checker="availability", state="broken", target=">= 99.5 %", baseline="100 %",
                in_fault="96.41 %", recovery="99.71 %",
                summary="15 of 418 failed; worst second 75 %, 3 s after injection",
                detail={"operations": 418, "bad": 15, "budget_spent": 7.18})  # fmt: skip
    story.write(27.9, "finding", checker="latency", state="held", target="p95 <= 1 s, p99 <= 2 s",
                baseline="21 ms, 27 ms", in_fault="610 ms, 911 ms", recovery="22 ms, 30 ms",
                summary="slowest of 418 took 1.1 s", detail={"operations": 418})  # fmt: skip
    story.write(27.9, "finding", checker="recovery", state="held", target="<= 20 s", baseline="", in_fault="",
                recovery="1.4 s", summary="steady after 1.4 s", detail={"failed": 2})  # fmt: skip
    story.write(27.9, "finding", checker="breaker", state="unknown", target="open within 10 s, closes",
                baseline="closed", in_fault="no data", recovery="closed",
                summary="no data came from the metrics for 6 s of the window")  # fmt: skip
    story.write(27.9, "finding", checker="evidence", state="held", target="every fault felt", baseline="",
                in_fault="2 of 2", recovery="", summary="2 of 2 felt, the slowest after 1.5 s", detail={})  # fmt: skip
    story.write(27.9, "finding", checker="machine", state="noted", target="", baseline="51 % idle",
                in_fault="39 % idle, others 15 %", recovery="50 % idle",
                summary="others took 48 % of the CPU for 3 of 11 s (python3)", detail={"idle": 0.39})  # fmt: skip
    story.write(28.0, "verdict", verdict="DEVIATED", expected="PASS", right=False, exit=1, seconds=28.4, overhead=0.6,
                reason="availability: 15 of 418 failed; worst second 75 %, 3 s after injection",
                cause=f"after pod_freeze on {POD} at 8.1 s, 12 of 15 failures were refused at once by {POD}, "
                "whose breaker towards agent-registry was open from 11 s (5 attempts had timed out)")  # fmt: skip
    story.write(28.0, "run.end")

    def shape(t: float) -> tuple[float, float] | tuple[()]:
        if 22 <= t < 24:
            return ()
        if 8.1 <= t < 11:
            return 0.35, 0.12
        return (0.08, 0.03) if 11 <= t < 19 else (0.018, 0.0)

    story.load(0.2, 27.6, shape)
    return story.dir


def passed(dir: Path) -> Path:
    """A run without load in which everything held."""
    run = "20260921-150000-aa01"
    story = Story(dir / run, run)
    story.start(title="One orchestrator is deleted")
    story.plan("pod_kill")
    story.enter(0.002, "baseline")
    story.enter(1.0, "inject")
    story.write(1.1, "fault.injected", id=f"{run}-1", kind="pod_kill", victim=f"{NAMESPACE}/{POD}", facts={"uid": UID})
    story.enter(1.2, "hold")
    story.write(1.3, "fault.felt", id=f"{run}-1", evidence={"deleted": True}, after=0.2)
    story.enter(3.0, "heal")
    story.write(3.1, "undo", id=f"{run}-1", ops=[], ok=True, how="nothing to undo", seconds=0.001)
    story.write(3.4, "fault.healed", id=f"{run}-1", after=0.3, evidence={"ready": 5})
    story.enter(3.5, "judge")
    story.write(
        3.6,
        "finding",
        checker="recovery",
        state="held",
        target="<= 20 s",
        recovery="2.3 s",
        summary="steady after 2.3 s",
    )
    why = "the cluster is not the local one, and nobody measures its nodes"
    story.write(3.6, "finding", checker="machine", state="noted", summary=f"not seen: {why}")
    story.write(
        3.7, "verdict", verdict="PASS", expected="PASS", right=True, reason="", exit=0, seconds=3.7, overhead=0.2
    )
    return story.dir


def died(dir: Path) -> Path:
    """A run whose process was killed while its fault lasted; names from outside are hostile."""
    run = "20260921-160000-dead"
    story = Story(dir / run, run)
    story.start(title=HOSTILE)
    story.plan("node_freeze", pod=HOSTILE)
    story.enter(0.002, "baseline")
    story.write(0.1, "load.started", rate=40, ramp=0.0, workload="execute-agent", pid=4242, origin_ns=ORIGIN,
                record=RECORD.size)  # fmt: skip
    story.enter(4.0, "inject")
    story.write(4.1, "fault.injected", id=f"{run}-1", kind="node_freeze", victim=HOSTILE, facts={"container": HOSTILE})
    story.enter(4.2, "hold")
    story.write(6.0, "error", what=HOSTILE, where="", why="", hint="")
    story.load(0.2, 6.0, lambda t: (0.02, 0.0))
    with (story.dir / "journal.jsonl").open("a") as file:
        file.write('{"seq":9,"wall":17')
    with (story.dir / "operations.bin").open("ab") as file:
        file.write(b"\1" * 40)
    return story.dir


def aborted(dir: Path) -> Path:
    """A run that a person cut short; one undo failed."""
    run = "20260921-170000-d1e7"
    story = Story(dir / run, run)
    story.start(title="A node freezes")
    story.plan("node_freeze")
    story.enter(0.002, "baseline")
    story.enter(2.0, "inject")
    story.write(2.1, "fault.injected", id=f"{run}-1", kind="node_freeze", victim="chaos-local-worker2",
                facts={"container": "chaos-local-worker2"})  # fmt: skip
    story.enter(2.2, "hold")
    story.write(4.0, "abort", trigger="lever", why="alex: customers call", latency=0.004)
    story.enter(4.01, "heal")
    story.write(4.02, "fault.heal_requested", id=f"{run}-1")
    ops = [{"op": "unpause", "container": "chaos-local-worker2"}]
    story.write(34.0, "undo", id=f"{run}-1", ops=ops, ok=False, how="not undone within 30 s", seconds=30.0)
    story.enter(34.1, "judge")
    story.write(34.2, "verdict", verdict="DIRTY", expected="PASS", right=False, exit=6, seconds=34.3, overhead=0.3,
                reason="node_freeze on chaos-local-worker2: not undone within 30 s")  # fmt: skip
    return story.dir


STORIES = {"deviated": deviated, "passed": passed, "died": died, "dirty": aborted}


@pytest.fixture(params=sorted(STORIES))
def story(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """One synthetic run after the other: its name and its folder."""
    return request.param, STORIES[request.param](tmp_path)


@pytest.fixture
def stories(tmp_path: Path) -> dict[str, Path]:
    """Every synthetic run."""
    return {name: write(tmp_path) for name, write in STORIES.items()}
