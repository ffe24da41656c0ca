"""The keys of what is cached, and the record of the local cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cluster import cache, local
from harness.cluster.local import LocalCluster
from harness.errors import PreconditionFailed


def test_a_named_folder_is_not_the_cache_itself(tmp_path: Path) -> None:
    assert cache.cache_dir().parent == tmp_path / "cache"


def sources(folder: Path) -> Path:
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "run").write_text("#!/bin/sh\n")
    return folder


def test_the_same_files_have_the_same_key_wherever_they_are(tmp_path: Path) -> None:
    assert cache.digest([sources(tmp_path / "a")]) == cache.digest([sources(tmp_path / "b")])


@pytest.mark.parametrize("change", ["content", "name", "mode", "extra"])
def test_any_change_of_an_input_changes_the_key(tmp_path: Path, change: str) -> None:
    folder = sources(tmp_path / "a")
    before = cache.digest([folder])
    match change:
        case "content":
            (folder / "run").write_text("#!/bin/bash\n")
        case "name":
            (folder / "run").rename(folder / "start")
        case "mode":
            (folder / "run").chmod(0o755)
    assert cache.digest([folder], *(["more"] if change == "extra" else [])) != before


def test_compiled_python_does_not_change_the_key(tmp_path: Path) -> None:
    folder = sources(tmp_path / "a")
    before = cache.digest([folder])
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert cache.digest([folder]) == before


def test_strings_cannot_run_into_each_other() -> None:
    assert cache.digest([], "ab", "c") != cache.digest([], "a", "bc")


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("0", False), ("", False)])
def test_offline_is_asked_for_by_a_variable(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    monkeypatch.setenv("HARNESS_OFFLINE", value)
    assert cache.offline() is expected


def test_a_saved_cluster_is_read_back_as_it_was(own_cache: Path) -> None:
    cluster = LocalCluster(
        name="chaos-local",
        kubeconfig=own_cache / "kubeconfig",
        docker_host="unix:///docker.sock",
        network="kind-chaos",
        nodes={"worker": "worker"},
        control_plane="control-plane",
        keeper_socket=own_cache / "keeper" / "keeper.sock",
    )
    local.save(cluster)
    assert local.current() == cluster
    assert cluster.context == "kind-chaos-local"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"name": "chaos-local"}'])
def test_a_damaged_record_means_no_cluster(own_cache: Path, text: str) -> None:
    own_cache.mkdir(parents=True)
    local.record_path().write_text(text)
    assert local.current() is None


def test_a_forgotten_cluster_is_gone(own_cache: Path) -> None:
    own_cache.mkdir(parents=True)
    local.record_path().write_text("{}")
    local.forget()
    local.forget()
    assert not local.record_path().exists()


def test_a_user_without_a_home_is_told_to_name_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("HARNESS_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", none)
    with pytest.raises(PreconditionFailed, match="no folder") as refused:
        cache.cache_dir()
    assert refused.value.hint.startswith("HARNESS_CACHE=DIR")
    assert local.current() is None


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kube-chaos-harness").write_text("no folder")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    with pytest.raises(PreconditionFailed, match="nothing can be kept here"), cache.locked("up", print):
        pass
