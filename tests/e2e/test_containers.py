"""The container that is meant is hit, its main process alone, and everything that tells of the run names it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cluster.local import LocalCluster
from harness.targets import containers
from tests.e2e.live import asked, events, harness, kubectl
from tests.e2e.namespaces import emptied

pytestmark = pytest.mark.e2e
NS = "t-containers"
# Ends a moment after it was told to: by then whoever else was told has said so.
MAIN = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), sys.exit(0)))
while True: time.sleep(1)
"""
SESSION = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("struck", flush=True))
print("open", flush=True)
time.sleep(120)
"""
KILL = f"""\
title: A container ends
description: The pod's default one, without being named.
method:
  - type: action
    name: end it
    provider: {{type: python, module: harness.chaostoolkit.actions, func: container_kill,
      arguments: {{target: {{namespace: {NS}, selector: app=shop, pods: 50%}}, signal: TERM}}}}
extensions:
  - {{name: harness, objectives: {{recovery: {{within: 30s}}}}, phases: {{baseline: 0s, hold: 1s, recovery: 40s}},
     blast-radius: {{namespaces: [{NS}], pods: 1}}}}
"""
Make = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def namespace(cluster: LocalCluster) -> Iterator[None]:
    kubectl(cluster, "create", "namespace", NS)
    yield
    asked(cluster, lambda kube: emptied(kube, NS))


@pytest.fixture
def make(cluster: LocalCluster, namespace: None, image: str) -> Iterator[Make]:
    """Make a workload whose pods have a proxy before their web server, and give its pods."""

    def workload(replicas: int = 1, **spec: Any) -> list[dict[str, Any]]:
        both = [{"name": name, "image": image, "command": ["python3", "-c", MAIN]} for name in ("proxy", "web")]
        labels = {"app": "shop"}
        template = {
            "metadata": {"labels": labels, "annotations": {containers.DEFAULT: "web"}},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": both, **spec},
        }
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "shop", "namespace": NS},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
        }
        kubectl(cluster, "apply", "-f", "-", given=json.dumps(body))
        kubectl(cluster, "-n", NS, "rollout", "status", "deployment/shop", "--timeout=50s")
        return pods(cluster)

    yield workload
    # Foreground: it is gone when its pods are.
    kubectl(cluster, "-n", NS, "delete", "deployment", "shop", "--cascade=foreground", "--ignore-not-found")


def pods(cluster: LocalCluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(kubectl(cluster, "-n", NS, "get", "pods", "-o", "json"))["items"]
    return found


def restarts(pod: dict[str, Any]) -> dict[str, int]:
    return {one["name"]: one["restartCount"] for one in pod["status"]["containerStatuses"]}


def session(cluster: LocalCluster, pod: str) -> subprocess.Popen[str]:
    """Open a person's session in the web container."""
    argv = ["docker", "--host", cluster.docker_host, "exec", cluster.control_plane, "kubectl"]
    argv += ["--kubeconfig=/etc/kubernetes/admin.conf", "-n", NS, "exec", pod, "-c", "web", "--"]
    opened = subprocess.Popen([*argv, "python3", "-u", "-c", SESSION], stdout=subprocess.PIPE, text=True)
    assert opened.stdout
    assert opened.stdout.readline() == "open\n"
    return opened


@pytest.mark.case(
    19,
    "a pod whose first container is a proxy and whose annotation names another as its default; none is named",
    "the annotated container is hit, and plan, terminal and report name it",
)
@pytest.mark.case(
    20,
    "a container is killed while a person has a `kubectl exec` session in it, or a probe's command runs",
    "its main process gets the signal, and no other",
)
def test_the_default_container_ends_and_nothing_else_is_told_to(
    cluster: LocalCluster, make: Make, tmp_path: Path
) -> None:
    names = [pod["metadata"]["name"] for pod in make(replicas=2)]
    open_in = {name: session(cluster, name) for name in names}
    path = tmp_path / "kill.yaml"
    path.write_text(KILL)
    planned = harness("plan", str(path)).stdout
    assert "(container web)" in planned
    assert f"{NS}/app=shop: 50 % of 2 pods = 1" in planned
    done = harness("run", str(path), "--runs", str(tmp_path / "runs"))
    (run,) = (tmp_path / "runs").iterdir()
    (facts,) = (event["data"]["facts"] for event in events(run) if event["type"] == "fault.injected")  # type: ignore[index]
    assert (facts["container"], facts["pid"] > 0) == ("web", True)
    for text in (done.stdout, done.stderr, (run / "index.html").read_text(), (run / "summary.md").read_text()):
        assert "container web" in text.replace("&#40;", "(").replace("&#41;", ")")
    assert sorted((name, count) for pod in pods(cluster) for name, count in restarts(pod).items()) == [
        *(("proxy", 0), ("proxy", 0), ("web", 0), ("web", 1))
    ]
    for name, opened in open_in.items():
        if restarts(next(pod for pod in pods(cluster) if pod["metadata"]["name"] == name))["web"]:
            assert "struck" not in opened.communicate(timeout=30)[0]
        opened.kill()
        opened.communicate()


@pytest.mark.parametrize("spec", [{"shareProcessNamespace": True}, {"hostPID": True}], ids=str)
def test_the_main_process_is_found_where_process_ids_are_shared(
    cluster: LocalCluster, make: Make, tmp_path: Path, spec: dict[str, Any]
) -> None:
    (pod,) = make(**spec)
    opened = session(cluster, pod["metadata"]["name"])
    path = tmp_path / "kill.yaml"
    path.write_text(KILL.replace("pods: 50%", "pods: 1"))
    harness("run", str(path), "--runs", str(tmp_path / "runs"))
    assert "struck" not in opened.communicate(timeout=30)[0]
    assert restarts(pods(cluster)[0]) == {"proxy": 0, "web": 1}
