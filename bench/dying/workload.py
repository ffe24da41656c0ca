"""Two web servers on two nodes in a namespace of their own, made to be broken.

They have what faults are aimed at: a budget that lets one go, a Service and a route there, a ConfigMap and a
certificate that they read, limits, volumes.
"""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anyio

from bench.dying import certificate
from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.engine.preflight.scope import Scope
from harness.engine.undoing import fingerprint
from harness.errors import HarnessError
from harness.resources import crds, resource
from harness.targets import nodes, routes
from harness.workloads.pod import is_done, is_going, is_ready

APP, CONTAINER, PORT, REPLICAS = "victim", "web", 8080, 2
TLS_PORT = 8443
SELECTOR = f"app={APP}"
# The one key of their ConfigMap; a parameter that is a text and has no choices gets this word, too.
KEY = "example"
# One that is limited in memory and one on a disk: each is the only one of its kind.
VOLUMES = {"small": {"medium": "Memory", "sizeLimit": "8Mi"}, "large": {"sizeLimit": "64Mi"}}
_FILES = {"tls.crt": certificate.CHAIN, "tls.key": certificate.KEY}
# So that a later command finds what a killed one left.
MARK = "chaos-harness/made-to-be-broken"
SETTLED_SECONDS, GONE_SECONDS = 300.0, 120.0
# Two minutes: what a healer is to end within the lease must not end before with a container that is started anew.
PATIENT = 60
LOOK_SECONDS = 0.05
# What a fingerprint tells of, and pods.
CONTENT = {
    **fingerprint.SPECS,
    **dict.fromkeys((*fingerprint.CONFIGS, "pods"), "/api/v1"),
    "faults": resource.ROOT,
}
# It asks for a name twice a second, so that what is done to DNS meets somebody, and reads its certificate, where it has
# one, for each connection.
SERVER = """
import http.server, signal, socket, ssl, sys, threading, time
def ask():
    while True:
        try:
            socket.getaddrinfo("kubernetes.default.svc.cluster.local.", 443)
        except OSError:
            pass
        time.sleep(0.5)
def show():
    server = socket.create_server(("", 8443))
    while True:
        stream, _ = server.accept()
        try:
            with stream:
                stream.settimeout(5)
                trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                trust.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
                trust.wrap_socket(stream, server_side=True).close()
        except OSError:
            pass
for work in (ask, show):
    threading.Thread(target=work, daemon=True).start()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.ThreadingHTTPServer(("", 8080), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


async def image(kube: Kube) -> str:
    """Return an image with Python that every node has: the stack's."""
    item = await kube.get(paths.deployments("claude-ecosystem-prod", "claude-tool-router"))
    return str(item["spec"]["template"]["spec"]["containers"][0]["image"])


async def make(kube: Kube, namespace: str, image: str, misses: int = 5) -> None:
    """Make namespace and web servers, and wait until the budget lets one of them go.

    After so many `misses` of its liveness probe, 2 s apart, one is started anew.
    """
    await crds.install(kube)
    for name, labels in ((namespace, {MARK: "true"}), ("chaos-system", {})):
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        await kube.patch(f"/api/v1/namespaces/{name}", body, kind="apply")
    for path, item in _objects(namespace, image, misses):
        await kube.patch(path, item, kind="apply")
    await settled(kube, namespace)


def _objects(namespace: str, image: str, misses: int) -> Iterator[tuple[str, dict[str, Any]]]:
    labels, metadata = {"app": APP}, {"name": APP}
    core, budgets = f"/api/v1/namespaces/{namespace}", f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: "whole"}}
    yield f"{core}/configmaps/{APP}", config
    data = {name: base64.b64encode(text.encode()).decode() for name, text in _FILES.items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata, "data": data}
    yield f"{core}/secrets/{APP}", secret
    ports = [{"name": "web", "port": PORT}, {"name": "tls", "port": TLS_PORT}]
    service = {"selector": labels, "ports": ports}
    yield f"{core}/services/{APP}", {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service}
    # Nobody calls them by a proxy: what is done to it is seen in the API alone.
    routed = {"hosts": [APP], "http": [{"name": "web", "route": [{"destination": {"host": APP}}]}]}
    kinds = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService"}
    yield routes.place(namespace, APP), {**kinds, "metadata": metadata, "spec": routed}
    budget = {"minAvailable": REPLICAS - 1, "selector": {"matchLabels": labels}}
    kinds = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget"}
    yield f"{budgets}/{APP}", {**kinds, "metadata": metadata, "spec": budget}
    yield paths.deployments(namespace, APP), _deployment(image, misses)


def _deployment(image: str, misses: int) -> dict[str, Any]:
    labels = {"app": APP}
    ask = {"httpGet": {"path": "/", "port": PORT}}
    web = {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-u", "-c", SERVER],
        "ports": [{"containerPort": PORT}],
        "envFrom": [{"configMapRef": {"name": APP}}],
        "readinessProbe": {**ask, "periodSeconds": 1, "failureThreshold": 2},
        "livenessProbe": {**ask, "periodSeconds": 2, "failureThreshold": misses},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}},
        "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in (*VOLUMES, "tls")],
    }
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    }
    volumes = [{"name": name, "emptyDir": dict(directory)} for name, directory in VOLUMES.items()]
    volumes.append({"name": "tls", "secret": {"secretName": APP}})
    pod = {"terminationGracePeriodSeconds": 2, "containers": [web], "volumes": volumes}
    pod["topologySpreadConstraints"] = [spread]
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": REPLICAS, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": APP}, "spec": spec}


async def settled(kube: Kube, namespace: str) -> None:
    """Wait until the budget lets one of two ready web servers go, and none is on its way out."""

    async def is_so() -> bool:
        budgets = await kube.list(f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets")
        found = await kube.list(paths.pods(namespace), labels=SELECTOR)
        # One that a kubelet evicted stays listed, and is nobody's any more.
        pods = [pod for pod in found if not is_done(pod)]
        whole = len(pods) == REPLICAS and all(is_ready(pod) and not is_going(pod) for pod in pods)
        return whole and bool(budgets) and budgets[0].get("status", {}).get("disruptionsAllowed") == 1

    await until(is_so, SETTLED_SECONDS, f"two whole web servers in {namespace}")


async def renew(kube: Kube, namespace: str, labels: str = SELECTOR) -> None:
    """Replace pods whose containers were started again: the kubelet would wait longer each time."""
    for pod in await kube.list(paths.pods(namespace), labels=labels):
        if any(one.get("restartCount") for one in pod["status"].get("containerStatuses") or ()):
            with contextlib.suppress(HarnessError):
                await kube.delete(paths.pods(namespace, pod["metadata"]["name"]), uid=pod["metadata"]["uid"])


async def around(kube: Kube) -> list[str]:
    """Name the namespaces whose pods a fault of a worker reaches."""
    workers = [
        node["metadata"]["name"]
        for node in await kube.list(paths.nodes())
        if nodes.CONTROL_PLANE not in node["metadata"].get("labels", {})
    ]
    pods = await kube.list("/api/v1/pods")
    reached = (pod for pod in pods if pod["spec"].get("nodeName") in workers and nodes.movable(pod))
    return sorted({pod["metadata"]["namespace"] for pod in reached})


async def forgotten(kube: Kube, besides: str) -> None:
    """Empty the namespaces that a command before this one made."""
    found = await kube.list("/api/v1/namespaces", labels=MARK)
    for name in (item["metadata"]["name"] for item in found):
        if name != besides:
            await emptied(kube, name)


async def emptied(kube: Kube, name: str) -> None:
    """Delete a namespace with its content, and wait until no pod is left and a fingerprint tells nothing of it.

    Nothing can be made in it any more; that it is still listed for some seconds is all that there is to see, for the
    controller of Kubernetes waits for five of them before it begins.
    """
    with contextlib.suppress(HarnessError):
        await kube.delete(paths.namespace(name))
    for plural, root in CONTENT.items():
        with contextlib.suppress(HarnessError):
            await kube.delete(f"{root}/namespaces/{name}/{plural}")

    async def empty() -> bool:
        told = await fingerprint.take(kube, None, Scope(name, alone=True))
        return not any(f"/{name}/" in line for line in told) and not await kube.list(paths.pods(name))

    await until(empty, GONE_SECONDS, f"the end of what is in namespace {name}")


async def until(true: Callable[[], Awaitable[Any]], seconds: float = GONE_SECONDS, what: str = "a yes") -> None:
    """Wait until a question to the cluster is answered with yes; raises TimeoutError that says what did not come."""
    with anyio.move_on_after(seconds):
        while True:
            with contextlib.suppress(HarnessError):
                if await true():
                    return
            await anyio.sleep(LOOK_SECONDS)
    raise TimeoutError(f"{what} did not come within {seconds:g} s")


@contextlib.asynccontextmanager
async def lent(kube: Kube, prefix: str) -> AsyncIterator[str]:
    """Have the web servers in a namespace of a new name, and take it away afterwards."""
    name = f"{prefix}-{time.time_ns() // 1000 % 10**9}"
    try:
        await make(kube, name, await image(kube), PATIENT)
        yield name
    finally:
        with anyio.CancelScope(shield=True):
            await emptied(kube, name)
