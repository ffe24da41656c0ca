"""The cluster is named, never ambient."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cluster import local
from harness.cluster.local import LocalCluster
from harness.engine import contexts
from harness.errors import PreconditionFailed, UsageError

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: production
contexts: [{name: production, context: {cluster: production, user: me}}]
clusters: [{name: production, cluster: {server: "https://127.0.0.1:9"}}]
users: [{name: me, user: {token: none}}]
"""


@pytest.fixture(autouse=True)
def no_local_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at an empty cache, not at this machine's."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HARNESS_CONTEXTS", raising=False)


def test_without_a_cluster_and_a_context_nothing_is_guessed() -> None:
    with pytest.raises(PreconditionFailed, match="no local cluster"):
        contexts.connect(None, None)


def test_a_context_is_refused_until_it_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    with pytest.raises(UsageError, match="not allowed") as refused:
        contexts.connect(path, "production")
    assert "HARNESS_CONTEXTS=production" in refused.value.hint
    monkeypatch.setenv("HARNESS_CONTEXTS", "staging, production")
    kube, cluster = contexts.connect(path, "production")
    assert kube.context == "production"
    assert cluster is None


def test_a_context_that_is_called_like_the_local_cluster_and_is_elsewhere_is_not_ours(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    named = KUBECONFIG.replace("production", "kind-chaos-local")
    mine.write_text(named)
    theirs.write_text(named.replace("127.0.0.1:9", "192.0.2.1:6443"))
    local.save(LocalCluster("chaos-local", mine, "unix:///d", "net", {}, "cp", tmp_path / "socket"))
    assert contexts.connect(None, None)[1] is not None
    assert contexts.connect(mine, "kind-chaos-local")[1] is not None
    with pytest.raises(UsageError, match="not allowed"):
        contexts.connect(theirs, "kind-chaos-local")


def test_what_is_proposed_for_another_cluster_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    monkeypatch.setenv("HARNESS_CONTEXTS", "production")
    kube, _ = contexts.connect(path, "production")
    assert contexts.named(kube) == " --context production"
    local.save(LocalCluster("production", path, "unix:///d", "net", {}, "cp", tmp_path / "socket"))
    assert contexts.named(kube) == " --context production"


def test_what_is_proposed_for_the_local_cluster_needs_no_name(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text(KUBECONFIG.replace("production", "kind-chaos-local"))
    local.save(LocalCluster("chaos-local", mine, "unix:///d", "net", {}, "cp", tmp_path / "socket"))
    assert contexts.named(contexts.connect(None, None)[0]) == ""


def test_a_later_command_is_told_how_to_find_another_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    monkeypatch.setenv("HARNESS_CONTEXTS", "production")
    monkeypatch.setenv("KUBECONFIG", f"{path}:other")
    for name in contexts.TRAFFIC:
        monkeypatch.delenv(name, raising=False)
    by_option, _ = contexts.connect(path, "production")
    assert contexts.again(by_option, path) == {
        "env": ["HARNESS_CONTEXTS=production"],
        "options": ["--context", "production", "--kubeconfig", str(path)],
    }
    by_variable, _ = contexts.connect(None, "production")
    assert contexts.again(by_variable, None) == {
        "env": ["HARNESS_CONTEXTS=production", f"KUBECONFIG={path}:other"],
        "options": ["--context", "production"],
    }


def test_a_later_command_finds_the_local_cluster_by_its_cache_alone(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(KUBECONFIG.replace("production", "kind-chaos-local"))
    local.save(LocalCluster("chaos-local", path, "unix:///d", "net", {}, "cp", tmp_path / "socket"))
    kube, _ = contexts.connect(None, None)
    assert contexts.again(kube, None) == {"env": [f"HARNESS_CACHE={tmp_path / 'cache'}"], "options": []}
