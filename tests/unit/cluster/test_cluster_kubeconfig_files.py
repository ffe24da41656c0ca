"""Where a kubeconfig comes from and goes to: several files as one, a pod's service account, what others are handed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cluster import kubeconfig
from harness.cluster.kubeconfig import passing, service_account
from harness.cluster.kubeconfig.credentials import Credentials
from harness.errors import PreconditionFailed
from tests.unit.cluster.kubeconfigs import EXEC, bearer, user, write


@pytest.mark.case(18, "a list in KUBECONFIG", "merged as kubectl does: the first to name a thing has it, whole")
def test_the_first_file_that_names_a_thing_has_it_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write(
        tmp_path,
        "a/config",
        **{"current-context": ""},
        contexts=[],
        clusters=[{"name": "one", "cluster": {"server": "https://first"}}],
        users=[],
    )
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "ca.pem").write_text("CA")
    second = write(
        tmp_path,
        "b/config",
        clusters=[{"name": "one", "cluster": {"server": "https://second", "tls-server-name": "second"}}],
    )
    monkeypatch.setenv("KUBECONFIG", f":{tmp_path / 'none'}:{first}:{second}:{second}")
    access = kubeconfig.load(None)
    assert (access.context, access.server, access.server_name, bearer(access)) == (
        "staging",
        "https://first",
        "",
        "secret",
    )


@pytest.mark.case(18, "a list in KUBECONFIG", "a context of any of the files")
def test_a_context_of_a_later_file_is_found_and_its_paths_are_relative_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write(tmp_path, "a/config", contexts=[], clusters=[], users=[])
    write(tmp_path, "b/config", users=[{"name": "me", "user": {"tokenFile": "token"}}])
    (tmp_path / "b" / "token").write_text("from b\n".replace(" ", "-"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", f"{first}:b/config")
    assert bearer(kubeconfig.load(None, "staging")) == "from-b"


def test_one_bad_file_among_several_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad").write_text("[")
    monkeypatch.setenv("KUBECONFIG", f"{write(tmp_path)}:{tmp_path / 'bad'}")
    with pytest.raises(PreconditionFailed, match="not YAML"):
        kubeconfig.load(None)


def test_without_kubeconfig_it_is_the_file_in_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, ".kube/config")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", "")
    assert kubeconfig.load(None).context == "staging"
    monkeypatch.setenv("KUBECONFIG", ":")
    with pytest.raises(PreconditionFailed, match="there is no kubeconfig"):
        kubeconfig.load(None)


def test_a_service_account_is_a_context_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("token", "one\n"), ("ca.crt", "CA"), ("namespace", "shop")):
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(service_account, "FOLDER", tmp_path)
    monkeypatch.setattr(service_account.access, "__defaults__", (tmp_path,))
    access = kubeconfig.load(None, "in-cluster")
    assert (access.server, access.namespace, bearer(access)) == ("https://[fd00::1]:443", "shop", "one")
    credentials = Credentials(access)
    first = credentials.signature()
    (tmp_path / "token").write_text("two")
    assert credentials.refused(first)
    assert credentials.signature().authorization == "Bearer two"


def test_outside_of_a_pod_there_is_no_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(PreconditionFailed, match="in-cluster"):
        kubeconfig.load(None, "in-cluster")


@pytest.mark.case(7, "impersonation, in the kubeconfig that other programs are given", "it is the same access")
@pytest.mark.parametrize(
    "fields",
    [
        {"token": "a"},
        {"tokenFile": "token", "as": "b", "as-groups": ["c"], "as-uid": "d", "as-user-extra": {"e": ["f"]}},
        {"client-certificate": "cert", "client-key": "key"},
        {"username": "a", "password": "b"},
        {"exec": {**EXEC, "command": "./login", "args": ["x"], "env": [{"name": "A", "value": "b"}]}},
        {"exec": {**EXEC, "provideClusterInfo": True, "interactiveMode": "Never"}},
    ],
)
def test_what_is_handed_on_to_other_programs_is_the_same_access(tmp_path: Path, fields: dict[str, Any]) -> None:
    for name in ("token", "cert", "key"):
        (tmp_path / name).write_text(name)
    given = user(tmp_path, **fields)
    access = kubeconfig.load(given)
    path = passing.hand_on(access)
    assert kubeconfig.load(path) == access
    assert passing.hand_on(access) == path
    assert json.loads(path.read_text())["current-context"] == "staging"
