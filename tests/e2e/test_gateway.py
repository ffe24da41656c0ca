"""What Istio's resources ask of the gateway it does: retries, ejection, weights; it outlives its control plane."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.model import envoy
from harness.probes import prometheus, settings
from harness.workloads.pod import is_ready
from probes import slo
from tests.e2e.live import asked, kubectl
from tests.e2e.namespaces import emptied
from tests.e2e.victims import until

pytestmark = pytest.mark.e2e
NAMESPACE, HOST, PODS, ERRORS = "chaos-gateway-test", "echo.example", ("one", "two"), 5
ISTIO = f"/apis/networking.istio.io/v1/namespaces/{NAMESPACE}"
EJECTED = f'sum({envoy.EJECTIONS}{{{envoy.CLUSTER}=~".*echo.{NAMESPACE}.*"}})'
# A proxy that lost its control plane asks for it again at growing intervals.
ACTS_SECONDS, ASKS_AGAIN_SECONDS = 10.0, 90.0
# It fails where the caller asks for that by its name.
SERVER = """
import http.server, os
class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(503 if os.environ["NAME"] == self.headers.get("x-fails") else 200)
        self.send_header("x-served-by", os.environ["NAME"])
        self.send_header("content-length", "0")
        self.end_headers()
http.server.ThreadingHTTPServer(("", 8080), Echo).serve_forever()
"""
COUNTED = "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"


@dataclass(frozen=True, slots=True)
class Echoes:
    """Two servers behind the gateway, and how it is told to ask them."""

    cluster: LocalCluster
    client: httpx.Client
    versions: Iterator[int] = field(default_factory=itertools.count)

    def ask(self, fails: str = "") -> httpx.Response:
        """Send one request through the gateway, which the pod of that name shall fail."""
        return self.client.get("/", headers={"Host": HOST, "x-fails": fails})

    def told(self, weights: tuple[int, int] | None, within: float = ACTS_SECONDS, **more: Any) -> float:
        """Tell Istio how the servers are to be asked, and return after how many seconds the gateway does it."""
        version = str(next(self.versions))
        port = {"number": 80}
        shares = zip(PODS, weights or (), strict=False)
        routes = [{"destination": {"host": "echo", "subset": pod, "port": port}, "weight": n} for pod, n in shares]
        added = {"x-attempts": COUNTED, "x-version": version}
        http = {
            "route": routes or [{"destination": {"host": "echo", "port": port}}],
            "retries": more.get("retries", {"attempts": 0}),
            "headers": {"response": {"set": added}},
        }
        subsets = [{"name": pod, "labels": {"version": pod}} for pod in PODS]
        policy = {"loadBalancer": {"simple": "RANDOM"}} | more.get("policy", {})

        async def put(kube: Kube) -> None:
            await apply(kube, "DestinationRule", {"host": "echo", "trafficPolicy": policy, "subsets": subsets})
            await apply(kube, "VirtualService", {"hosts": [HOST], "gateways": ["echo"], "http": [http]})

        asked(self.cluster, put)
        began = time.monotonic()
        while self.ask().headers.get("x-version") != version:
            assert time.monotonic() < began + within, f"the gateway does not do what it was told {within:g} s ago"
            time.sleep(0.01)
        return time.monotonic() - began


async def apply(kube: Kube, kind: str, spec: dict[str, Any]) -> None:
    body = {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": "echo"}, "spec": spec}
    path = f"{ISTIO}/{kind.lower()}s/echo"
    await kube.patch(path, body, kind="apply", fieldManager="test", force="true", fieldValidation="Strict")


def server(name: str, image: str) -> dict[str, Any]:
    container = {
        "name": "echo",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-u", "-c", SERVER],
        "env": [{"name": "NAME", "value": name}],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    }
    metadata = {"name": name, "labels": {"app": "echo", "version": name}}
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def echoes(cluster: LocalCluster, image: str) -> Iterator[Echoes]:
    async def ready(kube: Kube) -> bool:
        found = await kube.list(paths.pods(NAMESPACE))
        return len(found) == len(PODS) and all(is_ready(one) for one in found)

    async def make(kube: Kube) -> None:
        metadata = {"name": NAMESPACE, "labels": {"istio-discovery": "enabled"}}
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        await kube.patch(paths.namespace(NAMESPACE), body, kind="apply")
        await until(lambda: kube.get(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"))
        for name in PODS:
            await kube.patch(paths.pods(NAMESPACE, name), server(name, image), kind="apply")
        service = {"selector": {"app": "echo"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
        body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "echo"}, "spec": service}
        await kube.patch(f"/api/v1/namespaces/{NAMESPACE}/services/echo", body, kind="apply")
        port = {"number": 80, "name": "http", "protocol": "HTTP"}
        servers = [{"port": port, "hosts": [HOST]}]
        await apply(kube, "Gateway", {"selector": {"istio": "ingressgateway"}, "servers": servers})
        await until(lambda: ready(kube))

    try:
        asked(cluster, make)
        with httpx.Client(base_url=settings.gateway(None), timeout=10, trust_env=False) as client:
            echoes = Echoes(cluster, client)
            echoes.told(None)
            # A pod is ready before the gateway knows of it.
            deadline, answered = time.monotonic() + ACTS_SECONDS, set[str]()
            while not answered >= {*PODS}:
                assert time.monotonic() < deadline, answered
                answered.add(echoes.ask().headers.get("x-served-by", ""))
            yield echoes
    finally:
        asked(cluster, lambda kube: emptied(kube, NAMESPACE))


def test_a_call_that_fails_is_tried_on_another_pod_and_the_answer_says_how_often(echoes: Echoes) -> None:
    # One try more finds the pod that failed again in one case of 64: Envoy looks for another six times, by chance.
    echoes.told(None, retries={"attempts": 3, "retryOn": "5xx"})
    answers = [echoes.ask(fails="one") for _ in range(40)]
    assert Counter((one.status_code, one.headers["x-served-by"]) for one in answers) == {(200, "two"): 40}
    assert {one.headers["x-attempts"] for one in answers} >= {"1", "2"}


def test_a_call_is_not_tried_again_where_nobody_asked_for_it(echoes: Echoes) -> None:
    echoes.told(None)
    answers = [echoes.ask(fails="one") for _ in range(40)]
    assert {(one.status_code, one.headers["x-served-by"]) for one in answers} == {(503, "one"), (200, "two")}
    assert {one.headers["x-attempts"] for one in answers} == {"1"}


def test_a_pod_is_ejected_after_its_errors_and_prometheus_tells(echoes: Echoes) -> None:
    detection = {"consecutive5xxErrors": ERRORS, "interval": "2s", "baseEjectionTime": "60s", "maxEjectionPercent": 50}
    echoes.told(None, policy={"outlierDetection": detection})
    answers = [echoes.ask(fails="one") for _ in range(100)]
    assert Counter(one.status_code for one in answers) == {503: ERRORS, 200: 100 - ERRORS}
    deadline = time.monotonic() + 15
    while prometheus.value(EJECTED) != 1:
        assert time.monotonic() < deadline, f"{EJECTED} is {prometheus.value(EJECTED)}"
        time.sleep(0.5)


def test_what_callers_got_is_told_by_prometheus(echoes: Echoes) -> None:
    echoes.told(None)
    # The failures of other tests leave the window first.
    for fails, good in (("", True), ("one", False)):
        deadline = time.monotonic() + 30
        while (share := slo.availability("10s")) is None or (share == 1) != good:
            assert time.monotonic() < deadline, f"a share of {share} was answered well"
            echoes.ask(fails)
    assert 0 < (slo.latency(window="10s") or 0) < 10


def test_a_change_of_weights_acts_at_once(echoes: Echoes, capsys: pytest.CaptureFixture[str]) -> None:
    took = []
    for weights, serving in [((100, 0), {"one"}), ((0, 100), {"two"}), ((50, 50), {"one", "two"})]:
        took.append(echoes.told(weights))
        assert {echoes.ask().headers["x-served-by"] for _ in range(40)} == serving
    with capsys.disabled():
        print(f"\n    weights acted after {', '.join(f'{one:.2f}' for one in took)} s", end="", flush=True)


def test_no_call_is_lost_while_the_control_plane_is_gone_and_changes_act_once_it_is_back(
    echoes: Echoes, capsys: pytest.CaptureFixture[str]
) -> None:
    echoes.told((100, 0))
    began, over = time.monotonic(), threading.Event()

    async def others(kube: Kube) -> bool:
        found = await kube.list(paths.pods("istio-system"), labels="app=istiod")
        return any(is_ready(pod) and pod["metadata"]["uid"] not in killed for pod in found)

    async def there(kube: Kube) -> set[str]:
        return {pod["metadata"]["uid"] for pod in await kube.list(paths.pods("istio-system"), labels="app=istiod")}

    def calls() -> Counter[int]:
        seen = Counter[int]()
        while not over.is_set():
            answer = echoes.client.get("/v1/agents/agent-1", headers={"Host": settings.GATEWAY_HOST})
            seen[answer.status_code] += 1
        return seen

    killed = asked(echoes.cluster, there)
    with ThreadPoolExecutor() as pool:
        seen = pool.submit(calls)
        try:
            command = ("delete", "pods", "-l", "app=istiod", "--force", "--grace-period=0")
            kubectl(echoes.cluster, "-n", "istio-system", *command)
            asked(echoes.cluster, lambda kube: until(lambda: others(kube)))
            away = time.monotonic() - began
            took = echoes.told((0, 100), within=ASKS_AGAIN_SECONDS)
        finally:
            over.set()
    assert set(seen.result()) == {200}
    said = f"{seen.result().total()} calls; another one after {away:.1f} s, a change acted {took:.1f} s after that"
    with capsys.disabled():
        print(f"\n    {said}", end="", flush=True)
