"""Let a process run away in a Deployment's pods while their CPU limit is low: foreign steps of the tests' documents.

What the runaway leaves of the limit in each period is little, so what else runs in the container waits for the next.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from harness.cluster import local
from harness.cluster.local import LocalCluster
from tests.e2e.live import kubectl

# 7.5 ms of each 100. The kernel hands it out 5 ms at a time: with one such slice the runaway may take all of several
# periods, and what was seen once was not slow calls but 135 attempts that timed out and open breakers.
LIMIT = "75m"
SECONDS = 50
FLAG = "/tmp/runaway"
RUNAWAY = f"touch {FLAG}; timeout {SECONDS} sh -c 'while [ -e {FLAG} ]; do :; done' </dev/null >/dev/null 2>&1 &"


def starve(namespace: str, deployment: str) -> list[str]:
    """Lower the limit of each pod, start a process in it that takes all it can, and name the pods."""

    def one(cluster: LocalCluster, pod: str, container: dict[str, Any]) -> None:
        _resize(cluster, namespace, pod, container["name"], dict.fromkeys(("requests", "limits"), LIMIT))
        kubectl(cluster, "-n", namespace, "exec", pod, "-c", container["name"], "--", "sh", "-c", RUNAWAY)

    return _each(namespace, deployment, one)


def feed(namespace: str, deployment: str) -> list[str]:
    """End those processes and give the pods what their template says; name them."""

    def one(cluster: LocalCluster, pod: str, container: dict[str, Any]) -> None:
        kubectl(cluster, "-n", namespace, "exec", pod, "-c", container["name"], "--", "rm", "-f", FLAG)
        given = {of: container["resources"][of]["cpu"] for of in ("requests", "limits")}
        _resize(cluster, namespace, pod, container["name"], given)

    return _each(namespace, deployment, one)


def _each(namespace: str, deployment: str, act: Callable[[LocalCluster, str, dict[str, Any]], None]) -> list[str]:
    cluster = local.current()
    assert cluster
    owner = json.loads(kubectl(cluster, "-n", namespace, "get", "deployment", deployment, "-o", "json"))
    labels = ",".join(f"{key}={value}" for key, value in owner["spec"]["selector"]["matchLabels"].items())
    pods = kubectl(cluster, "-n", namespace, "get", "pods", "-l", labels, "-o", "name").split()
    container = owner["spec"]["template"]["spec"]["containers"][0]
    with ThreadPoolExecutor() as together:
        list(together.map(lambda pod: act(cluster, pod.removeprefix("pod/"), container), pods))
    return pods


def _resize(cluster: LocalCluster, namespace: str, pod: str, container: str, given: dict[str, str]) -> None:
    resources = {of: {"cpu": cpu} for of, cpu in given.items()}
    patch = json.dumps({"spec": {"containers": [{"name": container, "resources": resources}]}})
    kubectl(cluster, "-n", namespace, "patch", "pod", pod, "--subresource", "resize", "--patch", patch)
    has = f"jsonpath={{.status.containerStatuses[0].resources.limits.cpu}}={given['limits']}"
    kubectl(cluster, "-n", namespace, "wait", "pod", pod, f"--for={has}", "--timeout=30s")
