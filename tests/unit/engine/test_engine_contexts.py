"""The cluster is named, never ambient."""

from __future__ import annotations

import shlex
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


@pytest.mark.case(18, "an empty word as context", "refused: it would mean whichever is the current one")
@pytest.mark.parametrize("named", [True, False])
def test_an_empty_word_names_no_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool) -> None:
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setenv("HARNESS_CONTEXTS", "production")
    with pytest.raises(UsageError, match="--context names nothing"):
        contexts.connect(path if named else None, "")


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
    monkeypatch.delenv("HARNESS_CACHE")
    kube, _ = contexts.connect(path, "production")
    pasted = f"HARNESS_CONTEXTS=production harness undo --context production --kubeconfig {path}"
    assert contexts.command(kube, "harness", "undo") == pasted
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    local.save(LocalCluster("production", path, "unix:///d", "net", {}, "cp", tmp_path / "socket"))
    assert contexts.command(kube, "harness", "undo") == f"HARNESS_CACHE={tmp_path / 'cache'} {pasted}"


@pytest.mark.case(6, "a printed command", "it works when it is pasted, on the cluster that it is about")
def test_a_list_of_kubeconfigs_is_named_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text(KUBECONFIG)
    monkeypatch.delenv("HARNESS_CACHE")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_CONTEXTS", "production")
    monkeypatch.setenv("KUBECONFIG", "none:config")
    kube, _ = contexts.connect(None, "production")
    assert contexts.command(kube, "harness", "undo") == (
        f"HARNESS_CONTEXTS=production KUBECONFIG={tmp_path}/none:{tmp_path}/config harness undo --context production"
    )


def test_no_credential_is_asked_for_before_the_context_is_allowed(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    command = f'{{command: touch, args: ["{asked}"], apiVersion: client.authentication.k8s.io/v1beta1}}'
    path = tmp_path / "config"
    path.write_text(KUBECONFIG.replace("{token: none}", f"{{exec: {command}}}"))
    with pytest.raises(UsageError, match="not allowed"):
        contexts.connect(path, "production")
    assert not asked.exists()


def test_what_is_proposed_for_the_local_cluster_needs_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine"
    mine.write_text(KUBECONFIG.replace("production", "kind-chaos-local"))
    local.save(LocalCluster("chaos-local", mine, "unix:///d", "net", {}, "cp", tmp_path / "socket"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    found = contexts.command(contexts.connect(None, None)[0], "harness", "undo")
    assert found == f"HARNESS_CACHE={tmp_path / 'cache'} harness undo"


@pytest.mark.case(6, "a printed command", "it works when it is pasted, on the cluster that it is about")
def test_what_kubectl_is_proposed_to_do_on_the_local_cluster_names_it(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text(KUBECONFIG.replace("production", "kind-chaos-local"))
    local.save(LocalCluster("chaos-local", mine, "unix:///d", "net", {}, "cp", tmp_path / "socket"))
    found = contexts.command(contexts.connect(None, None)[0], "kubectl", "get", "namespaces")
    assert found == f"kubectl get namespaces --context kind-chaos-local --kubeconfig {mine}"


@pytest.mark.case(6, "a printed command", "it works when it is pasted, on the cluster that it is about")
def test_a_cache_with_a_colon_in_its_name_is_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    monkeypatch.setenv("HARNESS_CONTEXTS", "production")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "a:b"))
    kube, _ = contexts.connect(path, "production")
    assert contexts.command(kube, "harness", "undo").startswith(f"HARNESS_CACHE={shlex.quote(f'{tmp_path}/a:b')} ")


def test_a_refusal_says_what_is_allowed_and_how_more_than_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    monkeypatch.setenv("HARNESS_CONTEXTS", "dead production")
    with pytest.raises(UsageError, match="not allowed") as refused:
        contexts.connect(path, "production")
    assert refused.value.why == (
        "HARNESS_CONTEXTS is 'dead production', which allows 'dead production'; a comma separates one from the next"
    )
    monkeypatch.delenv("HARNESS_CONTEXTS")
    with pytest.raises(UsageError) as refused:
        contexts.connect(path, "production")
    assert refused.value.why.startswith("a run names its cluster")
