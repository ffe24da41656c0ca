"""Every kind of workload, every fault of a pod, every shape of a budget: the harness beside an oracle on a cluster.

The oracle asks the API server only: which pods are Ready, what a dry run of the eviction says, whether a pod has a
controller. A difference is a row with a reason to be found; there should be none.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import random
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from bench import barnyard
from harness import __version__
from harness.checkers import disruption_budget, recovery
from harness.cluster import local
from harness.cluster.kube import Kube
from harness.engine.planning import lost_for_good
from harness.engine.watching import observe
from harness.engine.watching.readiness import Readiness
from harness.errors import ApiError, Exit, HarnessError, UsageError
from harness.faults import FAULTS
from harness.keeper.client import Keeper
from harness.model.fault import Target
from harness.model.history import FaultRecord, History, Sample
from harness.model.plan import PlannedFault
from harness.model.verdict import State
from harness.resources import resource
from harness.targets import select
from harness.targets.reach import Reach

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PAGE = Path(__file__).parents[1] / "docs" / "sweep.md"
TITLE = "# Workloads, faults and budgets\n"
METHOD = (
    "Each kind of workload in a namespace of its own, each shape of a budget, each fault, beside an oracle that asks"
    " the API server only. Compared are whether the plan refuses, the eviction's answer with that of a dry run, the"
    " seconds until it was healed, and the recovery. `make sweep` writes this.\n"
)
SWEPT = (
    ("pod_kill", {}),
    ("pod_kill", {"grace": 0}),
    ("pod_evict", {}),
    ("container_kill", {}),
    ("pod_freeze", {}),
)
# Seeing the same thing, two who look may be so far apart.
TOLERANCE = 1.0
LOOK_SECONDS = 0.1
LIMIT_SECONDS = 150.0
LEASE_SECONDS = 15.0
RUN, NUMBERS = secrets.token_hex(2), itertools.count(1)


@dataclass(slots=True)
class Row:
    """One combination: what the harness said, and where the oracle said something else."""

    kind: str
    shape: str
    fault: str
    plan: str = ""
    answer: str = ""
    healed: float | None = None
    oracle: float | None = None
    differences: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Seen:
    """What the harness's observers emitted during one fault."""

    samples: list[Sample] = field(default_factory=list)
    evictions: list[dict[str, Any]] = field(default_factory=list)

    def sample(self, kind: str, **data: Any) -> None:
        """Take what a watch of the engine writes to the journal."""
        if kind == "sample":
            self.samples.append(Sample(time.monotonic(), data["series"], data["value"], data["labels"]))

    def eviction(self, kind: str, data: dict[str, Any]) -> None:
        """Take an eviction's answer."""
        if kind == "eviction":
            self.evictions.append({"time": time.monotonic(), **data})


def main(argv: Sequence[str] | None = None) -> int:
    """Sweep, print each row and keep the table in docs/sweep.md; 1 when something differs."""
    given = _options().parse_args(argv)
    rows = _older(given.rows)
    done = {(row.kind, row.shape) for row in rows}
    cells = [cell for cell in itertools.product(given.kinds, given.shapes) if cell not in done]

    def keep(found: Sequence[Row]) -> None:
        rows.extend(found)
        given.rows.parent.mkdir(parents=True, exist_ok=True)
        given.rows.write_text(json.dumps([dataclasses.asdict(row) for row in rows]))

    code = 0
    try:
        anyio.run(_sweep, cells, given.together, keep)
    except KeyboardInterrupt:
        code = int(Exit.INTERRUPTED)
    order = {kind: number for number, kind in enumerate(barnyard.ROOTS)}
    rows.sort(key=lambda row: (order[row.kind], row.shape))
    different = [row for row in rows if row.differences]
    _keep(rows)
    print(f"{len(rows)} combinations, {len(different)} differ")
    return code or int(bool(different or not rows))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.sweep", description=__doc__)
    parser.add_argument("--kinds", nargs="*", choices=[*barnyard.ROOTS], default=[*barnyard.ROOTS])
    parser.add_argument("--shapes", nargs="*", choices=[*barnyard.SHAPES], default=[*barnyard.SHAPES])
    parser.add_argument("--rows", type=Path, default=Path("runs/sweep.json"), help="what was swept is not swept again")
    parser.add_argument("--together", type=int, default=3, help="namespaces at the same time (3)")
    return parser


def _older(path: Path) -> list[Row]:
    return [Row(**row) for row in json.loads(path.read_text())] if path.exists() else []


async def _sweep(cells: Sequence[tuple[str, str]], together: int, keep: Callable[[Sequence[Row]], None]) -> None:
    cluster = local.current()
    if cluster is None:
        sys.exit("no local cluster: `harness up`")
    gate = anyio.CapacityLimiter(together)
    async with Kube.connect(cluster.kubeconfig, cluster.context) as kube, _keeper(cluster.keeper_socket) as keeper:
        path = "/apis/apps/v1/namespaces/claude-ecosystem-prod/deployments/claude-tool-router"
        image = str((await kube.get(path))["spec"]["template"]["spec"]["containers"][0]["image"])
        await _define(kube)

        async def cell(kind: str, shape: str) -> None:
            async with gate, _namespace(kube) as namespace:
                keep(await _cell(Reach(kube, keeper, cluster), namespace, (kind, shape), image))

        try:
            async with anyio.create_task_group() as group:
                for kind, shape in cells:
                    group.start_soon(cell, kind, shape)
        finally:
            with anyio.CancelScope(shield=True):
                for definition in barnyard.definitions():
                    await kube.delete(f"{DEFINITIONS}/{definition['metadata']['name']}")


@contextlib.asynccontextmanager
async def _keeper(socket: Path) -> AsyncIterator[Keeper]:
    keeper = await Keeper.connect(socket, f"sweep-{time.monotonic_ns()}", LEASE_SECONDS)

    async def beat() -> None:
        while True:
            await keeper.beat()
            await anyio.sleep(LEASE_SECONDS / 5)

    async with anyio.create_task_group() as group:
        group.start_soon(beat)
        try:
            yield keeper
        finally:
            group.cancel_scope.cancel()
    await keeper.end()


async def _define(kube: Kube) -> None:
    for definition in barnyard.definitions():
        await kube.patch(f"{DEFINITIONS}/{definition['metadata']['name']}", definition, kind="apply")
    for path in (barnyard.ROOTS[kind].format("default") for kind in barnyard.CUSTOM):
        with anyio.fail_after(LIMIT_SECONDS):
            while not await _served(kube, path):
                await anyio.sleep(LOOK_SECONDS)


async def _served(kube: Kube, path: str) -> bool:
    try:
        await kube.get(path)
    except ApiError:
        return False
    return True


@contextlib.asynccontextmanager
async def _namespace(kube: Kube) -> AsyncIterator[str]:
    name = f"t-sweep-{RUN}-{next(NUMBERS)}"
    await kube.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        yield name
    finally:
        with anyio.CancelScope(shield=True):
            await kube.delete(f"/api/v1/namespaces/{name}")


async def _cell(reach: Reach, namespace: str, what: tuple[str, str], image: str) -> list[Row]:
    rows: list[Row] = []
    kube, kind, budgets = reach.kube, what[0], barnyard.SHAPES[what[1]]
    for number, spec in enumerate(budgets):
        body = {"selector": {"matchLabels": barnyard.LABELS}, **spec}
        metadata = {"name": f"swept-{number}"}
        made = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": body}
        await kube.create(f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets", made)
    owner = await kube.create(barnyard.ROOTS[kind].format(namespace), barnyard.workload(kind, image))
    async with anyio.create_task_group() as group:
        if kind in barnyard.CUSTOM:
            group.start_soon(barnyard.herd, kube, namespace, owner, image)
        for name, parameters in SWEPT:
            row = Row(*what, f"{name} {parameters or ''}".strip())
            try:
                await _whole(kube, namespace, kind, len(budgets))
                await _one(reach, namespace, row, name, parameters)
            except* (HarnessError, TimeoutError) as errors:
                row.differences += [f"{type(error).__name__}: {error}".splitlines()[0] for error in errors.exceptions]
            rows.append(row)
            print(_told(row), flush=True)
        group.cancel_scope.cancel()
    return rows


async def _whole(kube: Kube, namespace: str, kind: str, budgets: int) -> None:
    """Wait until as many pods are Ready as there should be, and each budget has counted them."""
    wanted = {"Pod": 1, "DaemonSet": 3}.get(kind, barnyard.COUNT)
    with anyio.fail_after(LIMIT_SECONDS):
        while True:
            found = await kube.list(f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets")
            counted = [_counted(one.get("status", {}), wanted) for one in found]
            # Of two budgets on one pod only one hears of its changes.
            if len(await barnyard.ready(kube, namespace)) >= wanted and sum(counted) >= min(1, budgets):
                return
            await anyio.sleep(LOOK_SECONDS)


def _counted(status: dict[str, Any], wanted: int) -> bool:
    """Say whether a budget has counted its pods, or cannot: a share needs an owner with a scale."""
    failed = any(one.get("reason") == "SyncFailed" for one in status.get("conditions") or ())
    return failed or status.get("currentHealthy") == wanted


async def _one(reach: Reach, namespace: str, row: Row, name: str, parameters: dict[str, Any]) -> None:
    kube, kind = reach.kube, FAULTS[name]
    target = Target(namespace, "app=swept", pods=1)
    (victim,) = await select.resolve(kube, reach.owners, target, random.Random(1), taken=frozenset())
    fault = PlannedFault(f"sweep-{time.monotonic_ns()}", name, "a sweep", kind.hand, victim, parameters)
    before = await barnyard.ready(kube, namespace)
    pod = before[victim.uid]
    alone = not any(one.get("controller") for one in pod["metadata"].get("ownerReferences") or ())
    lost = alone and name in ("pod_kill", "pod_evict")
    try:
        await lost_for_good.require(kube, reach.owners, [fault])
    except UsageError:
        row.plan = "refused"
    if (row.plan == "refused") != lost:
        row.differences.append(f"the plan {'refuses' if row.plan else 'takes'} it")
    if row.plan:
        return
    expected = await barnyard.would_evict(kube, pod) if name == "pod_evict" else 0
    seen, backs = Seen(), list[float]()
    reach = Reach(kube, reach.healer, reach.cluster, emit=seen.eviction)
    async with anyio.create_task_group() as group:
        group.start_soon(observe.workloads, kube, namespace, seen.sample, Readiness([namespace]))
        while not any(sample.series.startswith("workloads/") for sample in seen.samples):
            await anyio.sleep(LOOK_SECONDS)
        start = time.monotonic()
        facts, applied, healed = await _live(reach, fault, group, before, backs)
        row.healed = healed - applied
        with anyio.move_on_after(TOLERANCE * 2):
            while not backs:
                await anyio.sleep(LOOK_SECONDS)
        row.oracle = backs[0] - applied if backs else None
        group.cancel_scope.cancel()
    row.answer = str(facts.get("status", ""))
    refused = name == "pod_evict" and int(facts["status"]) >= 400
    record = FaultRecord(
        fault.id, name, str(victim), start, applied, healed, facts, applied, applied, kind.instant, kind.disturbs
    )
    history = History(
        start - 1, time.monotonic(), (start, healed), faults=[record], samples=seen.samples, evictions=seen.evictions
    )
    _compare(row, history, expected, refused=refused)


async def _live(
    reach: Reach, fault: PlannedFault, group: Any, before: dict[str, Any], backs: list[float]
) -> tuple[dict[str, Any], float, float]:
    """Take a fault through its life beside the oracle; return its facts, when it was applied and when it was healed."""
    kind, keeper = FAULTS[fault.kind], reach.healer
    undo = kind.undo(fault, reach)
    if undo:
        await keeper.register(fault.id, undo)
    try:
        with anyio.fail_after(LIMIT_SECONDS):
            if kind.order:  # an agent reads what it is to do there, and gives a run that it never heard of its time
                await resource.create(reach.kube, fault, fault.id, undo, await kind.order(fault, reach))
            facts = await kind.inject(fault, reach)
            applied = time.monotonic()
            group.start_soon(_watch, reach.kube, fault, before, backs, int(facts.get("status", 0)) >= 400)
            try:
                await kind.felt(fault, reach)
            except HarnessError:
                if facts.get("status") != 500:
                    raise
    finally:
        with anyio.CancelScope(shield=True):
            await kind.heal(fault, reach)
            if kind.order:
                await resource.delete(reach.kube, fault)
            if undo:
                await keeper.forget(fault.id)
    with anyio.fail_after(LIMIT_SECONDS):
        await kind.healed(fault, reach)
    return facts, applied, time.monotonic()


async def _watch(kube: Kube, fault: PlannedFault, before: dict[str, Any], backs: list[float], nothing: bool) -> None:
    """Note when there are as many Ready pods as before, the one that was hit not among them unless it may stay."""
    stays = fault.kind in ("container_kill", "pod_freeze")
    old = before[fault.victim.uid]["status"]["containerStatuses"][0]["restartCount"]
    while True:
        now = await barnyard.ready(kube, fault.victim.namespace)
        one = now.get(fault.victim.uid)
        restarted = bool(one and one["status"]["containerStatuses"][0]["restartCount"] > old)
        same = restarted if fault.kind == "container_kill" else one is not None
        left = len(now) - (not stays and one is not None)
        if nothing or (len(before) <= left and (not stays or same)):
            backs.append(time.monotonic())
            return
        await anyio.sleep(LOOK_SECONDS)


def _compare(row: Row, history: History, expected: int, *, refused: bool) -> None:
    if expected and row.answer != str(expected):
        row.differences.append(f"the eviction was answered {row.answer}, a dry run {expected}")
    if history.evictions and row.shape != "none":
        found = disruption_budget.check(history, {"name": "swept-0"})
        right = State.UNKNOWN if row.answer == "500" else State.HELD
        if found.state is not right:
            row.differences.append(f"the budget is {found.state}: {found.summary}")
    if row.oracle is None:
        row.differences.append("the oracle did not see it back")
        return
    # A frozen pod that is felt by its silence was Ready all the while.
    frozen = row.fault.startswith("pod_freeze")
    if row.healed is not None and not frozen and abs(row.healed - row.oracle) > TOLERANCE:
        row.differences.append(f"healed after {row.healed:.1f} s, by the oracle after {row.oracle:.1f} s")
    found = recovery.check(history, {"within": LIMIT_SECONDS})
    took = float(found.detail["last_bad"]) - float(found.detail["from"]) if found.detail else -1.0
    if found.state is not State.HELD:
        row.differences.append(f"recovery is {found.state}: {found.summary}")
    elif not frozen and abs(took - (0.0 if refused else row.oracle)) > TOLERANCE:
        row.differences.append(f"recovery took {took:.1f} s, by the oracle {row.oracle:.1f} s")


def _told(row: Row) -> str:
    healed = "" if row.healed is None else f"{row.healed:5.1f} s"
    said = "; ".join(row.differences) or "as the oracle"
    return f"{row.kind:<22} {row.shape:<8} {row.fault:<22} {row.plan or row.answer:<8} {healed:<8} {said}"


def _keep(rows: Sequence[Row]) -> None:
    """Write the table: one line for each kind and shape, each fault's seconds or answer in it."""
    faults = list(dict.fromkeys(row.fault for row in rows))
    lines = [TITLE, METHOD, f"## {datetime.now(UTC):%Y-%m-%d}, {__version__}\n"]
    different = [row for row in rows if row.differences]
    lines.append(f"{len(rows)} combinations, {len(different)} differ from the oracle. Seconds until healed.\n")
    lines += [f"| workload | budget | {' | '.join(faults)} |", f"|---|---|{'---|' * len(faults)}"]
    cells = {(row.kind, row.shape, row.fault): row for row in rows}
    for kind, shape in dict.fromkeys((row.kind, row.shape) for row in rows):
        shown = [_shown(cells.get((kind, shape, fault))) for fault in faults]
        lines.append(f"| {kind} | {shape} | {' | '.join(shown)} |")
    lines += ["", *(f"- {row.kind}, {row.shape}, {row.fault}: {'; '.join(row.differences)}" for row in different)]
    PAGE.write_text("\n".join(lines).rstrip() + "\n")


def _shown(row: Row | None) -> str:
    if row is None:
        return ""
    told = row.plan or ("" if row.healed is None else f"{row.healed:.1f}")
    told += f" ({row.answer})" if row.answer else ""
    return f"**{told or '?'}**" if row.differences else told


if __name__ == "__main__":
    sys.exit(main())
