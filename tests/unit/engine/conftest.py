from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.documents import document
from harness.engine import method
from harness.engine.session import Session
from harness.engine.undoing import healing
from harness.engine.watching import settle
from harness.engine.watching.readiness import Readiness
from harness.faults import FAULTS
from harness.hands.healer import Nobody
from harness.journal.writer import Journal
from harness.model.experiment import BlastRadius, Experiment, Phases
from harness.model.plan import Plan, PlannedFault
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
