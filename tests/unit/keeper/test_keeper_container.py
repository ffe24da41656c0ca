"""The keeper's container gets the resident program and nothing else of the harness."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tarfile

import pytest

from harness.cluster.local import LocalCluster
from harness.errors import PreconditionFailed
from harness.keeper import container

IDLE = {"live": "", "owed": [], "dead": [], "docker": True}


@pytest.mark.parametrize(
    ("answer", "starts"),
    [
        (None, True),
        ({**IDLE, "version": "this"}, False),
        ({**IDLE, "version": "this", "owed": ["f1"]}, False),
        ({**IDLE, "version": "older"}, True),
        ({**IDLE, "version": "older", "owed": ["f1"]}, False),
        ({**IDLE, "version": "this", "docker": False}, True),
        ({**IDLE, "version": "older", "docker": False, "owed": ["f1"], "dead": ["run-1"]}, True),
    ],
)
def test_a_keeper_is_replaced_when_it_is_old_and_idle_or_cannot_see_docker(monkeypatch, tmp_path, answer, starts):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    started = []
    monkeypatch.setattr(container, "_version", lambda cluster: "this")
    monkeypatch.setattr(container, "_status", lambda path: answer)
    monkeypatch.setattr(container, "_start", lambda *_: started.append(True))
    monkeypatch.setattr(container, "_await", lambda *_: None)
    cluster = LocalCluster("c", tmp_path, "unix:///d", "n", {}, "c", tmp_path / "keeper.sock")
    container.ensure(cluster, lambda line: None)
    assert bool(started) is starts


@pytest.fixture
def waiting(monkeypatch, tmp_path):
    """Wait for a keeper that gives these answers, the last one for ever."""
    monkeypatch.setattr(container.docker, "result", lambda *_: subprocess.CompletedProcess([], 0, "its log", ""))
    cluster = LocalCluster("c", tmp_path, "unix:///d", "n", {}, "c", tmp_path / "keeper.sock")

    def wait(*answers, seconds=0.2):
        left = list(answers)
        monkeypatch.setattr(container, "START_SECONDS", seconds)
        monkeypatch.setattr(container, "_status", lambda path: left.pop(0) if len(left) > 1 else left[0])
        container._await(cluster, "this")
        return left

    return wait


def test_a_new_keeper_is_waited_for_until_it_sees_docker(waiting):
    sees = {**IDLE, "version": "this"}
    assert waiting(None, {**sees, "docker": False}, sees, seconds=30) == [sees]


@pytest.mark.parametrize(
    ("errors", "why"), [({"f1": "Docker did not answer GET /x"}, "f1: Docker did not answer GET /x"), ({}, "its log")]
)
def test_a_new_keeper_that_cannot_see_docker_is_refused(waiting, errors, why):
    with pytest.raises(PreconditionFailed, match="cannot reach Docker") as refused:
        waiting({**IDLE, "version": "this", "docker": False, "errors": errors})
    assert refused.value.where == "unix:///d"
    assert refused.value.why == why


def test_a_keeper_that_says_nothing_is_refused_with_its_log(waiting):
    with pytest.raises(PreconditionFailed, match="does not answer") as refused:
        waiting(None)
    assert refused.value.why == "its log"


def test_the_archive_runs_without_the_harness(tmp_path):
    with tarfile.open(fileobj=io.BytesIO(container.archive())) as tar:
        tar.extractall(tmp_path, filter="data")
    argv = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'keeper')!r});"]
    argv[-1] += "import harness.keeper.resident.__main__ as m; print(m.__file__)"
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert str(tmp_path) in done.stdout


def test_the_resident_program_needs_the_standard_library_alone():
    for file in container.RESIDENT.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.partition(".")[0]
                assert top in sys.stdlib_module_names or name.startswith("harness.keeper.resident"), (file, name)
