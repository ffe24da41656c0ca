"""The pod network enforces policies: between nodes, on one node, on the way in and on the way out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from harness.cluster import paths
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from tests.e2e.live import kubectl
from tests.e2e.namespaces import emptied
from tests.e2e.victims import until

NAMESPACE = "chaos-policy-test"
POLICIES = f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies"
CLIENTS = ("near", "far")
CONNECTED, SHUT = "connected", "timed out"
pytestmark = [pytest.mark.e2e, pytest.mark.anyio]

SERVER = """
import http.server
http.server.ThreadingHTTPServer(("", 8080), http.server.SimpleHTTPRequestHandler).serve_forever()
"""

# Anything else than an answer or silence is an error, and the test's.
KNOCK = f"""
import socket, sys
try:
    socket.create_connection((sys.argv[1], 8080), timeout=1).close()
    print("{CONNECTED}")
except TimeoutError:
    print("{SHUT}")
"""


@pytest.fixture(scope="module")
def workload(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """A server, a client on its node and one on another node, in a namespace of their own."""
    here, there = sorted(name for name in cluster.nodes if "worker" in name)[:2]

    async def make() -> None:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            item = await kube.get(paths.deployments("claude-ecosystem-prod", "claude-tool-router"))
            image = str(item["spec"]["template"]["spec"]["containers"][0]["image"])
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
            await kube.patch(f"/api/v1/namespaces/{NAMESPACE}", namespace, kind="apply")
            # Pods are refused until their namespace's account exists.
            await until(lambda: kube.get(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"))
            for name, node in (("server", here), ("near", here), ("far", there)):
                await kube.patch(paths.pods(NAMESPACE, name), pod(name, node, image), kind="apply")
            await until(lambda: all_ready(kube))

    async def remove() -> None:
        async with Kube.connect(cluster.kubeconfig, cluster.context) as kube:
            await emptied(kube, NAMESPACE)

    try:
        anyio.run(make)
        yield cluster
    finally:
        anyio.run(remove)


def pod(name: str, node: str, image: str) -> dict[str, Any]:
    """Describe a pod that serves and that can be asked to knock at another."""
    container = {
        "name": "web",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-u", "-c", SERVER],
        "ports": [{"containerPort": 8080, "name": "http"}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"role": name}},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 1, "containers": [container]},
    }


async def all_ready(kube: Kube) -> bool:
    items = await kube.list(paths.pods(NAMESPACE))
    conditions = [item.get("status", {}).get("conditions", []) for item in items]
    return len(items) == 3 and all({"Ready": "True"}.items() <= states(listed).items() for listed in conditions)


def states(conditions: list[dict[str, Any]]) -> dict[str, str]:
    return {condition["type"]: condition["status"] for condition in conditions}


Knock = Callable[[str], Awaitable[str]]


@pytest.fixture
async def kube(workload: LocalCluster) -> AsyncIterator[Kube]:
    async with Kube.connect(workload.kubeconfig, workload.context) as kube:
        yield kube
        await kube.delete(POLICIES)


@pytest.fixture
async def knock(workload: LocalCluster, kube: Kube) -> Knock:
    """Open a connection to the server from inside a client; at first, every client can."""
    address = (await kube.get(paths.pods(NAMESPACE, "server")))["status"]["podIP"]

    async def knock(client: str) -> str:
        words = ["-n", NAMESPACE, "exec", client, "--", "python3", "-c", KNOCK, address]
        return (await anyio.to_thread.run_sync(lambda: kubectl(workload, *words))).strip()

    for client in CLIENTS:
        await until(answered(knock, client, CONNECTED))
    return knock


def answered(knock: Knock, client: str, answer: str) -> Callable[[], Awaitable[bool]]:
    """Ask whether a client finds the door as it should be."""

    async def asked() -> bool:
        return await knock(client) == answer

    return asked


async def apply(kube: Kube, name: str, role: str, **spec: Any) -> None:
    """Apply a policy for the pods of one role."""
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {"podSelector": {"matchLabels": {"role": role}}, **spec},
    }
    await kube.patch(f"{POLICIES}/{name}", policy, kind="apply")


async def test_without_a_policy_every_client_connects(knock: Knock) -> None:
    assert [await knock(client) for client in CLIENTS] == [CONNECTED, CONNECTED]


async def test_a_policy_that_lets_nobody_in_holds_until_it_is_deleted(kube: Kube, knock: Knock) -> None:
    await apply(kube, "nobody", "server", policyTypes=["Ingress"])
    for client in CLIENTS:
        await until(answered(knock, client, SHUT))
    assert [await knock(client) for client in CLIENTS] == [SHUT, SHUT]
    await kube.delete(f"{POLICIES}/nobody")
    for client in CLIENTS:
        await until(answered(knock, client, CONNECTED))


async def test_the_kubelet_s_probes_get_through_a_policy_that_lets_nobody_in(kube: Kube, knock: Knock) -> None:
    await apply(kube, "nobody", "server", policyTypes=["Ingress"])
    await until(answered(knock, "far", SHUT))

    async def probes() -> int:
        return (await kube.get_text(f"{paths.pods(NAMESPACE, 'server')}/log")).count("GET / ")

    before = await probes()

    async def probed_again() -> bool:
        return await probes() > before + 1

    await until(probed_again)
    assert await all_ready(kube)


@pytest.mark.parametrize("friend", CLIENTS)
async def test_an_allow_rule_lets_the_labelled_client_in_and_no_other(kube: Kube, knock: Knock, friend: str) -> None:
    stranger = next(client for client in CLIENTS if client != friend)
    await apply(kube, "nobody", "server", policyTypes=["Ingress"])
    for client in CLIENTS:
        await until(answered(knock, client, SHUT))
    allowed = {"from": [{"podSelector": {"matchLabels": {"role": friend}}}], "ports": [{"port": "http"}]}
    await apply(kube, "friend", "server", policyTypes=["Ingress"], ingress=[allowed])
    await until(answered(knock, friend, CONNECTED))
    assert await knock(stranger) == SHUT


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_client_that_may_go_nowhere_does_not_connect(kube: Kube, knock: Knock, client: str) -> None:
    other = next(name for name in CLIENTS if name != client)
    await apply(kube, "nowhere", client, policyTypes=["Egress"])
    await until(answered(knock, client, SHUT))
    assert await knock(other) == CONNECTED
