"""What Istio's resources ask of the gateway it does: retries, ejection, weights, faults; it outlives istiod."""

from __future__ import annotations

import copy
import itertools
import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest

from bench.dying.run import Run
from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.engine.planning import plan
from harness.model import envoy
from harness.model.plan import PlannedFault, Victim
from harness.probes import prometheus, settings
from harness.targets import routes
from harness.targets.reach import Reach
from harness.workloads.pod import is_ready
from probes import slo
from tests.e2e.live import ROOT, asked, events, harness, kubectl, verdict_of
from tests.e2e.namespaces import emptied
from tests.e2e.undoing import Undo, begun, by_the_keeper, over
from tests.e2e.victims import planned, until

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

    def ask(self, fails: str = "", **headers: str) -> httpx.Response:
        """Send one request through the gateway, which the pod of that name shall fail."""
        return self.client.get("/", headers={"Host": HOST, "x-fails": fails, **headers})

    def told(self, weights: tuple[int, int] | None, within: float = ACTS_SECONDS, **more: Any) -> float:
        """Tell Istio how the servers are to be asked, and return after how many seconds the gateway does it."""
        version = str(next(self.versions))
        port = {"number": 80}
        shares = zip(PODS, weights or (), strict=False)
        routes = [{"destination": {"host": "echo", "subset": pod, "port": port}, "weight": n} for pod, n in shares]
        added = {"x-attempts": COUNTED, "x-version": version, "x-envoy-response-flags": "%RESPONSE_FLAGS%"}
        http = {
            "name": "echo",
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


# -- faults of HTTP requests ------------------------------------------------------------------------------------------
ROUTED = routes.place(NAMESPACE, "echo")
WAYS: tuple[dict[str, str], ...] = ({}, {"header": "x-user=eve"})
# The keeper's promise, and a bound for what it asks by kubectl where the machine is busy.
UNDONE_SECONDS, DELAY = 5.0, 0.5


async def at_echo(kube: Kube, kind: str, **given: Any) -> PlannedFault:
    """Plan a fault of the one route that there is; what it does is asked for here, and by no load."""
    metadata = (await kube.get(ROUTED))["metadata"]
    victim = Victim("route", "echo", metadata["uid"], NAMESPACE, owner="VirtualService/echo", path=ROUTED)
    fault = planned(kind, victim, callers="others", **given)
    return replace(fault, takes=await plan.takes(kube, kind, victim, fault.parameters))


def soon(true: Callable[[], bool], what: str, seconds: float = ACTS_SECONDS) -> None:
    """Wait until the gateway does as it was told."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:g} s"
        time.sleep(0.01)


async def meanwhile(act: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
    """Do what waits, beside this loop."""
    return await anyio.to_thread.run_sync(partial(act, *arguments, **more))


@pytest.mark.anyio
@pytest.mark.parametrize("way", WAYS, ids=["field", "route"])
async def test_requests_fail_where_they_are_routed_and_weights_that_a_rollout_sets_meanwhile_stay(
    echoes: Echoes, reach: Reach, kube: Kube, undone: Undo, way: dict[str, str]
) -> None:
    await meanwhile(echoes.told, (100, 0), retries={"attempts": 3, "retryOn": "5xx"})
    wanted = copy.deepcopy((await kube.get(ROUTED))["spec"])
    fault = await at_echo(kube, "http_abort", status=503, share=1.0, **way)
    assert await begun(reach, fault) == {"routes": 1, "by": "the API server alone: nobody here calls"}
    eve = partial(echoes.ask, **{"x-user": "eve"})
    await meanwhile(soon, lambda: eve().status_code == 503, "a failure")
    answers = [await meanwhile(eve) for _ in range(20)]
    # Nobody tries again what the gateway fails itself, and it says of each that it did.
    assert {(one.status_code, one.headers["x-envoy-response-flags"], one.headers["x-attempts"]) for one in answers} == {
        (503, "FI", "0")
    }
    others = {(await meanwhile(echoes.ask)).status_code for _ in range(20)}
    assert others == ({200} if way else {503})
    item = await kube.get(ROUTED)
    for spec in (item["spec"], wanted):
        (own,) = (one for one in spec["http"] if one["name"] == "echo")
        own["route"][0]["weight"], own["route"][1]["weight"] = 0, 100
    # A Rollout's controller writes the whole object, for the version that it has read.
    kubectl(echoes.cluster, "replace", "-f", "-", given=json.dumps(item))
    assert await over(reach, fault, undone) == {"routes": "without it, else as somebody has them since"}
    assert (await kube.get(ROUTED))["spec"] == wanted

    def served() -> bool:
        return {one.headers.get("x-served-by") for one in (eve(), echoes.ask())} == {"two"}

    await meanwhile(soon, served, "an answer of the other pod")


@pytest.mark.anyio
@pytest.mark.parametrize("way", WAYS, ids=["field", "route"])
async def test_requests_are_held_where_they_are_routed_and_let_go(
    echoes: Echoes, reach: Reach, kube: Kube, way: dict[str, str]
) -> None:
    await meanwhile(echoes.told, None)
    before = (await kube.get(ROUTED))["spec"]
    fault = await at_echo(kube, "http_delay", delay=DELAY, share=1.0, **way)
    eve = partial(echoes.ask, **{"x-user": "eve"})
    await begun(reach, fault)
    await meanwhile(soon, lambda: eve().headers["x-envoy-response-flags"] == "DI", "a delay")
    held = [await meanwhile(eve) for _ in range(5)]
    assert {(one.status_code, one.headers["x-envoy-response-flags"]) for one in held} == {(200, "DI")}
    # Envoy counts in whole milliseconds, and the client begins to count with its first byte.
    assert min(one.elapsed.total_seconds() for one in held) > 0.98 * DELAY
    other = await meanwhile(echoes.ask)
    assert (other.headers["x-envoy-response-flags"] == "DI") == (not way)
    assert await over(reach, fault, by_the_keeper) == {"routes": "as they were"}
    assert (await kube.get(ROUTED))["spec"] == before
    await meanwhile(soon, lambda: eve().headers["x-envoy-response-flags"] == "-", "an answer at once")


@pytest.mark.parametrize("narrow", ["", ", path: /api"], ids=["field", "route"])
def test_a_killed_run_leaves_nothing_of_it_in_the_routes(
    echoes: Echoes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, narrow: str
) -> None:
    echoes.told((50, 50))
    asked_for = ("get", "virtualservice", "echo", "-n", NAMESPACE, "-o", "json")

    def spec() -> Any:
        return json.loads(kubectl(echoes.cluster, *asked_for))["spec"]

    before, document = spec(), tmp_path / "document.yaml"
    document.write_text(f"""
title: Requests are served again
description: Fails half of them; whatever dies meanwhile, none must fail afterwards.
method:
  - {{type: action, name: fail half, provider: {{type: python, module: harness.chaostoolkit.actions, func: http_abort,
      arguments: {{status: 503, share: 50%{narrow}, target: {{namespace: {NAMESPACE}, route: Service/echo}}}}}}}}
extensions:
  - {{name: harness, load: {{workload: list-agents, rate: 20/s}}, phases: {{baseline: 3s, hold: 60s, recovery: 60s}},
     objectives: {{recovery: {{within: 60s}}}}, blast-radius: {{namespaces: [{NAMESPACE}]}}}}
""")
    monkeypatch.setenv("HARNESS_HOST", HOST)
    run = Run(document, tmp_path / "runs")
    try:
        # By the load's own answers, which the gateway marks as it failed them.
        assert run.wait_for("fault.felt")["data"]["evidence"]["by"] == "response flag FI"
        assert any("fault" in one for one in spec()["http"])
        run.signal(signal.SIGKILL)
        soon(lambda: spec() == before, "the keeper's undo", UNDONE_SECONDS)
        soon(lambda: {echoes.ask().status_code for _ in range(20)} == {200}, "an answer to everyone")
    finally:
        run.close()


# How each ends, what shows that it was felt, and which objective says so.
EXPERIMENTS = [("http_delay", "PASS", "DI"), ("http_abort", "DEVIATED", "FI")]


@pytest.mark.parametrize(("name", "verdict", "flag"), EXPERIMENTS)
def test_the_stacks_own_gateway_answers_as_declared(
    cluster: LocalCluster, as_found: None, tmp_path: Path, name: str, verdict: str, flag: str
) -> None:
    document = str(ROOT / "experiments" / "gateway" / f"{name}.yaml")
    done = harness("run", document, "--seed", "7", "--runs", str(tmp_path), check=False, timeout=300)
    (directory,) = tmp_path.iterdir()
    told = verdict_of(directory)
    assert told["verdict"] == verdict, f"{told['reason']}\n{done.stdout}"
    (felt,) = (one["data"] for one in events(directory) if one["type"] == "fault.felt")
    assert felt["evidence"]["by"] == f"response flag {flag}"  # type: ignore[index]
    (healed,) = (one["data"] for one in events(directory) if one["type"] == "fault.healed")
    assert healed["evidence"]["routes"] == "as they were"  # type: ignore[index]
