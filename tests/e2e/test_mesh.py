"""Identity between the services on the real cluster: who is let in, by which certificate, and what faults change of it.

They bring the part up and take it down again; what the core is, it is again afterwards.
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.cluster.local import LocalCluster
from harness.probes import settings
from probes import mesh as callers
from tests.e2e.live import ROOT, docker, events, harness, kubectl, starved, unchanged, verdict_of

pytestmark = pytest.mark.e2e
NAMESPACE, EDGE = "claude-ecosystem-prod", "istio-system"
EXPERIMENTS = ROOT / "experiments" / "mesh"
SECRET, HOST = "claude-ecosystem-tls", settings.GATEWAY_HOST
HTTP, HTTPS = 30081, 30443
SIDECAR = "istio-proxy"
# Caller and target: what it gets, and nothing else.
GOT = {
    ("claude-dashboard", "http://claude-orchestrator/api/v1/agents/agent-1"): "answered",
    ("claude-dashboard", "http://claude-orchestrator/debug"): "403",
    ("claude-stranger", "http://claude-orchestrator/api/v1/agents/agent-1"): "403",
    ("claude-plain", "http://claude-orchestrator/api/v1/agents/agent-1"): "reset",
    ("claude-plain", "http://claude-agent-registry/v1/agents/agent-1"): "reset",
    ("claude-plain", "http://claude-ecosystem-gateway.istio-system/api/v1/agents/agent-1"): "301",
}
# Pods that others have taken the place of take their time to end.
GOING_SECONDS = 60.0
# In plain text, to a pod's own address, by nothing of ours.
PLAINLY = "import urllib.request as r; print(r.urlopen('http://{}:8080/v1/agents/agent-1', timeout=5).status)"


@pytest.fixture(scope="module")
def mesh(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """The stack with the part, and without it again after the last of them."""
    with unchanged(cluster):
        # Sidecars of before are no trace: a part that was there may still be going.
        before = {**traces(cluster), "sidecars": []}
        harness("up", "--parts", "core,mesh", timeout=1800)
        yield cluster
        harness("down", "--parts", "mesh", timeout=600)
        deadline = time.monotonic() + GOING_SECONDS
        while (left := traces(cluster)) != before:
            assert time.monotonic() < deadline, left


def listed(cluster: LocalCluster, kinds: str, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(kubectl(cluster, "get", kinds, "-o", "json", *words))["items"]
    return found


def pods(cluster: LocalCluster, selector: str = "", *, going: bool = False) -> list[dict[str, Any]]:
    found = listed(cluster, "pods", "-n", NAMESPACE, "-l", selector)
    return [pod for pod in found if going or "deletionTimestamp" not in pod["metadata"]]


def sidecar(pod: dict[str, Any]) -> dict[str, Any] | None:
    spec = pod["spec"]
    return next((one for one in [*spec.get("initContainers", []), *spec["containers"]] if one["name"] == SIDECAR), None)


def traces(cluster: LocalCluster) -> dict[str, Any]:
    """Return what a mesh could leave behind and the fingerprint does not tell of."""
    policies = "peerauthentications,authorizationpolicies,envoyfilters,gateways"
    return {
        "webhooks": sorted(
            one["metadata"]["name"] + json.dumps([each["namespaceSelector"] for each in one["webhooks"]])
            for one in listed(cluster, "mutatingwebhookconfigurations,validatingwebhookconfigurations")
        ),
        "policies": sorted(
            f"{one['kind']} {one['metadata']['name']} {json.dumps(one['spec'], sort_keys=True)}"
            for one in listed(cluster, policies, "-A")
        ),
        "secrets": sorted(one["metadata"]["name"] for one in listed(cluster, "secrets", "-A")),
        "rights": sorted(one["metadata"]["name"] for one in listed(cluster, "roles,rolebindings", "-A")),
        "labels": json.loads(kubectl(cluster, "get", "namespace", NAMESPACE, "-o", "json"))["metadata"]["labels"],
        "sidecars": [one["metadata"]["name"] for one in pods(cluster, going=True) if sidecar(one)],
    }


def ran(name: str, folder: Path) -> tuple[int, Path]:
    argv = ("run", str(EXPERIMENTS / f"{name}.yaml"), "--seed", "7", "--runs", str(folder))
    done = harness(*argv, check=False, timeout=600)
    return done.returncode, next(folder.iterdir())


def chain(cluster: LocalCluster) -> str:
    """Return the certificate that the cluster keeps for the gateway."""
    told = kubectl(cluster, "-n", EDGE, "get", "secret", SECRET, "-o", "jsonpath={.data.tls\\.crt}")
    return base64.b64decode(told).decode()


def address(cluster: LocalCluster) -> str:
    """Return the node that the gateway is on: no port of this machine leads to its TLS."""
    form = f'{{{{(index .NetworkSettings.Networks "{cluster.network}").IPAddress}}}}'
    return docker(cluster, "inspect", "-f", form, cluster.control_plane).strip()


def shown(cluster: LocalCluster) -> bytes:
    """Return the certificate that the gateway shows to whoever trusts the one that the cluster keeps."""
    trust = ssl.create_default_context(cadata=chain(cluster))
    with (
        socket.create_connection((address(cluster), HTTPS), timeout=10) as plain,
        trust.wrap_socket(plain, server_hostname=HOST) as secure,
    ):
        return secure.getpeercert(binary_form=True) or b""


def serials(cluster: LocalCluster) -> dict[str, list[str]]:
    """Return the serial numbers of the certificates that each sidecar has."""
    found = {}
    for pod in filter(sidecar, pods(cluster)):
        name = pod["metadata"]["name"]
        words = ("exec", name, "-c", SIDECAR, "--", "pilot-agent", "request", "GET", "certs")
        told = json.loads(kubectl(cluster, "-n", NAMESPACE, *words))["certificates"]
        # One entry for each of Envoy's contexts, which come and go with its listeners and clusters.
        found[name] = sorted({one["serial_number"] for each in told for one in each.get("cert_chain", ())})
    return found


def test_without_the_part_an_experiment_that_needs_it_never_begins(cluster: LocalCluster, tmp_path: Path) -> None:
    code, directory = ran("pod_kill", tmp_path)
    verdict = verdict_of(directory)
    assert (code, verdict["verdict"]) == (2, "INCONCLUSIVE")
    assert "the stack lacks the part mesh" in verdict["reason"]
    assert not [one for one in events(directory) if one["type"] == "fault.injecting"]


def test_each_service_has_a_small_sidecar_and_who_is_to_speak_plainly_has_none(mesh: LocalCluster) -> None:
    assert "mesh       there" in harness("parts").stdout
    found = {pod["metadata"]["name"]: sidecar(pod) for pod in pods(mesh)}
    assert len(found) == 12
    assert [name.rsplit("-", 2)[0] for name, one in found.items() if not one] == ["claude-plain"]
    small = {json.dumps(one["resources"]["requests"], sort_keys=True) for one in found.values() if one}
    assert len(small) == 1
    assert '"cpu": "50m"' in small.pop()


def test_prometheus_still_sees_every_service(mesh: LocalCluster) -> None:
    query = {"query": 'sum by (app) (up{job="claude-services"})'}
    wanted = {"claude-orchestrator": 5, "claude-agent-registry": 2, "claude-tool-router": 2}
    deadline = time.monotonic() + GOING_SECONDS
    while True:
        answer = httpx.get(f"{settings.PROMETHEUS}/api/v1/query", params=query, trust_env=False).json()
        if (up := {one["metric"]["app"]: float(one["value"][1]) for one in answer["data"]["result"]}) == wanted:
            return
        assert time.monotonic() < deadline, up


def test_who_proves_to_be_named_is_answered_and_nobody_else_is(mesh: LocalCluster) -> None:
    got = callers.calls(NAMESPACE)
    told = {(name.rpartition(" -> ")[0].rsplit("-", 2)[0], name.rpartition(" -> ")[2]): got[name] for name in got}
    assert {key: [*found] for key, found in told.items()} == {key: [what] for key, what in GOT.items()}
    assert callers.let_in(NAMESPACE, 60) == 0


def test_a_pod_s_own_address_hears_no_plain_text_either(mesh: LocalCluster) -> None:
    registry = pods(mesh, "app=claude-agent-registry")[0]["status"]["podIP"]
    command = ("exec", "deploy/claude-plain", "--", "python3", "-c", PLAINLY.format(registry))
    assert "200" not in kubectl(mesh, "-n", NAMESPACE, *command, check=False)


def test_plain_http_is_sent_to_https_and_https_is_served(mesh: LocalCluster) -> None:
    where = f"http://{address(mesh)}:{HTTP}/api/v1/agents/agent-1"
    moved = httpx.get(where, headers={"Host": HOST}, trust_env=False)
    assert (moved.status_code, moved.headers["location"]) == (301, f"https://{HOST}/api/v1/agents/agent-1")
    trust = ssl.create_default_context(cadata=chain(mesh))
    with httpx.Client(verify=trust, trust_env=False, timeout=10) as client:
        secure = f"https://{address(mesh)}:{HTTPS}/api/v1/agents/agent-1"
        answer = client.get(secure, headers={"Host": HOST}, extensions={"sni_hostname": HOST})
    assert (answer.status_code, "x-served-by" in answer.headers) == (200, True)


def test_the_load_of_this_machine_is_served_as_without_the_part(mesh: LocalCluster) -> None:
    answer = httpx.get(f"{settings.GATEWAY}/api/v1/agents/agent-1", headers={"Host": HOST}, trust_env=False)
    assert (answer.status_code, answer.headers["x-envoy-attempt-count"]) == (200, "1")


def test_the_certificate_shown_is_the_one_that_was_made_and_it_stays(mesh: LocalCluster) -> None:
    before = chain(mesh)
    assert shown(mesh) == ssl.PEM_cert_to_DER_cert(before)
    uids = {pod["metadata"]["uid"] for pod in pods(mesh)}
    harness("up", "--parts", "mesh", timeout=600)
    assert chain(mesh) == before
    assert {pod["metadata"]["uid"] for pod in pods(mesh)} == uids


@pytest.mark.long
@pytest.mark.parametrize("name", ["control_plane_kill", "pod_kill", "certificate_expiry"])
def test_an_experiment_ends_as_it_declares_and_leaves_nothing(mesh: LocalCluster, name: str, tmp_path: Path) -> None:
    held, secret = serials(mesh), chain(mesh)
    with unchanged(mesh):
        code, directory = ran(name, tmp_path)
    verdict = verdict_of(directory)
    assert (code, verdict["verdict"]) == (0, "PASS") or starved(verdict), verdict
    now = serials(mesh)
    # Of pods that are still there: a new one has a new certificate.
    assert {pod: one for pod, one in now.items() if pod in held} == {pod: held[pod] for pod in held if pod in now}
    assert len(held.keys() - now.keys()) == (name == "pod_kill")
    assert chain(mesh) == secret
    assert shown(mesh) == ssl.PEM_cert_to_DER_cert(secret)


@pytest.fixture
def unattended(mesh: LocalCluster) -> Iterator[None]:
    """A mesh without its control plane: the gateway goes on with the certificate that it has."""
    control = ("-n", EDGE, "-l", "app=istiod")
    (one,) = listed(mesh, "deployments", *control)
    scale = ("-n", EDGE, "scale", f"deployment/{one['metadata']['name']}")
    kubectl(mesh, *scale, "--replicas=0")
    kubectl(mesh, "wait", "pods", *control, "--for=delete", "--timeout=50s")
    yield
    kubectl(mesh, *scale, f"--replicas={one['spec']['replicas']}")
    kubectl(mesh, "-n", EDGE, "rollout", "status", f"deployment/{one['metadata']['name']}", "--timeout=50s")


@pytest.mark.long
def test_where_the_gateway_does_not_learn_that_its_certificate_has_expired_nothing_is_known(
    mesh: LocalCluster, unattended: None, tmp_path: Path
) -> None:
    secret, before = chain(mesh), traces(mesh)
    code, directory = ran("certificate_expiry", tmp_path)
    verdict = verdict_of(directory)
    assert (code, verdict["verdict"]) == (2, "INCONCLUSIVE"), verdict
    assert "outside its tolerance" in verdict["reason"]
    assert "was not felt" in verdict["reason"]
    assert (chain(mesh), traces(mesh)) == (secret, before)


@pytest.fixture
def forgetful(mesh: LocalCluster) -> None:
    """Callers that remember no call of another test: they would be waited for until they have forgotten."""
    for verb in (("delete", "pods"), ("wait", "pods", "--for=condition=Ready", "--timeout=120s")):
        kubectl(mesh, "-n", NAMESPACE, *verb, "-l", "caller")


@pytest.mark.long
@pytest.mark.parametrize("overlay", ["weak-open-dashboard", "weak-no-redirect", "weak-plain-text"])
def test_a_weakening_lets_somebody_in_and_is_caught(
    mesh: LocalCluster, forgetful: None, overlay: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    harness("up", "--overlay", overlay, timeout=600)
    try:
        code, directory = ran("pod_kill", tmp_path)
    finally:
        harness("up", "--parts", "mesh", timeout=600)
    verdict = verdict_of(directory)
    with capsys.disabled():
        print(f"\n    {overlay}: {verdict['reason']}", end="", flush=True)
    assert (code, verdict["verdict"]) == (1, "DEVIATED"), verdict
    assert "calls that must not have been answered was" in verdict["reason"]
