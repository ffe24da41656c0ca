"""Say what this harness knows of a fault, an objective and a hand that lie in a folder of somebody's own."""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
from pathlib import Path
from typing import Any

import anyio

DOCUMENT = """
title: x
description: x
method:
  - {type: action, name: break it, provider: {type: python, module: harness.chaostoolkit.actions, func: pod_doze,
     arguments: {soundly: true, target: {namespace: shop, selector: app=cart, pods: 1}}}}
extensions:
  - {name: harness, objectives: {calm: {naps: 3}}, blast-radius: {namespaces: [shop], pods: 1}}
"""
POD = {
    "metadata": {"name": "cart-0", "namespace": "shop", "uid": "uid-0", "creationTimestamp": "0"},
    "spec": {"nodeName": "worker", "containers": [{"name": "cart"}]},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}


class Cluster:
    """One ready pod."""

    context = "here"

    async def list(self, path: str, **_: Any) -> list[dict[str, Any]]:
        return [POD] if path.endswith("/pods") else []

    async def get_text(self, path: str) -> str:
        return "{}"


def plant(package: str, folder: Path) -> None:
    """Put a folder before that of a package, before anybody has asked for it."""
    spec = importlib.util.find_spec(package)
    assert spec
    assert spec.loader
    assert spec.submodule_search_locations is not None
    spec.submodule_search_locations.insert(0, str(folder))
    sys.modules[package] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[package])


def known() -> dict[str, Any]:
    """Ask everything that is made from the faults."""
    from harness.chaostoolkit import actions
    from harness.cli import explain
    from harness.documents import document, schema
    from harness.engine import judge
    from harness.engine.planning import plan, rights
    from harness.hands.kind import Place
    from harness.hands.known import HANDS
    from harness.model.fault import Hand
    from harness.model.history import History
    from harness.model.plan import PlannedFault, Victim
    from harness.targets.reach import Reach

    experiment = document.loads(DOCUMENT, Path("x.yaml"))

    async def planned() -> str:
        cluster: Any = Cluster()
        return plan.text(experiment, await plan.resolve(cluster, experiment, run="r", seed=1, alone=True))

    lulled = PlannedFault("r-1", "pod_doze", "break it", Hand.API, Victim("pod", "cart-0", "uid-0", "shop"))
    cluster: Any = Cluster()
    (finding, *_) = judge.findings(experiment, History(0.0, 1.0, None), [])
    return {
        "hand": str(Reach(cluster).by(lulled)),
        "checks": str([anyio.run(hand.checks, Place(cluster)) for hand in HANDS.values()]),
        "finding": f"{finding.checker} {finding.state}: {finding.summary}",
        "objective": explain._texts()["calm"](),
        "schema": json.dumps(schema.build()),
        "action": str(inspect.signature(actions.pod_doze)),
        "explain": explain._texts()["pod_doze"](),
        "role": json.dumps(rights.roles_for([experiment])),
        "plan": anyio.run(planned),
    }


if __name__ == "__main__":
    for name in ("hands", "checkers", "faults"):
        plant(f"harness.{name}", Path(sys.argv[1]) / name)
    print(json.dumps(known()))
