"""What is put into a cluster: an image that stands alone, least rights, and nothing removed that is still needed."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from harness.agent import image, install, manifest
from harness.errors import ApiError, PreconditionFailed, UsageError


def test_the_image_has_a_program_that_runs_without_the_harness():
    with image.context() as folder:
        assert (folder / "Dockerfile").exists()
        code = f"import sys; sys.path.insert(0, {str(folder / 'agent')!r});"
        code += "import harness.agent.resident.__main__;"
        code += "from harness.agent.resident.packets import clear, worker; print(worker.__file__)"
        done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
        assert str(folder) in done.stdout


def test_the_resident_program_needs_the_standard_library_alone():
    for file in image.RESIDENT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.partition(".")[0]
                assert top in sys.stdlib_module_names or name.startswith("harness.agent.resident"), (file, name)


def test_the_agents_have_no_right_to_change_anything_but_a_status():
    for rule in manifest.rules():
        writes = set(rule["verbs"]) - {"get", "list", "watch"}
        assert not writes or all(resource.endswith("/status") for resource in rule["resources"])
    (daemon,) = [item for item in manifest.objects("x") if item["kind"] == "DaemonSet"]
    (container,) = daemon["spec"]["template"]["spec"]["containers"]
    context = container["securityContext"]
    assert "privileged" not in context
    assert context["capabilities"] == {"drop": ["ALL"], "add": sorted(manifest.CAPABILITIES)}


def test_the_namespace_lets_in_pods_that_see_the_nodes_processes():
    (namespace,) = [item for item in manifest.objects("x") if item["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"


class FakeKube:
    """What is in a cluster, and what was asked of it."""

    def __init__(self, *hands: str, status: int = 0) -> None:
        self.hands, self.status = hands, status
        self.patched: list[str] = []
        self.deleted: list[str] = []

    async def patch(self, path: str, body: object, **_: object) -> None:
        if self.status:
            raise ApiError(self.status, "Forbidden", "no")
        self.patched.append(path)

    async def get(self, path: str) -> dict:
        counts = dict.fromkeys(("desiredNumberScheduled", "updatedNumberScheduled", "numberReady"), 3)
        return {"metadata": {"generation": 2}, "status": {"observedGeneration": 2, **counts}}

    async def list(self, path: str) -> list[dict]:
        hands = self.hands if path.endswith("/faults") else ()
        return [{"metadata": {"name": f"f-{hand}"}, "spec": {"hand": hand}} for hand in hands]

    async def delete(self, path: str) -> None:
        self.deleted.append(path)


@pytest.mark.anyio
async def test_a_cluster_elsewhere_needs_an_image():
    kube = FakeKube()
    with pytest.raises(PreconditionFailed, match="no image"):
        await install.install(kube, None, "", print)
    assert kube.patched == []
    assert await install.install(kube, None, "registry.example/agent:1", print) == "registry.example/agent:1"
    assert kube.patched[-1] == "/apis/apps/v1/namespaces/chaos-system/daemonsets/chaos-agent"


def test_what_another_clusters_image_is_built_from_is_written_into_a_new_folder(tmp_path: Path):
    image.write(tmp_path / "agent")
    assert (tmp_path / "agent/Dockerfile").exists()
    assert (tmp_path / "agent/agent/harness/agent/resident/__main__.py").exists()
    with pytest.raises(UsageError, match="exists already"):
        image.write(tmp_path / "agent")


def test_a_build_context_that_has_no_room_leaves_nothing_behind(tmp_path: Path):
    (tmp_path / "file").write_text("")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(UsageError, match="cannot be written there") as refused:
            image.write(tmp_path / "agent")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refused.value.where == str(tmp_path / "agent")
    assert "File too large" in refused.value.why
    assert not (tmp_path / "agent").exists()
    with pytest.raises(UsageError, match="cannot be written there"):
        image.write(tmp_path / "file" / "agent")


@pytest.mark.anyio
async def test_a_right_that_lacks_is_said():
    with pytest.raises(PreconditionFailed, match="refused Namespace chaos-system"):
        await install.install(FakeKube(status=403), None, "x", print)


@pytest.mark.anyio
async def test_agents_that_have_work_to_do_are_not_removed_unless_forced():
    kube = FakeKube("node", "host")
    with pytest.raises(PreconditionFailed, match="have work to do") as refused:
        await install.remove(kube, force=False)
    assert refused.value.where == "f-node"
    assert kube.deleted == []
    await install.remove(kube, force=True)
    assert len(kube.deleted) == 4


@pytest.mark.anyio
async def test_agents_without_work_are_removed_and_their_namespace_stays():
    kube = FakeKube("host")
    await install.remove(kube, force=False)
    assert not any(path == "/api/v1/namespaces/chaos-system" for path in kube.deleted)
    assert len(kube.deleted) == 4


class Installed(FakeKube):
    """A cluster with agents of some version."""

    def __init__(self, applied: str, ready: int = 3) -> None:
        super().__init__()
        self.applied, self.ready = applied, ready

    async def get(self, path: str) -> dict:
        found = await super().get(path)
        found["status"]["numberReady"], self.ready = self.ready, 3
        return {**found, "metadata": {**found["metadata"], "annotations": {manifest.APPLIED: self.applied}}}


def applied() -> str:
    found: str = manifest.objects(image.tag())[-1]["metadata"]["annotations"][manifest.APPLIED]
    return found


@pytest.mark.anyio
@pytest.mark.parametrize(("there", "ready", "patched"), [(applied(), 3, 0), (applied(), 2, 5), ("older", 3, 5)])
async def test_agents_of_this_version_that_are_ready_are_left_alone(monkeypatch, there, ready, patched):
    monkeypatch.setattr(image, "ensure", lambda *_: image.tag())
    kube = Installed(there, ready)
    await install.ensure(kube, object(), print)
    assert len(kube.patched) == patched


class Starting(FakeKube):
    """A cluster whose agents are ready at the third look."""

    looks = 0

    async def get(self, path: str) -> dict:
        found = await super().get(path)
        self.looks += 1
        found["status"]["numberReady"] = 3 if self.looks >= 3 else 0
        return found


@pytest.mark.anyio
async def test_new_agents_of_the_local_cluster_start_while_something_else_is_done_and_are_waited_for_then(monkeypatch):
    monkeypatch.setattr(image, "ensure", lambda *_: image.tag())
    monkeypatch.setattr(install, "LOOK_SECONDS", 0.0)
    kube, told = Starting(), list[str]()
    await install.ensure(kube, object(), told.append)
    assert (len(kube.patched), kube.looks, told) == (5, 1, [])
    await install.ready(kube, told.append)
    assert (kube.looks, told) == (3, ["waiting for an agent on every node"])
    await install.ready(kube, told.append)
    assert (kube.looks, len(told)) == (4, 1)


def test_what_is_applied_has_another_mark_when_anything_of_it_changes():
    marks = {manifest.objects(name)[-1]["metadata"]["annotations"][manifest.APPLIED] for name in ("a", "a", "b")}
    assert len(marks) == 2
