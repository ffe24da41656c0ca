"""Whoever has rights in one namespace only gets a run there: lease, lever, faults and undo within it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cluster import kubeconfig, paths
from harness.cluster.kube import Kube
from harness.cluster.local import LocalCluster
from harness.resources import crds
from tests.e2e.live import HARNESS, ROOT, asked, events
from tests.e2e.namespaces import emptied
from tests.e2e.test_kubeconfig import RBAC, named, token_of
from tests.e2e.victims import server, until

pytestmark = pytest.mark.e2e
NAMESPACE = "t-alone"
CONTEXT = "t-alone"
DOCUMENT = f"""
title: One web server is deleted by somebody who may do little
description: Deletes one of two web servers.
steady-state-hypothesis:
  title: A web server is ready
  probes:
    - {{type: probe, name: ready web servers, tolerance: {{type: range, range: [1, 9]}},
       provider: {{type: python, module: probes.workload, func: ready_replicas,
                  arguments: {{namespace: {NAMESPACE}, deployment: web}}}}}}
method:
  - {{type: action, name: delete one,
     provider: {{type: python, module: harness.chaostoolkit.actions, func: pod_kill,
                arguments: {{target: {{namespace: {NAMESPACE}, selector: app=web, pods: 1}}}}}}}}
rollbacks: []
extensions:
  - name: harness
    phases: {{baseline: 0s, hold: HOLD, recovery: 60s}}
    objectives: {{recovery: {{within: 60s}}}}
    blast-radius: {{namespaces: [{NAMESPACE}], pods: 1}}
"""


class User:
    """Somebody with a kubeconfig of one context, and the harness as this person runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, server: str, ca: bytes, token: str) -> None:
        (self.folder / "token").write_text(token)
        (self.folder / "ca.pem").write_bytes(ca)
        config = {
            "current-context": "somewhere-else",
            "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority": "ca.pem"}}],
            "users": [{"name": "u", "user": {"tokenFile": "token"}}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": "c", "user": "u", "namespace": NAMESPACE}}],
        }
        (self.folder / "config").write_text(yaml.safe_dump(config))

    def document(self, hold: str = "0s") -> Path:
        path = self.folder / "experiment.yaml"
        path.write_text(DOCUMENT.replace("HOLD", hold))
        return path

    @property
    def environment(self) -> dict[str, str]:
        ours = {"HARNESS_CONTEXTS": CONTEXT, "KUBECONFIG": f"none:{self.folder / 'config'}", "PYTHONPATH": str(ROOT)}
        return {**os.environ, **ours, "HARNESS_CACHE": str(self.folder / "cache")}

    def words(self, *words: str) -> list[str]:
        return [*HARNESS, *words, "--context", CONTEXT]

    def harness(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(*words), cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=180
        )

    def run(self, hold: str = "0s") -> subprocess.CompletedProcess[str]:
        return self.harness("run", str(self.document(hold)), "--runs", str(self.folder / "runs"))

    def journal(self) -> list[dict[str, Any]]:
        return events(max((self.folder / "runs").iterdir()))


@pytest.fixture(scope="module")
def administrator(cluster: LocalCluster, image: str) -> Iterator[Callable[[Callable[[Kube], Any]], Any]]:
    """Whoever may do everything: two web servers, the definitions, and later a Role."""

    act = partial(asked, cluster)

    async def make(kube: Kube) -> None:
        await crds.install(kube)
        await kube.patch(f"/api/v1/namespaces/{NAMESPACE}", named("v1", "Namespace", NAMESPACE), kind="apply")
        await kube.patch(paths.deployments(NAMESPACE, "web"), web(image), kind="apply")

        async def ready() -> bool:
            return (await kube.get(paths.deployments(NAMESPACE, "web"))).get("status", {}).get("readyReplicas") == 2  # type: ignore[no-any-return]

        await until(ready)

    try:
        act(make)
        yield act
    finally:
        act(lambda kube: emptied(kube, NAMESPACE))


def web(image: str) -> dict[str, Any]:
    labels = {"app": "web"}
    pod = {"terminationGracePeriodSeconds": 1, "containers": [server(image)]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    return named("apps/v1", "Deployment", "web", spec=spec)


@pytest.fixture
def user(
    cluster: LocalCluster, administrator: Callable[[Callable[[Kube], Any]], Any], tmp_path: Path
) -> Iterator[User]:
    """Somebody who is granted what `harness plan --role` prints, and nothing more."""
    someone = User(tmp_path)
    access = kubeconfig.load(cluster.kubeconfig, cluster.context)
    words = [*HARNESS, "plan", "--role", str(someone.document())]
    printed = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
    role = yaml.safe_load(printed.stdout)
    assert (role["kind"], role["metadata"]["namespace"]) == ("Role", NAMESPACE)
    place = f"{RBAC}/namespaces/{NAMESPACE}"

    async def grant(kube: Kube) -> str:
        await kube.patch(f"{place}/roles/{role['metadata']['name']}", role, kind="apply")
        reference = {"kind": "Role", "name": role["metadata"]["name"], "apiGroup": "rbac.authorization.k8s.io"}
        subjects = [{"kind": "ServiceAccount", "name": "someone", "namespace": NAMESPACE}]
        bound = named("rbac.authorization.k8s.io/v1", "RoleBinding", "someone", roleRef=reference, subjects=subjects)
        await kube.patch(f"{place}/rolebindings/someone", bound, kind="apply")
        return await token_of(kube, NAMESPACE, "someone")

    someone.write(access.server, access.ca, administrator(grant))
    yield someone
    assert left(administrator) == [], "something was left behind"


def left(administrator: Callable[[Callable[[Kube], Any]], Any]) -> list[str]:
    """Name what the harness could have left in the namespace."""

    async def look(kube: Kube) -> list[str]:
        paths = [
            f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases",
            f"/apis/chaos.harness.dev/v1alpha1/namespaces/{NAMESPACE}/faults",
        ]
        return [item["metadata"]["name"] for path in paths for item in await kube.list(path)]

    return list(administrator(look))


@pytest.mark.case(22, "a RoleBinding for one namespace only", "a run inside that namespace works")
def test_a_run_needs_no_more_than_the_printed_role(user: User) -> None:
    done = user.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "VERDICT  v PASS" in done.stdout
    (scope,) = [event["data"] for event in user.journal() if event["type"] == "scope"]
    assert scope["namespace"] == NAMESPACE
    assert "are not seen" in scope["unseen"]
    (again,) = [line.partition("rerun: ")[2] for line in done.stdout.splitlines() if "rerun: " in line]
    pasted = subprocess.run(
        ["sh", "-c", again], cwd=user.folder, env=fresh(), capture_output=True, text=True, timeout=180
    )
    assert pasted.returncode == 0, f"{again}\n{pasted.stdout}{pasted.stderr}"


def fresh() -> dict[str, str]:
    """A shell in which nothing of this was set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HARNESS", "KUBE"))}
    folder = Path(sys.executable).parent
    return {**kept, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def test_what_is_not_seen_is_said_before_and_the_other_commands_keep_to_the_namespace(user: User) -> None:
    planned = user.harness("plan", str(user.document()))
    assert planned.returncode == 0, planned.stderr
    assert "unseen" in planned.stdout
    for words in (("undo",), ("faults",), ("lever", "show"), ("undo", "--namespace", NAMESPACE)):
        done = user.harness(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        assert NAMESPACE in done.stdout + done.stderr
    for words in (("doctor",), ("doctor", "--namespace", NAMESPACE)):
        doctor = user.harness(*words)
        assert f"all granted in namespace {NAMESPACE}" in doctor.stdout
        said = " ".join(doctor.stdout.split())
        assert f"may be injected in namespace {NAMESPACE}" in said
        assert "pod_evict lacks create pods/eviction" in said, "the Role is of this experiment; other faults need more"
        assert "Traceback" not in doctor.stderr


def test_no_command_ends_as_a_bug_for_want_of_a_right(user: User) -> None:
    taken = user.harness("fingerprint")
    assert taken.returncode == 0, taken.stderr
    assert "unseen/services  forbidden" in taken.stdout
    assert f"deployments/{NAMESPACE}/web/spec" in taken.stdout
    for words in (("lever", "on"), ("lever", "off")):
        done = user.harness(*words, "--namespace", NAMESPACE)
        assert done.returncode == 4
        assert f"create role chaos-lever --namespace {NAMESPACE}" in done.stderr
    for words in (("undo",), ("faults",), ("lever", "show"), ("lever", "on"), ("fingerprint",), ("doctor",)):
        done = user.harness(*words, "--namespace", "default")
        assert done.returncode == (0 if words == ("fingerprint",) else 4), f"{words}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr


def test_a_plan_that_leaves_the_namespace_is_refused_with_the_way_to_more_rights(user: User) -> None:
    path = user.document()
    path.write_text(path.read_text().replace(f"namespaces: [{NAMESPACE}]", f"namespaces: [{NAMESPACE}, default]"))
    done = user.harness("run", str(path))
    assert done.returncode == 4
    assert "harness plan --role" in done.stderr


@pytest.mark.case(6, "a token file that is rotated while a run goes on", "it is read again, and the lease is renewed")
def test_a_run_outlives_its_token_and_nobody_else_runs_there_meanwhile(
    user: User, administrator: Callable[[Callable[[Kube], Any]], Any]
) -> None:
    secrets = f"/api/v1/namespaces/{NAMESPACE}/secrets"

    async def bound(kube: Kube, name: str) -> str:
        secret = await kube.create(secrets, named("v1", "Secret", name))
        return await token_of(kube, NAMESPACE, "someone", secret)

    (user.folder / "token").write_text(administrator(lambda kube: bound(kube, "first")))
    words = user.words("run", str(user.document("20s")), "--runs", str(user.folder / "runs"))
    with subprocess.Popen(
        words, cwd=user.folder, env=user.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stderr
        said = []
        for line in run.stderr:
            said.append(line)
            if "INJECT" in line:
                (user.folder / "token").write_text(administrator(lambda kube: bound(kube, "second")))
                administrator(lambda kube: kube.delete(f"{secrets}/first"))
                others = [user.run(), run_by_administrator(user)]
        text = run.stdout.read() if run.stdout else ""
    assert run.returncode == 0, "".join(said) + text
    assert not [line for line in said if "lease not renewed" in line]
    assert [other.returncode for other in others] == [4, 4]
    assert all(f"{NAMESPACE}/chaos-run: run" in other.stderr for other in others), [other.stderr for other in others]


def run_by_administrator(user: User) -> subprocess.CompletedProcess[str]:
    """Try the same experiment with rights in the whole cluster."""
    words = [*HARNESS, "run", str(user.document()), "--runs", str(user.folder / "others")]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
