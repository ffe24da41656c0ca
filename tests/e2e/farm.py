"""Workloads of every kind in namespaces of the tests' own, and a custom resource with a controller of a few lines."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness.cluster.local import LocalCluster
from tests.e2e.live import events, harness, kubectl

Object = dict[str, Any]
GROUP = "farm.example"
# A server that answers, and goes when it is told to.
SERVER = """
import http.server, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.ThreadingHTTPServer(("", 8080), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
# One that takes all the time it is given.
STUBBORN = SERVER.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")
LIMIT_SECONDS = 120


def template(image: str, *, slow: int = 0, grace: int = 1, server: str = SERVER, **spec: Any) -> Object:
    """Make the spec of a pod that is Ready `slow` seconds after its start and takes `grace` seconds at most to go."""
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "initialDelaySeconds": slow}
    container = {
        "name": "web",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-u", "-c", server],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": probe,
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}},
    }
    return {"terminationGracePeriodSeconds": grace, "containers": [container], **spec}


def workload(kind: str, name: str, labels: dict[str, str], pod: Object, replicas: int = 2, **spec: Any) -> Object:
    """Make a Deployment, ReplicaSet, StatefulSet, DaemonSet, ReplicationController or Job."""
    api = {"ReplicationController": "v1", "Job": "batch/v1"}.get(kind, "apps/v1")
    body: Object = {"template": {"metadata": {"labels": labels}, "spec": pod}, **spec}
    if kind not in ("DaemonSet", "Job"):
        body["replicas"] = replicas
    if kind != "Job":
        body["selector"] = labels if kind == "ReplicationController" else {"matchLabels": labels}
    if kind == "StatefulSet":
        body = {"serviceName": name, "podManagementPolicy": "Parallel", **body}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": body}


def budget(name: str, labels: dict[str, str], **spec: Any) -> Object:
    """Make a disruption budget."""
    body = {"selector": {"matchLabels": labels}, **spec}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": body}


def definition() -> Object:
    """Make the definition of a resource with an irregular plural that says nothing of how many pods it wants."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "Cow", "plural": "kine", "singular": "cow"}
    spec = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]}
    metadata = {"name": f"kine.{GROUP}"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": spec,
    }


class Space:
    """One namespace of a test."""

    def __init__(self, cluster: LocalCluster, name: str) -> None:
        self.cluster, self.name = cluster, name

    def kubectl(self, *words: str, given: str = "") -> str:
        """Ask the cluster about this namespace."""
        return kubectl(self.cluster, "-n", self.name, *words, given=given)

    def make(self, *objects: Object) -> None:
        """Create objects."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("create", "-f", "-", given=json.dumps(listed))

    def pods(self, selector: str = "") -> list[Object]:
        """List the namespace's pods."""
        found: list[Object] = json.loads(self.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
        return found

    def ready(self, count: int, selector: str = "") -> None:
        """Wait until so many pods are Ready."""
        until(lambda: sum(map(_is_ready, self.pods(selector))) >= count)

    def document(self, folder: Path, kind: str, target: str, objectives: str, more: str = "", **phases: str) -> str:
        """Write an experiment with one fault and return its path."""
        times = {"baseline": "0s", "hold": "1s", "recovery": "60s", **phases}
        text = DOCUMENT.format(
            **{"kind": kind, "namespace": self.name, "target": target, "objectives": objectives, "more": more},
            phases=", ".join(f"{name}: {value}" for name, value in times.items()),
        )
        folder.mkdir(exist_ok=True)
        path = folder / f"{kind}.yaml"
        path.write_text(text)
        return str(path)

    def run(self, folder: Path, *words: str, **more: str) -> Ran:
        """Run such an experiment to its verdict."""
        return Ran(folder / "runs", self.document(folder, *words, **more))


DOCUMENT = """\
title: A workload of one's own
description: Whoever owns the pods, they are healed and judged by ownership.
method:
  - type: action
    name: break
    provider: {{type: python, module: harness.chaostoolkit.actions, func: {kind},
      arguments: {{target: {{namespace: {namespace}, {target}}}{more}}}}}
extensions:
  - {{name: harness, objectives: {{{objectives}}}, phases: {{{phases}}},
     blast-radius: {{namespaces: [{namespace}], pods: 9}}}}
"""


class Ran:
    """One run of an experiment, as its journal tells it."""

    def __init__(self, runs: Path, document: str) -> None:
        done = harness("run", document, "--seed", "7", "--runs", str(runs), check=False)
        self.exit, self.said = done.returncode, done.stdout + done.stderr
        found = sorted(runs.iterdir()) if runs.exists() else []
        self.events: list[Any] = events(found[-1]) if found else []

    def of(self, kind: str) -> list[Object]:
        """List the events of a type, each with its time."""
        return [{"t": event["t"], **event["data"]} for event in self.events if event["type"] == kind]

    def finding(self, checker: str) -> Object:
        """Return what a checker found."""
        return next(one for one in self.of("finding") if one["checker"] == checker)

    @property
    def one_by_one(self) -> bool:
        """Say whether each fault but the first waited until the one before it was healed."""
        begun, healed = ([one["t"] for one in self.of(kind)] for kind in ("fault.injecting", "fault.healed"))
        return len(begun) > 1 and all(before <= after for before, after in zip(healed, begun[1:], strict=False))


def _is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions") or []
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


def until(true: Callable[[], bool]) -> None:
    """Wait until a question is answered with yes."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not true():
        assert time.monotonic() < deadline, "the cluster did not come to it"
        time.sleep(0.2)


@contextlib.contextmanager
def herded(space: Space, name: str, pod: Object, count: int) -> Iterator[None]:
    """Keep `count` pods for a Cow of that name for as long as the block lasts, as its controller would."""
    space.make({"apiVersion": f"{GROUP}/v1", "kind": "Cow", "metadata": {"name": name}, "spec": {"herd": count}})
    uid = space.kubectl("get", f"kine.{GROUP}", name, "-o", "jsonpath={.metadata.uid}")
    owner = {"apiVersion": f"{GROUP}/v1", "kind": "Cow", "name": name, "uid": uid, "controller": True}
    over = threading.Event()

    def keep() -> None:
        while not over.is_set():
            live = [one for one in space.pods(f"cow={name}") if not one["metadata"].get("deletionTimestamp")]
            for _ in range(count - len(live)):
                metadata = {"generateName": f"{name}-", "labels": {"cow": name}, "ownerReferences": [owner]}
                space.make({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod})
            over.wait(0.3)

    herder = threading.Thread(target=keep)
    herder.start()
    try:
        space.ready(count, f"cow={name}")
        yield
    finally:
        over.set()
        herder.join()
