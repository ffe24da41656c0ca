from __future__ import annotations

import importlib
import inspect
from typing import Any

import anyio
import pytest

from harness.steps.worker import run

PROBES = [
    ("probes.workload", "ready_replicas", {"namespace": "prod", "deployment": "api"}),
    ("probes.workload", "ready_pods", {"namespace": "prod", "selector": "app=db"}),
    ("probes.workload", "available", {"namespace": "prod", "deployment": "api"}),
    ("probes.nodes", "ready_nodes", {}),
    ("probes.nodes", "schedulable_nodes", {"selector": "zone=a"}),
    ("probes.rollout", "outcome", {"namespace": "prod", "rollout": "api", "wait": 1}),
    ("probes.rollout", "weight", {"namespace": "prod", "rollout": "api", "least": 10, "wait": 1}),
    ("probes.budget", "allowed_disruptions", {"namespace": "prod", "name": "api-pdb"}),
    ("probes.gateway", "status", {"url": "http://127.0.0.1:1"}),
    ("probes.gateway", "ejected", {}),
    ("probes.breaker", "state", {"dependency": "registry"}),
    ("probes.breaker", "open_breakers", {"dependency": "registry"}),
    ("probes.slo", "availability", {"window": "10s"}),
    ("probes.slo", "latency", {"quantile": 0.5}),
]


@pytest.mark.parametrize(("module", "func", "arguments"), PROBES)
def test_chaos_toolkit_takes_the_probe(module: str, func: str, arguments: dict[str, Any]) -> None:
    from chaoslib.activity import ensure_activity_is_valid

    provider = {"type": "python", "module": module, "func": func, "arguments": arguments}
    ensure_activity_is_valid({"type": "probe", "name": func, "provider": provider})


def test_every_public_probe_is_described_and_listed_here() -> None:
    listed = {(module, func) for module, func, _ in PROBES}
    for name in {module for module, _ in listed}:
        module = importlib.import_module(name)
        for func, value in inspect.getmembers(module, inspect.isfunction):
            if not func.startswith("_") and value.__module__ == name:
                assert (name, func) in listed
                assert inspect.getdoc(value)


def test_a_probe_runs_as_a_step_with_its_tolerance(api: Any) -> None:
    status = {"readyReplicas": 2}
    spec = {"selector": {}, "template": {}}
    api.answers["/apis/apps/v1/namespaces/prod/deployments/api"] = (
        200,
        {"metadata": {}, "spec": spec, "status": status},
    )
    activity = {
        "type": "probe",
        "name": "ready",
        "tolerance": {"type": "range", "range": [3, 20]},
        "provider": {"type": "python", "module": "probes.workload", "func": "ready_replicas",
                     "arguments": {"namespace": "prod", "deployment": "api"}},
    }  # fmt: skip

    async def main() -> dict[str, Any]:
        return await run(activity, deadline=60)

    result = anyio.run(main)
    assert (result["status"], result["output"], result["tolerance_met"]) == ("succeeded", 2, False)
