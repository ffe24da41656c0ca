"""What is read from a kubeconfig, and what is said when it cannot be."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cluster import kubeconfig
from harness.errors import PreconditionFailed


def write(folder: Path, **changes: Any) -> Path:
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "staging",
        "contexts": [
            {"name": "staging", "context": {"cluster": "one", "user": "me", "namespace": "shop"}},
            {"name": "other", "context": {"cluster": "two", "user": "nobody"}},
        ],
        "clusters": [
            {"name": "one", "cluster": {"server": "https://one:6443/"}},
            {"name": "two", "cluster": {"server": "http://two", "insecure-skip-tls-verify": True}},
        ],
        "users": [{"name": "me", "user": {"token": "secret"}}],
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump({**document, **changes}))
    return path


def test_the_current_context_is_the_default(tmp_path: Path) -> None:
    access = kubeconfig.load(write(tmp_path))
    assert (access.context, access.server, access.namespace) == ("staging", "https://one:6443", "shop")
    assert access.bearer() == "secret"


def test_a_named_context_wins(tmp_path: Path) -> None:
    access = kubeconfig.load(write(tmp_path), "other")
    assert (access.server, access.namespace, access.insecure, access.token) == ("http://two", "default", True, "")


def test_an_unknown_context_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(PreconditionFailed, match="'prod'") as caught:
        kubeconfig.load(write(tmp_path), "prod")
    assert "other, staging" in caught.value.why
    assert "--context" in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"current-context": ""}, "no current context"),
        ({"clusters": []}, "no cluster with a server"),
        ({"users": [{"name": "me", "user": {"client-key-data": "%%%"}}]}, "not base64"),
        ({"users": [{"name": "me", "user": {"client-key": "gone.pem"}}]}, "gone.pem"),
    ],
)
def test_what_is_wrong_with_a_kubeconfig_is_said(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(PreconditionFailed, match=said):
        kubeconfig.load(write(tmp_path, **changes))


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "empty"), (b"a: [", "not YAML"), (b"\xff\x00\xfe", "not text"), (b"\0", "not YAML")]
)
def test_a_file_that_is_no_kubeconfig_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "config"
    path.write_bytes(content)
    with pytest.raises(PreconditionFailed, match=said):
        kubeconfig.load(path)


def test_a_missing_kubeconfig_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(PreconditionFailed) as caught:
        kubeconfig.load(tmp_path / "none")
    assert "harness up" in caught.value.hint


def test_certificates_come_from_data_or_from_files_beside_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("KEY")
    user = {"client-certificate-data": base64.b64encode(b"CERT").decode(), "client-key": "key.pem"}
    access = kubeconfig.load(write(tmp_path, users=[{"name": "me", "user": user}]))
    assert (access.certificate, access.key) == (b"CERT", b"KEY\n")


def test_a_credential_command_gives_the_token(tmp_path: Path) -> None:
    program = 'import os; print("{\\"status\\": {\\"token\\": \\"%s\\"}}" % os.environ["WHO"])'
    command = {"command": sys.executable, "args": ["-c", program], "env": [{"name": "WHO", "value": "me"}]}
    access = kubeconfig.load(write(tmp_path, users=[{"name": "me", "user": {"exec": command}}]))
    assert access.bearer() == "me"


def test_a_failing_credential_command_is_a_precondition(tmp_path: Path) -> None:
    command = {"command": "/nowhere/login", "installHint": "install login"}
    access = kubeconfig.load(write(tmp_path, users=[{"name": "me", "user": {"exec": command}}]))
    with pytest.raises(PreconditionFailed) as caught:
        access.bearer()
    assert caught.value.hint == "install login"


def test_kubeconfig_variable_is_honoured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'a'}:{tmp_path / 'b'}")
    assert kubeconfig.default_path() == tmp_path / "a"
    monkeypatch.delenv("KUBECONFIG")
    assert kubeconfig.default_path() == Path.home() / ".kube" / "config"
