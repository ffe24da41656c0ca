"""That nothing is lost is asked with work under way on whoever goes, and weakenings take away what keeps it so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from claude_services import agents, settings
from harness.cluster.cache import project_root
from harness.stack import overlays

EXPERIMENTS = project_root() / "experiments"
UNDER_WAY = ("orchestrator/rollout_restart", "orchestrator/scale_down", "nodes/drain_under_way")
# On each pod, when one goes: fewer might be none.
LEAST_UNDER_WAY = 3.0


def loaded(path: Path) -> list[dict[str, Any]]:
    return [item for item in yaml.safe_load_all(path.read_text()) if item]


def ours(name: str) -> dict[str, Any]:
    """Return what a document says to the harness."""
    (document,) = loaded(EXPERIMENTS / f"{name}.yaml")
    (found,) = [one for one in document["extensions"] if one["name"] == "harness"]
    return dict(found)


def base(file: str, kind: str) -> dict[str, Any]:
    (found,) = [item for item in loaded(overlays.manifests() / "base" / file) if item["kind"] == kind]
    return found


def patches(overlay: str) -> list[dict[str, Any]]:
    """List the operations of an overlay's patches."""
    (found,) = loaded(overlays.manifests() / "overlays" / overlay / "kustomization.yaml")
    return [operation for one in found["patches"] for operation in yaml.safe_load(one["patch"])]


@pytest.mark.parametrize("name", [*UNDER_WAY, "delivery/good_release"])
def test_every_operation_counts(name: str) -> None:
    assert ours(name)["objectives"]["availability"] == {"ratio": "100%"}


@pytest.mark.parametrize("name", UNDER_WAY)
def test_whoever_goes_has_work_under_way(name: str) -> None:
    load, replicas = ours(name)["load"], base("orchestrator.yaml", "Deployment")["spec"]["replicas"]
    assert load["workload"] == "slow-agent"
    assert float(load["rate"].removesuffix("/s")) * agents.SLOW_SECONDS / replicas >= LEAST_UNDER_WAY


def test_what_is_under_way_ends_while_an_orchestrator_drains() -> None:
    pod = base("orchestrator.yaml", "Deployment")["spec"]["template"]["spec"]
    drain = settings.from_environment("claude-orchestrator", {}).drain_seconds
    waits = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert drain > agents.SLOW_SECONDS
    assert waits + drain < pod["terminationGracePeriodSeconds"]


def test_without_a_drain_an_orchestrator_drops_all_and_nobody_asks_again() -> None:
    container = base("orchestrator.yaml", "Deployment")["spec"]["template"]["spec"]["containers"][0]
    removed, added, replaced = patches("weak-no-drain")
    assert removed == {"op": "remove", "path": "/spec/template/spec/containers/0/lifecycle"}
    assert "lifecycle" in container
    told = {added["value"]["name"]: added["value"]["value"]}
    assert settings.from_environment("claude-orchestrator", told).drain_seconds == 0
    assert (replaced["path"], replaced["value"]) == ("/spec/http/0/retries", {"attempts": 0})
    assert "retries" in base("mesh.yaml", "VirtualService")["spec"]["http"][0]


def test_the_canary_that_is_empty_is_the_seed_s() -> None:
    (rule,) = [
        one for one in loaded(project_root() / "stack" / "seed" / "mesh.yaml") if one["kind"] == "DestinationRule"
    ]
    named, labelled = patches("weak-empty-canary")
    (canary,) = [one for one in rule["spec"]["subsets"] if one["name"] == named["value"]]
    assert labelled["value"] == canary["labels"]
    assert overlays.part_names("weak-empty-canary") == ("delivery",)
