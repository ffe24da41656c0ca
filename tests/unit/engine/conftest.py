from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from harness.documents import document
from harness.engine import method
from harness.engine.planning import lost_for_good, plan
from harness.engine.session import Session
from harness.engine.undoing import healing
from harness.engine.watching import settle
from harness.engine.watching.readiness import Readiness
from harness.faults import FAULTS
from harness.hands.healer import Nobody
from harness.journal.writer import Journal
from harness.model.experiment import BlastRadius, Experiment, Phases
from harness.model.plan import Plan, PlannedFault
from tests.unit.engine import shop
from tests.unit.engine.doubles import Broken, Kube, Lease, Steps, fault
from tests.unit.engine.looked_at import Cluster


@pytest.fixture
def experiment() -> Callable[..., Experiment]:
    """Make an experiment whose blast radius and phases a test may set."""
    text = "{title: x, description: x, method: [], extensions: [{name: harness, objectives: {recovery: {within: 1s}}}]}"
    made = document.loads(text, Path("x.yaml"))
    return lambda radius: replace(made, blast_radius=radius, phases=Phases(recovery=1.0))


@pytest.fixture
async def session(tmp_path: Path, anyio_backend, experiment) -> Session:
    plan = Plan("run", 1, "kind-here", (fault("a"), fault("b")), "i", "r")
    return Session(
        experiment=experiment(BlastRadius(nodes=2)),
        plan=plan,
        kube=Kube(),  # type: ignore[arg-type]
        cluster=None,
        healer=Nobody(),
        lease=Lease(),  # type: ignore[arg-type]
        journal=Journal(tmp_path / "run", "run"),
        worker=Steps(),  # type: ignore[arg-type]
        readiness=Readiness([]),
        directory=tmp_path / "run",
        say=lambda _: None,
        planned=True,
    )


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Broken]:
    def make(**does: Callable[[PlannedFault], Any]) -> Broken:
        found = Broken(**does)
        every = ("prepare", "undo", "inject", "felt", "heal", "healed", "remains")
        steps = {step: getattr(found, step) for step in every}
        kinds = {kind: replace(FAULTS[kind], **steps) for kind in ("node_cordon", "pod_kill")}
        for module in (method, healing):
            monkeypatch.setattr(module, "FAULTS", kinds)
        return found

    return make


@pytest.fixture
def told(session, monkeypatch):
    """Look at a cluster once, as a run in the namespace `shop` does."""
    monkeypatch.setattr("harness.cluster.local.current", lambda: None)
    monkeypatch.setattr("harness.resources.resource.list_all", nothing)
    session.experiment = replace(session.experiment, blast_radius=BlastRadius(("shop",), pods=1))

    async def look(cluster: Cluster) -> list[str]:
        session.kube = cluster
        return await settle.look(session)

    return look


async def nothing(*_: Any) -> list[Any]:
    return []


@pytest.fixture
def everybody_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no pod lost for good, whoever owns it."""

    async def fine(*_: Any) -> None:
        return None

    monkeypatch.setattr(lost_for_good, "require", fine)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let no time pass, and note for how long somebody wanted to wait."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(anyio, "sleep", sleep)
    return found


@pytest.fixture
def walk(session: Session, broken, slept):
    """Do an experiment's method on so many pods, each killed one being replaced at once; gives what was done."""

    async def run(made: Experiment, pods: int, seed: int = 1, **does: Any) -> Broken:
        cluster = shop.Cluster(pods)
        session.kube, session.experiment = cluster, replace(made, phases=Phases(recovery=1.0), stated={})
        session.scope = replace(session.scope, alone=True)
        session.plan = await plan.resolve(session.kube, made, run="run", seed=seed, alone=True)

        def lose(fault: PlannedFault) -> dict[str, Any]:
            cluster.replace(fault.victim.uid)
            return {"what": "inject"}

        found: Broken = broken(**{"inject": lose, **does})
        await method.walk(session)
        return found

    return run


@pytest.fixture
def begun(session: Session):
    """Plan an experiment for so many pods, of which nothing is broken yet."""

    async def begin(made: Experiment, pods: int) -> None:
        session.kube, session.experiment = shop.Cluster(pods), made
        session.scope = replace(session.scope, alone=True)
        session.plan = await plan.resolve(session.kube, made, run="run", seed=1, alone=True)

    return begin
