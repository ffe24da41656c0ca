"""The part mesh says what the seed says of it, but for its corrections; and nothing of it is about the core alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from claude_services import calling
from harness.cluster import command
from harness.cluster.build import gobuild
from harness.cluster.cache import project_root
from harness.stack import istio, overlays, parts, source

MESH = parts.folder() / "mesh"
WEAK = ("weak-open-dashboard", "weak-no-redirect", "weak-plain-text")
PORTS = {443: 8443, 80: 8080, 8081: 8081}
# What kind maps to 127.0.0.1.
LOCAL = 30080


def loaded(path: Path) -> list[dict[str, Any]]:
    return [item for item in yaml.safe_load_all(path.read_text()) if item]


def of(kind: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = [item for item in items if item["kind"] == kind]
    return found


def seed(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = of(kind, loaded(project_root() / "stack" / "seed" / "mesh.yaml"))["spec"]
    return found


def changes(kind: str) -> list[dict[str, Any]]:
    """Return what the part changes of objects of a kind that the core has."""
    (patch,) = [one for one in loaded(MESH / "kustomization.yaml")[0]["patches"] if kind in one["target"]["kind"]]
    found: list[dict[str, Any]] = yaml.safe_load(patch["patch"])
    return found


def callers() -> dict[str, dict[str, Any]]:
    found = [item for item in loaded(MESH / "callers.yaml") if item["kind"] == "Deployment"]
    return {item["metadata"]["labels"]["caller"]: item["spec"]["template"] for item in found}


def targets(template: dict[str, Any]) -> list[calling.Target]:
    env = {one["name"]: one.get("value", "") for one in template["spec"]["containers"][0]["env"]}
    return calling.targets(env["TARGETS"])


def test_it_has_an_image_of_its_own_and_the_core_s_are_as_they_were() -> None:
    assert source.images(("core", "mesh")) == {**source.images(("core",)), istio.INIT: "istio-init"}
    assert source.key("kind", ("core", "mesh")) != source.key("kind")
    # A cluster's own Istio has its own.
    assert source.images(("core", "mesh"), foreign=True) == source.IMAGES


def test_istio_is_told_of_the_image_only_where_there_are_sidecars(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    class Done:
        stdout = json.dumps([])

    def ask(argv: list[str]) -> Done:
        asked.append(argv)
        return Done()

    monkeypatch.setattr(gobuild, "binary", lambda *_: Path("manifests"))
    monkeypatch.setattr(command, "ask", ask)
    core = {"pilot": "here/istiod:1", "auto": "here/proxy:1"}
    istio.objects(core, lambda _: None)
    istio.objects({**core, istio.INIT: "here/init:1"}, lambda _: None)
    assert set(asked[1]) - set(asked[0]) == {"values.global.proxy_init.image=here/init:1"}


def test_the_policies_are_the_seed_s_and_what_the_route_lets_through_may_be_asked() -> None:
    ours = loaded(MESH / "policies.yaml")
    assert of("PeerAuthentication", ours)["spec"] == seed("PeerAuthentication")
    told = seed("AuthorizationPolicy")
    told["rules"][0]["to"][0]["operation"]["paths"].append("/v1/*")
    assert of("AuthorizationPolicy", ours)["spec"] == told
    routed = of("VirtualService", loaded(overlays.manifests() / "base" / "mesh.yaml"))["spec"]["http"][0]["match"]
    prefixes = [one["uri"]["prefix"] for one in routed]
    allowed = [path.removesuffix("*") for path in told["rules"][0]["to"][0]["operation"]["paths"]]
    assert [one for one in prefixes if not any(one.startswith(path) for path in allowed)] == []


def test_the_gateway_has_the_seed_s_listeners_and_one_for_this_machine() -> None:
    (change,) = changes("Gateway")
    ours = {one["port"]["number"]: one for one in change["value"]}
    theirs = {one["port"]["number"]: one for one in seed("Gateway")["servers"]}
    assert {number: (ours[number]["port"], ours[number]["hosts"]) for number in theirs} == {
        number: (one["port"], one["hosts"]) for number, one in theirs.items()
    }
    assert ours[443]["tls"] == theirs[443]["tls"]
    # The seed's word for it is none of Istio's.
    assert (theirs[80]["redirect"], ours[80]["tls"]) == ({"httpsRedirect": True}, {"httpsRedirect": True})
    assert [number for number in ours if number not in theirs] == [8081]
    assert "tls" not in ours[8081]


def test_each_listener_has_a_port_of_the_gateway_s_service_and_this_machine_s_is_where_it_was() -> None:
    (listeners,), (change,) = changes("Gateway"), changes("Service")
    known = {one["port"]: one for one in change["value"]}
    assert {number: one["targetPort"] for number, one in known.items()} == PORTS
    assert {one["port"]["number"] for one in listeners["value"]} == known.keys()
    kind = (overlays.manifests() / "overlays" / "kind" / "kustomization.yaml").read_text()
    assert f"nodePort, value: {LOCAL}" in kind
    assert [one["port"] for one in change["value"] if one["nodePort"] == LOCAL] == [8081]


def test_each_listener_that_serves_looks_as_often_for_another_host_as_the_core_s() -> None:
    core = of("EnvoyFilter", loaded(overlays.manifests() / "base" / "mesh.yaml"))["spec"]["configPatches"]
    (told,) = [one for one in core if one["applyTo"] == "HTTP_ROUTE"]
    more = [one["value"] for one in changes("EnvoyFilter")]
    assert [one["patch"] for one in more] == [told["patch"]] * 2
    hosts = [one["match"]["routeConfiguration"]["vhost"]["name"] for one in more]
    assert hosts == ["api.claude-ecosystem.com:443", "api.claude-ecosystem.com:8081"]


def test_whatever_istio_completes_is_small_and_scraped_beside_its_sidecar() -> None:
    notes = {one["path"].rpartition("/")[2].replace("~1", "/"): one["value"] for one in changes("Deployment")}
    assert notes["traffic.sidecar.istio.io/excludeInboundPorts"] == "9090"
    assert notes["prometheus.istio.io/merge-metrics"] == "false"
    for template in callers().values():
        if template["metadata"]["labels"].get("sidecar.istio.io/inject") != "false":
            own = template["metadata"]["annotations"]
            # Unasked, Istio has Prometheus scrape whatever it completes.
            shared = {key: value for key, value in notes.items() if "/proxy" in key or "/merge-metrics" in key}
            assert shared.items() <= own.items()


def test_the_callers_wear_the_label_that_the_network_policy_lets_through_and_differ_in_who_they_are() -> None:
    policy = of("NetworkPolicy", loaded(overlays.manifests() / "base" / "network-policy.yaml"))["spec"]
    peers = [one for rule in policy["ingress"] for one in rule["from"]]
    allowed = [one["podSelector"]["matchLabels"] for one in peers if "podSelector" in one]
    sources = of("AuthorizationPolicy", loaded(MESH / "policies.yaml"))["spec"]["rules"][0]["from"]
    named = [name for one in sources for name in one["source"]["principals"]]
    accounts = {who: template["spec"]["serviceAccountName"] for who, template in callers().items()}
    for template in callers().values():
        assert any(one.items() <= template["metadata"]["labels"].items() for one in allowed)
    principals = {who: f"cluster.local/ns/claude-ecosystem-prod/sa/{name}" for who, name in accounts.items()}
    assert [who for who, name in principals.items() if name in named] == ["dashboard", "plain"]
    labels = {who: template["metadata"]["labels"] for who, template in callers().items()}
    assert [who for who, one in labels.items() if one.get("sidecar.istio.io/inject") == "false"] == ["plain"]


def test_only_the_dashboard_may_call_and_nobody_may_call_everything() -> None:
    found = {who: {target.may for target in targets(template)} for who, template in callers().items()}
    assert found == {"dashboard": {True, False}, "stranger": {False}, "plain": {False}}


@pytest.mark.parametrize("name", WEAK)
def test_each_weakening_brings_the_part_along(name: str) -> None:
    assert overlays.part_names(name) == ("mesh",)
    (patch,) = loaded(overlays.manifests() / "overlays" / name / "kustomization.yaml")[0]["patches"]
    assert yaml.safe_load(patch["patch"])


def test_the_open_dashboard_is_named_as_in_the_policy_and_asked_for_nothing() -> None:
    (patch,) = loaded(overlays.manifests() / "overlays" / "weak-open-dashboard" / "kustomization.yaml")[0]["patches"]
    (rule,) = [one["value"] for one in yaml.safe_load(patch["patch"]) if one["op"] == "add"]
    assert rule == {"from": seed("AuthorizationPolicy")["rules"][0]["from"][:1]}


def test_without_a_redirect_the_gateway_has_what_istio_keeps_of_the_seed_s() -> None:
    (patch,) = loaded(overlays.manifests() / "overlays" / "weak-no-redirect" / "kustomization.yaml")[0]["patches"]
    (removed,) = [one["path"] for one in yaml.safe_load(patch["patch"]) if one["op"] == "remove"]
    (change,) = changes("Gateway")
    known = {key: value for key, value in seed("Gateway")["servers"][1].items() if key != "redirect"}
    left = {key: value for key, value in change["value"][1].items() if f"/spec/servers/1/{key}" != removed}
    assert left == known
