"""Deploying: what is applied in which order, what is left over is removed, and what counts as up."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml

from harness.cluster.build import gobuild
from harness.cluster.cache import project_root
from harness.errors import ApiError, PreconditionFailed, UsageError
from harness.stack import apply, istio, overlays, parts, ready, source

BASE = overlays.manifests() / "base"


class FakeKube:
    """Take requests and remember them."""

    def __init__(self, refuse: str = "") -> None:
        self.patched: list[str] = []
        self.deleted: list[str] = []
        self.objects: dict[str, Any] = {}
        self._refuse = refuse

    async def patch(self, path: str, body: Mapping[str, Any], **params: Any) -> dict[str, Any]:
        if self._refuse and self._refuse in path:
            raise ApiError(422, "Invalid", ".spec.trafficPolicy.circuitBreaker: field not declared in schema")
        self.patched.append(path)
        self.objects[path] = dict(body)
        return dict(body)

    async def get(self, path: str) -> dict[str, Any]:
        if path not in self.objects:
            raise ApiError(404, "NotFound", path)
        found: dict[str, Any] = self.objects[path]
        return found

    async def delete(self, path: str, **params: Any) -> dict[str, Any]:
        self.deleted.append(path)
        return {}


def base_objects() -> list[dict[str, Any]]:
    listed = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    return [item for name in listed for item in yaml.load_all((BASE / name).read_text(), yaml.CSafeLoader) if item]


def named(kind: str, name: str) -> dict[str, Any]:
    (found,) = (item for item in base_objects() if (item["kind"], item["metadata"]["name"]) == (kind, name))
    return found


def test_what_others_need_is_applied_first() -> None:
    kube = FakeKube()
    anyio.run(apply.apply, kube, list(reversed(base_objects())))
    kinds = [path.split("/")[-2] for path in kube.patched]
    order = ["namespaces", "priorityclasses", "limitranges", "resourcequotas", "serviceaccounts", "deployments"]
    firsts = [kinds.index(kind) for kind in order]
    assert firsts == sorted(firsts)
    assert set(kinds[: kinds.count("namespaces")]) == {"namespaces"}


def test_what_a_program_reads_once_is_there_before_it_starts() -> None:
    # istiod that finds no template for its injector injects nothing for as long as it lives.
    metadata = {"name": "x", "namespace": "istio-system"}
    kube = FakeKube()
    kinds = {"Deployment": "apps/v1", "Service": "v1", "ConfigMap": "v1"}
    anyio.run(apply.apply, kube, [{"apiVersion": of, "kind": kind, "metadata": metadata} for kind, of in kinds.items()])
    assert kube.patched[0] == "/api/v1/namespaces/istio-system/configmaps/x"


@pytest.mark.parametrize(
    ("api_version", "kind", "namespace", "path"),
    [
        ("v1", "Service", "prod", "/api/v1/namespaces/prod/services/x"),
        ("apps/v1", "Deployment", "prod", "/apis/apps/v1/namespaces/prod/deployments/x"),
        ("v1", "Namespace", "", "/api/v1/namespaces/x"),
        ("scheduling.k8s.io/v1", "PriorityClass", "", "/apis/scheduling.k8s.io/v1/priorityclasses/x"),
        (
            "security.istio.io/v1",
            "AuthorizationPolicy",
            "prod",
            "/apis/security.istio.io/v1/namespaces/prod/authorizationpolicies/x",
        ),
        (
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "prod",
            "/apis/networking.k8s.io/v1/namespaces/prod/networkpolicies/x",
        ),
    ],
)
def test_an_object_s_path_follows_from_its_kind(api_version: str, kind: str, namespace: str, path: str) -> None:
    metadata = {"name": "x", "namespace": namespace}
    assert apply.path({"apiVersion": api_version, "kind": kind, "metadata": metadata}) == path


def test_a_refusal_names_the_object_and_says_why() -> None:
    with pytest.raises(PreconditionFailed, match="DestinationRule claude-orchestrator-dr") as caught:
        anyio.run(apply.apply, FakeKube(refuse="destinationrules"), base_objects())
    assert "field not declared in schema" in str(caught.value)


def test_what_is_gone_is_removed_last_applied_first() -> None:
    kube = FakeKube()
    anyio.run(apply.prune, kube, ["/first", "/second"])
    assert kube.deleted == ["/second", "/first"]


def test_what_was_deployed_is_remembered() -> None:
    async def run() -> dict[str, str]:
        kube = FakeKube()
        assert await apply.inventory(kube) == {}  # type: ignore[arg-type]
        await apply.remember(kube, ["/a", "/b"], "key", "kind")  # type: ignore[arg-type]
        return await apply.inventory(kube)  # type: ignore[arg-type]

    remembered = anyio.run(run)
    assert (remembered["key"], remembered["overlay"], apply.paths(remembered)) == ("key", "kind", ["/a", "/b"])


UP = {
    "metadata": {"name": "x", "generation": 3},
    "status": {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
}


def test_a_deployment_is_up_when_all_of_the_newest_are_available() -> None:
    assert ready.rolled_out(UP, 2)


@pytest.mark.parametrize(
    "change", [{"observedGeneration": 2}, {"replicas": 3}, {"updatedReplicas": 1}, {"availableReplicas": 1}]
)
def test_a_deployment_under_way_is_not_up(change: dict[str, int]) -> None:
    deployment = copy.deepcopy(UP)
    deployment["status"].update(change)  # type: ignore[attr-defined]
    assert not ready.rolled_out(deployment, 2)


def test_a_deployment_that_somebody_scaled_is_not_up() -> None:
    assert not ready.rolled_out(UP, 5)


def test_a_deployment_scaled_to_nothing_is_up() -> None:
    assert ready.rolled_out({"metadata": {"generation": 1}, "status": {"observedGeneration": 1}}, 0)


def test_every_weakening_stands_on_the_kind_overlay() -> None:
    for name in overlays.names():
        text = (overlays.manifests() / "overlays" / name / "kustomization.yaml").read_text()
        assert yaml.safe_load(text)["resources"] == (["../../base"] if name == "kind" else ["../kind"])
    assert {"kind", "weak-no-pdb", "weak-one-replica", "weak-retries-off"} < set(overlays.names())


def test_the_command_line_knows_every_overlay_and_its_help_loads_no_cluster_client() -> None:
    code = "import sys; from harness.cli import group; group.main(['up', '--help'], standalone_mode=False);"
    code += "print([m for m in sys.modules if m.split('.')[0] in ('kubernetes', 'httpx', 'anyio', 'yaml')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(name in done.stdout for name in overlays.names())


def test_a_changed_prometheus_configuration_starts_prometheus_anew() -> None:
    # A generated ConfigMap has its content's hash in its name, which the Deployment's template mentions.
    generated = yaml.safe_load((BASE / "kustomization.yaml").read_text())["configMapGenerator"]
    assert [(item["name"], item["namespace"]) for item in generated] == [("prometheus", "monitoring")]
    assert not any(item["kind"] == "ConfigMap" for item in base_objects())
    text = (BASE / generated[0]["files"][0].partition("=")[2]).read_text()
    assert yaml.safe_load(text)["global"]["scrape_interval"] == "15s"


def test_the_gateway_gives_its_callers_time_to_go_elsewhere_before_it_is_killed() -> None:
    template = named("Deployment", "claude-ecosystem-gateway")["spec"]["template"]
    asked = yaml.safe_load(template["metadata"]["annotations"]["proxy.istio.io/config"])
    seconds = float(asked["terminationDrainDuration"].removesuffix("s"))
    assert asked["drainDuration"] == asked["terminationDrainDuration"]
    assert 0 < seconds < template["spec"]["terminationGracePeriodSeconds"]


def test_another_istio_in_the_cluster_is_another_stack() -> None:
    assert source.key("kind", foreign="1-31") != source.key("kind")


def test_a_cluster_s_own_istio_completes_the_gateway_s_pods_and_those_of_a_namespace() -> None:
    injected = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "x", "labels": {istio.LABEL: "ours"}}}
    objects = [*base_objects(), injected]
    istio.hand_over(objects, "1-31")
    namespaces = {item["metadata"]["name"]: item["metadata"] for item in objects if item["kind"] == "Namespace"}
    assert [name for name, one in namespaces.items() if istio.LABEL in one.get("labels", {})] == ["x"]
    assert namespaces["x"]["labels"] == {istio.LABEL: "1-31"}
    found = [item["spec"]["template"]["metadata"]["labels"] for item in objects if item["kind"] == "Deployment"]
    revisions = {labels["app"]: labels[istio.LABEL] for labels in found if istio.LABEL in labels}
    assert revisions == {"claude-ecosystem-gateway": "1-31"}


@pytest.mark.parametrize(
    ("labels", "revision"),
    [
        ([], ""),
        ([{"app": "istiod", istio.LABEL: istio.REVISION}], ""),
        ([{"app": "istiod"}], "default"),
        ([{"app": "istiod", istio.LABEL: istio.REVISION}, {"app": "istiod", istio.LABEL: "1-31"}], "1-31"),
    ],
)
def test_an_istio_that_somebody_else_installed_is_found(labels: list[dict[str, str]], revision: str) -> None:
    class Listing:
        async def list(self, path: str, labels: str) -> list[dict[str, Any]]:
            assert (path, labels) == ("/apis/apps/v1/deployments", "app=istiod")
            return [{"metadata": {"labels": one}} for one in found]

    found = labels
    assert anyio.run(istio.foreign, Listing()) == revision


def test_istio_is_ours_alone_and_looks_at_our_namespaces_alone() -> None:
    spec = yaml.safe_load(istio.settings().read_text())["spec"]
    (selector,) = spec["meshConfig"]["discoverySelectors"]
    namespaces = [item["metadata"] for item in base_objects() if item["kind"] == "Namespace"]
    seen = {one["name"] for one in namespaces if selector["matchLabels"].items() <= one.get("labels", {}).items()}
    of_istio = [item for item in base_objects() if item["apiVersion"].startswith("networking.istio.io/")]
    assert seen == {item["metadata"]["namespace"] for item in of_istio}
    gateway = named("Deployment", "claude-ecosystem-gateway")["spec"]["template"]["metadata"]["labels"]
    assert gateway[istio.LABEL] == istio.REVISION


def test_what_envoy_is_told_beside_istio_repeats_what_istio_tells_it() -> None:
    # A filter's options replace Istio's as a whole.
    patch = named("EnvoyFilter", "claude-ecosystem-gateway")["spec"]["configPatches"][0]["patch"]["value"]
    (options,) = patch["typed_extension_protocol_options"].values()
    pool = named("DestinationRule", "claude-orchestrator-dr")["spec"]["trafficPolicy"]["connectionPool"]["http"]
    assert pool["h2UpgradePolicy"] == "DO_NOT_UPGRADE"
    assert options["explicit_http_config"] == {"http_protocol_options": {}}
    assert options["common_http_protocol_options"] == {"max_requests_per_connection": pool["maxRequestsPerConnection"]}


def test_an_unknown_overlay_is_the_user_s_mistake() -> None:
    with pytest.raises(UsageError, match="weak-no-pdb"):
        overlays.check("weak-nothing")


def test_each_overlay_has_its_own_key() -> None:
    keys = [source.key(name) for name in overlays.names()]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("program", ["pilot-agent", "pilot-discovery", "istio-manifests", "argo-rollouts"])
@pytest.mark.parametrize("change", [("./elsewhere", ""), ("", "other_tags")])
def test_a_program_that_is_built_otherwise_is_another_stack(
    monkeypatch: pytest.MonkeyPatch, program: str, change: tuple[str, str]
) -> None:
    wanted = ("core", "delivery")
    core, whole, theirs = source.key("kind"), source.key("kind", wanted), source.key("kind", foreign="1-31")
    folder, package, tags = gobuild.PACKAGES[program]
    monkeypatch.setitem(gobuild.PACKAGES, program, (folder, change[0] or package, change[1] or tags))
    assert source.key("kind", wanted) != whole
    assert (source.key("kind") != core) is (program != "argo-rollouts")
    # There Istio is none of ours.
    assert source.key("kind", foreign="1-31") == theirs


def test_what_puts_the_stack_together_is_part_of_its_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(Path(source.__file__).parent, tmp_path / "stack")
    monkeypatch.setattr(source, "__file__", str(tmp_path / "stack" / "source.py"))
    before = source.key("kind")
    text = (tmp_path / "stack" / "istio.py").read_text()
    (tmp_path / "stack" / "istio.py").write_text(text.replace(istio.REVISION, "another"))
    assert source.key("kind") != before


def test_every_image_of_the_manifests_is_built_here() -> None:
    used = {
        container["image"].partition(":")[0]
        for item in base_objects()
        if item["kind"] == "Deployment"
        for kind in ("containers", "initContainers")
        for container in item["spec"]["template"]["spec"].get(kind, [])
    }
    assert used == {*source.IMAGES, "auto"}
    for folder in (source.IMAGES | source.ISTIO).values():
        assert (project_root() / "images" / folder / "Dockerfile").is_file()


def test_every_container_is_locked_down_and_bounded() -> None:
    callers = (parts.folder() / "mesh" / "callers.yaml").read_text()
    for item in [*base_objects(), *yaml.load_all(callers, yaml.CSafeLoader)]:
        if item["kind"] != "Deployment":
            continue
        pod = item["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert set(container["resources"]) == {"requests", "limits"}


def test_budgets_and_services_select_pods_that_exist() -> None:
    labels = [item["spec"]["template"]["metadata"]["labels"] for item in base_objects() if item["kind"] == "Deployment"]
    for item in base_objects():
        selector = item["spec"]["selector"] if item["kind"] in ("PodDisruptionBudget", "Service") else {}
        wanted = selector.get("matchLabels", selector)
        assert any(wanted.items() <= found.items() for found in labels), item["metadata"]["name"]


def test_no_patience_outlives_the_one_around_it() -> None:
    mesh = next(item for item in base_objects() if item["kind"] == "VirtualService")["spec"]["http"][0]
    orchestrator = named("Deployment", "claude-orchestrator")
    container = orchestrator["spec"]["template"]["spec"]["containers"][0]
    env = {entry["name"]: entry.get("value", "") for entry in container["env"]}
    attempt, deadline = float(env["CLIENT_TIMEOUT_SECONDS"]), float(env["CLIENT_DEADLINE_SECONDS"])
    per_try = float(mesh["retries"]["perTryTimeout"].removesuffix("ms")) / 1000
    whole = float(mesh["timeout"].removesuffix("s"))
    dependencies = 2
    assert attempt < deadline < dependencies * deadline < per_try < per_try * (1 + mesh["retries"]["attempts"]) < whole


def test_the_kind_overlay_says_why_for_each_change() -> None:
    text = (overlays.manifests() / "overlays" / "kind" / "kustomization.yaml").read_text()
    patches = text.partition("patches:")[2]
    blocks = patches.split("\n\n")
    assert all("#" in block for block in blocks if "- target" in block)


def test_errata_rows_say_value_effect_and_correction() -> None:
    rows = [
        line for line in (Path(project_root()) / "stack" / "errata.md").read_text().splitlines() if line[:2] == "| "
    ]
    assert len(rows) > 30
    assert all(line.count(" | ") == 2 for line in rows)


def test_the_inventory_lives_outside_the_namespace_that_faults_may_touch() -> None:
    assert "claude-ecosystem-prod" not in apply.INVENTORY


def test_the_namespaces_of_a_remembered_deployment_are_those_of_its_deployments() -> None:
    found = [apply.path(item) for item in base_objects()]
    assert apply.workloads({"paths": json.dumps(found)}) == ["claude-ecosystem-prod", "istio-system", "monitoring"]
    assert apply.workloads({}) == []
