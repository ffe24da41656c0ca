"""The part scaling says what the seed says of it, but for its corrections; what it asks for is told by somebody."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from claude_services import agents, targets
from harness.cluster.build import gobuild
from harness.cluster.cache import project_root
from harness.stack import apply, overlays, parts, source
from tests.unit.stack import scraped

SCALING = parts.folder() / "scaling"
SEED = project_root() / "stack" / "seed"
EXPERIMENTS = sorted((project_root() / "experiments" / "scaling").glob("*.yaml"))
PROGRAMS = {
    "metrics-server": "sigs.k8s.io/metrics-server",
    "prometheus-adapter": "sigs.k8s.io/prometheus-adapter",
    "vpa-recommender": "k8s.io/autoscaler/vertical-pod-autoscaler",
}


def loaded(path: Path) -> list[dict[str, Any]]:
    return [item for item in yaml.safe_load_all(path.read_text()) if item]


def of(kind: str, path: Path) -> dict[str, Any]:
    (found,) = [item for item in loaded(path) if item["kind"] == kind]
    return found


def autoscaler() -> dict[str, Any]:
    found: dict[str, Any] = of("HorizontalPodAutoscaler", SCALING / "autoscaler.yaml")["spec"]
    return found


def changes(kind: str, name: str = "") -> list[dict[str, Any]]:
    """Return what the local cluster's part of it changes of objects of a kind."""
    patches = loaded(SCALING / "kind" / "kustomization.yaml")[0]["patches"]
    wanted = [one for one in patches if one["target"]["kind"] == kind and re.fullmatch(one["target"]["name"], name)]
    return [change for one in wanted for change in yaml.safe_load(one["patch"])]


def local() -> dict[str, Any]:
    return {one["path"]: one["value"] for one in changes("HorizontalPodAutoscaler", "claude-orchestrator-hpa")}


def objects() -> list[dict[str, Any]]:
    listed = loaded(SCALING / "kustomization.yaml")[0]["resources"]
    return [item for name in listed if name != fetched() for item in loaded(SCALING / name)]


def fetched() -> str:
    return parts.read("scaling").fetched["to"]


def test_the_autoscaler_has_the_bounds_of_the_orchestrator_s_and_the_metrics_of_the_other() -> None:
    bounds = of("HorizontalPodAutoscaler", SEED / "orchestrator.yaml")["spec"]
    other = of("HorizontalPodAutoscaler", SEED / "auto-scaling.yaml")["spec"]
    ours = autoscaler()
    for key in ("scaleTargetRef", "minReplicas", "maxReplicas"):
        assert ours[key] == bounds[key]
    assert (ours["metrics"], ours["behavior"]) == (other["metrics"], other["behavior"])
    assert ours["metrics"][:2] == bounds["metrics"]


def test_the_vertical_one_is_the_seed_s_and_changes_nothing() -> None:
    seed = of("VerticalPodAutoscaler", SEED / "cost.yaml")["spec"]
    ours = of("VerticalPodAutoscaler", SCALING / "vertical-autoscaler.yaml")["spec"]
    assert seed["updatePolicy"] == {"updateMode": "Auto"}
    assert ours == {**seed, "updatePolicy": {"updateMode": "Off"}}


def test_here_its_times_are_a_twentieth_of_the_seed_s() -> None:
    told = local()
    for way, behaviour in autoscaler()["behavior"].items():
        window, (policy,) = behaviour["stabilizationWindowSeconds"], behaviour["policies"]
        assert told[f"/spec/behavior/{way}/stabilizationWindowSeconds"] * 20 == window
        # No period is shorter than a second.
        assert told[f"/spec/behavior/{way}/policies/0/periodSeconds"] == max(1, policy["periodSeconds"] // 20)


def test_here_as_much_cpu_and_as_large_a_share_of_the_memory_is_allowed_as_by_the_seed() -> None:
    base = of("Deployment", overlays.manifests() / "base" / "orchestrator.yaml")
    (asked,) = [one["resources"] for one in base["spec"]["template"]["spec"]["containers"]]
    kind = (overlays.manifests() / "overlays" / "kind" / "kustomization.yaml").read_text()
    assert "requests: {cpu: 50m, memory: 96Mi" in kind
    assert 'limits: {cpu: "1", memory: 256Mi' in kind
    assert (asked["requests"]["cpu"], asked["requests"]["memory"]) == ("500m", "1Gi")
    told = local()
    assert told["/spec/metrics/0/resource/target/averageUtilization"] * 50 == 70 * 500
    assert told["/spec/metrics/1/resource/target/averageUtilization"] * 96 / 256 == pytest.approx(80 / 2, rel=0.05)


def test_only_the_local_cluster_s_kubelets_are_believed_without_a_certificate() -> None:
    flag = "--kubelet-insecure-tls"
    assert flag not in "".join(path.read_text() for path in SCALING.glob("*.yaml"))
    assert {"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": flag} in changes(
        "Deployment", "metrics-server"
    )


def test_each_change_for_the_local_cluster_says_why() -> None:
    text = (SCALING / "kind" / "kustomization.yaml").read_text().partition("patches:")[2]
    assert all("#" in block for block in text.split("\n\n"))


def test_the_queue_that_it_asks_for_is_told_by_each_orchestrator_with_its_pod_and_namespace() -> None:
    (rule,) = loaded(SCALING / "custom-metrics-rules.yaml")[0]["rules"]
    name = autoscaler()["metrics"][2]["pods"]["metric"]["name"]
    assert rule["name"]["as"] == name
    assert [one for one in scraped.of_services() if one.name == name]
    assert rule["seriesQuery"].startswith(f"{name}{{")
    notes = {"prometheus.io/scrape": "true"}
    pod = {
        "metadata": {"name": "a", "namespace": "prod", "annotations": notes},
        "spec": {},
        "status": {"phase": "Running", "podIP": "10.0.0.7"},
    }
    (target,) = targets.pod_targets([pod])
    assert {key: target["labels"][key] for key in rule["resources"]["overrides"]} == {"namespace": "prod", "pod": "a"}


def test_what_serves_a_part_of_the_api_is_found_by_its_service() -> None:
    services = {item["metadata"]["name"]: item["spec"] for item in objects() if item["kind"] == "Service"}
    labels = [item["spec"]["template"]["metadata"]["labels"] for item in objects() if item["kind"] == "Deployment"]
    served = [item for item in objects() if item["kind"] == "APIService"]
    assert {item["metadata"]["name"] for item in served} == {"v1beta1.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io"}
    for item in served:
        spec = item["spec"]
        assert item["metadata"]["name"] == f"{spec['version']}.{spec['group']}"
        assert apply.path(item) == f"/apis/apiregistration.k8s.io/v1/apiservices/{item['metadata']['name']}"
        assert any(services[spec["service"]["name"]]["selector"].items() <= one.items() for one in labels)


def test_every_program_of_it_is_built_here_at_the_version_that_its_image_names() -> None:
    images = parts.read("scaling").images
    used = [item["spec"]["template"]["spec"]["containers"] for item in objects() if item["kind"] == "Deployment"]
    named = dict(container["image"].split(":") for (container,) in used)
    assert named.keys() == images.keys()
    for image, folder in images.items():
        program = source.PROGRAMS[folder]
        assert (project_root() / "images" / folder / "Dockerfile").is_file()
        assert gobuild.PACKAGES[program][1].startswith(PROGRAMS[program])
        text = (gobuild.sources(program) / "go.mod").read_text()
        assert f"tool {gobuild.PACKAGES[program][1]}\n" in text
        assert re.search(rf"{re.escape(PROGRAMS[program])} {re.escape(named[image])}\b", text)


def test_its_programs_are_part_of_its_key_and_of_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    core, whole = source.key("kind"), source.key("kind", ("core", "scaling"))
    folder, package, tags = gobuild.PACKAGES["prometheus-adapter"]
    monkeypatch.setitem(gobuild.PACKAGES, "prometheus-adapter", (folder, package, f"{tags}other"))
    assert source.key("kind", ("core", "scaling")) != whole
    assert source.key("kind") == core


def test_every_container_is_locked_down_and_bounded() -> None:
    for item in objects():
        if item["kind"] == "Deployment":
            pod = item["spec"]["template"]["spec"]
            assert pod["securityContext"]["runAsNonRoot"] is True
            for container in pod["containers"]:
                assert container["securityContext"]["readOnlyRootFilesystem"] is True
                assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
                assert set(container["resources"]) == {"requests", "limits"}


def test_releases_come_after_autoscaling_so_that_the_rollout_is_what_is_scaled() -> None:
    for named in (["delivery", "scaling"], ["scaling", "delivery"]):
        assert parts.closed(named) == ("core", "scaling", "delivery")
    assert parts.closed(["delivery"]) == ("core", "delivery")
    patches = loaded(parts.folder() / "delivery" / "kustomization.yaml")[0]["patches"]
    scaled = {one["target"]["kind"]: one for one in patches if "Autoscaler" in one.get("target", {}).get("kind", "")}
    assert scaled.keys() == {"HorizontalPodAutoscaler", "VerticalPodAutoscaler"}
    rollout = loaded(parts.folder() / "delivery" / "rollout" / "rollout.yaml")[0]
    for one in scaled.values():
        (change,) = yaml.safe_load(one["patch"])
        assert change["value"] == {key: rollout[key] for key in ("apiVersion", "kind")} | {
            "name": rollout["metadata"]["name"]
        }


def test_the_pinned_one_brings_the_part_along_and_may_have_no_more_than_its_least() -> None:
    assert overlays.part_names("weak-pinned-autoscaler") == ("scaling",)
    (patch,) = loaded(overlays.manifests() / "overlays" / "weak-pinned-autoscaler" / "kustomization.yaml")[0]["patches"]
    (change,) = yaml.safe_load(patch["patch"])
    assert change == {"op": "replace", "path": "/spec/maxReplicas", "value": autoscaler()["minReplicas"]}


@pytest.mark.parametrize("path", EXPERIMENTS, ids=[path.stem for path in EXPERIMENTS])
def test_an_experiment_s_load_is_as_many_under_way_as_bring_the_most_or_leave_the_least(path: Path) -> None:
    (ours,) = [one for one in loaded(path)[0]["extensions"] if one["name"] == "harness"]
    told, least = local(), autoscaler()["minReplicas"]
    most, each = told["/spec/maxReplicas"], float(told["/spec/metrics/2/pods/target/averageValue"])
    rates = {float(stage["rate"].removesuffix("/s")) for stage in ours["load"]["stages"]}
    # What a call costs beside its wait, and the tolerance of the autoscaler.
    low, high = (rate * (agents.SLOW_SECONDS + more) / each for rate, more in ((min(rates), 0.1), (max(rates), 0.0)))
    assert low <= 0.9 * least
    assert high >= 1.1 * most
    assert ours["objectives"]["scaling"].get("reaches", most) == most


def test_an_agent_that_waits_ends_in_the_time_that_callers_are_promised() -> None:
    slo = yaml.safe_load((project_root() / "stack" / "slo.yaml").read_text())
    assert agents.catalogue(1)["slow-10"]["configuration"] == {"waitSeconds": agents.SLOW_SECONDS}
    assert float(slo["latency"]["p95"].removesuffix("s")) > agents.SLOW_SECONDS * 1.5


def test_an_execution_that_waits_lets_others_go_on() -> None:
    async def both() -> bool:
        waiting = asyncio.create_task(agents.wait({"configuration": {"waitSeconds": 3600}}))
        await agents.wait({"configuration": {}})
        ended = waiting.done()
        waiting.cancel()
        return ended

    assert not asyncio.run(both())
