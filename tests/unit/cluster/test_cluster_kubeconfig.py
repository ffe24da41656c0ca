"""What is read from kubeconfigs, who is asked for by them, and what is said when that cannot be."""

from __future__ import annotations

import base64
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cluster import kubeconfig
from harness.cluster.kubeconfig.credentials import Credentials
from harness.errors import PreconditionFailed
from tests.unit.cluster.kubeconfigs import DOCUMENT, EXEC, bearer, cluster, user, write

PLAIN = yaml.safe_dump(DOCUMENT)


def test_the_current_context_is_the_default(tmp_path: Path) -> None:
    access = kubeconfig.load(write(tmp_path))
    assert (access.context, access.server, access.namespace) == ("staging", "https://one:6443", "shop")
    assert bearer(access) == "secret"


def test_a_named_context_wins_and_plain_text_carries_no_credentials(tmp_path: Path) -> None:
    path = write(tmp_path, users=[{"name": "me", "user": {}}, {"name": "nobody", "user": {"token": "secret"}}])
    access = kubeconfig.load(path, "other")
    assert (access.server, access.namespace, access.token) == ("http://two", "default", "")


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
        ({"users": []}, "no credentials"),
        ({"users": [{"name": "me", "user": {}}]}, "no credentials"),
        ({"users": [{"name": "me", "user": {"client-key-data": "%%%"}}]}, "not base64"),
        ({"users": [{"name": "other", "user": {"token": 7}}]}, "token is a number, not text"),
        ({"users": {"me": {}}}, "users is a map, not a list"),
        ({"users": [{"name": "me"}, {"name": "me"}]}, "'me' twice"),
        ({"users": [{"name": "me", "user": {"username": "\ud800"}}]}, "half a character"),
        ({"apiVersion": "v2"}, "apiVersion v1"),
        ({"contexts": [{"name": "staging", "context": "one"}]}, "'staging' is text, not a map"),
    ],
)
def test_what_kubectl_cannot_read_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(PreconditionFailed) as caught:
        kubeconfig.load(write(tmp_path, **changes))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"client-certificate": "gone.pem", "client-key-data": "QQ=="}, "gone.pem"),
        ({"client-certificate-data": "QQ=="}, "no key"),
        (
            {"client-certificate": "a", "client-certificate-data": "QQ==", "client-key": "a"},
            "both as a file and as data",
        ),
        ({"tokenFile": "gone"}, "gone"),
        ({"token": "a", "username": "b", "password": "c"}, "only one is allowed"),
        ({"token": "a", "auth-provider": {"name": "oidc"}}, "auth-provider (oidc)"),
        ({"token": "a", "as-groups": ["system:masters"]}, "no `as`"),
        ({"token": "a", "as": "b\nImpersonate-Group: c"}, "no header"),
        ({"token": "a", "as-group": ["b"]}, "as-group"),
        ({"token": "a", "exec": {"command": "b", "apiVersion": "client.authentication.k8s.io/v1"}}, "interactiveMode"),
        ({"exec": {"command": "b", "apiVersion": "client.authentication.k8s.io/v1alpha1"}}, "v1alpha1"),
        ({"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1"}}, "no command"),
        (
            {"exec": {"command": "b", "apiVersion": "client.authentication.k8s.io/v1beta1", "scope": "read"}},
            "exec.scope",
        ),
    ],
)
@pytest.mark.case(7, "a user's field that narrows its rights", "honoured or refused, never left out of account")
def test_a_user_that_cannot_be_honoured_whole_is_refused_by_name(
    tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(PreconditionFailed) as caught:
        kubeconfig.load(user(tmp_path, **fields))
    assert said in str(caught.value)


def test_an_unknown_field_of_a_user_is_told_with_the_one_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(PreconditionFailed) as caught:
        kubeconfig.load(user(tmp_path, token="a", **{"as-group": ["b"]}))
    assert caught.value.hint == "did you mean 'as-groups'?"


def test_a_proxy_that_is_none_is_refused_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(PreconditionFailed, match="proxy-url") as caught:
        kubeconfig.load(cluster(tmp_path, **{"proxy-url": "ftp://me:sesame@proxy"}))
    assert "sesame" not in str(caught.value)


def test_a_user_without_a_home_has_no_kubeconfig_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(_: Any) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(Path, "home", classmethod(nowhere))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PreconditionFailed, match="there is no kubeconfig"):
        kubeconfig.load(None)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"server": "ftp://one"}, "no address"),
        ({"server": "https://one:port"}, "no address"),
        ({"proxy-url": "ftp://proxy"}, "proxy-url"),
        ({"certificate-authority": "a", "certificate-authority-data": "QQ=="}, "certificate-authority-data"),
        ({"certificate-authority-data": "QQ==", "insecure-skip-tls-verify": True}, "trust anybody"),
        ({"certificate-authority": "gone.pem"}, "gone.pem"),
    ],
)
def test_a_cluster_that_contradicts_itself_is_refused(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(PreconditionFailed) as caught:
        kubeconfig.load(cluster(tmp_path, **fields))
    assert said in str(caught.value)


def test_what_is_not_known_of_a_cluster_is_told_and_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        kubeconfig.load(cluster(tmp_path, colour="blue", **{"api-version": "v1"}))
    assert ["'colour' is not known" in record.message for record in caplog.records] == [True]


def test_only_the_first_of_several_yaml_documents_is_used_and_that_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path)
    path.write_text(f"{path.read_text()}\n---\n[")
    assert bearer(kubeconfig.load(path)) == "secret"
    assert "only the first" in caplog.text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"# nothing", "empty"),
        (b"a: [", "not YAML"),
        (b"\xff\x00\xfe", "not text"),
        (b"\0", "not YAML"),
        (b"[" * 800, "not YAML"),
        # The C parser would take the process along.
        (b"a: " + b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b"- a", "a list, not a map"),
        (b"preferences: {colors: [.inf]}", "not a number that JSON has"),
        (b"extensions: [{name: a, extension: .nan}]", "not a number that JSON has"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "config"
    path.write_bytes(content)
    with pytest.raises(PreconditionFailed) as caught:
        kubeconfig.load(path)
    assert said in str(caught.value)


def test_utf_16_and_plain_dates_are_read_as_kubectl_reads_them(tmp_path: Path) -> None:
    path = user(tmp_path, token="secret")
    path.write_bytes(path.read_text().replace("secret", "2026-11-29").encode("utf-16"))
    assert bearer(kubeconfig.load(path)) == "2026-11-29"


@pytest.mark.parametrize("token", ["12:34:56", "=", "secret\t"])
def test_what_is_text_to_kubectl_is_text(tmp_path: Path, token: str) -> None:
    path = tmp_path / "config"
    path.write_text(PLAIN.replace("secret", token))
    assert bearer(kubeconfig.load(path)) == token.strip()


@pytest.mark.case(18, "a KUBECONFIG whose files are not there", "told, with what is wrong in the variable")
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("~/.kube/staging", "only a shell expands '~'"),
        ("/nowhere/a,/nowhere/b", "separated by ':'"),
        ("/nowhere/a;/nowhere/b", "separated by ':'"),
        ('"/nowhere/a"', "without quotes"),
        ("/nowhere/a:/nowhere/b", "harness up"),
    ],
)
def test_a_list_of_which_no_file_is_there_is_told_to_be_one(
    value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", value)
    with pytest.raises(PreconditionFailed, match="there is no kubeconfig") as caught:
        kubeconfig.load(None)
    assert words in caught.value.hint


@pytest.mark.case(21, "a kubeconfig that is JSON with tabs", "read, as kubectl reads it")
def test_json_with_tabs_is_read_as_kubectl_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(json.dumps(DOCUMENT, indent="\t"))
    assert bearer(kubeconfig.load(path)) == "secret"
    path.write_text(path.read_text().rstrip("}"))
    with pytest.raises(PreconditionFailed, match="not YAML"):
        kubeconfig.load(path)


def test_a_missing_kubeconfig_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(PreconditionFailed) as caught:
        kubeconfig.load(tmp_path / "none")
    assert "harness up" in caught.value.hint


def test_certificates_come_from_data_or_from_files_beside_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("KEY")
    fields = {"client-certificate-data": base64.b64encode(b"CERT").decode(), "client-key": "key.pem"}
    access = kubeconfig.load(user(tmp_path, **fields))
    assert (access.certificate, access.key) == (b"CERT", b"KEY")


@pytest.mark.case(7, "impersonation", "the server is asked to treat us as whom the kubeconfig names")
@pytest.mark.case(18, "a kubeconfig in a folder that is a link", "its paths lead where they lead kubectl")
def test_a_path_with_dots_leaves_a_folder_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "home" / ".kube").symlink_to(tmp_path / "elsewhere" / "deep")
    (tmp_path / "home" / "ca.pem").write_text("CA")
    cluster(tmp_path / "elsewhere" / "deep", **{"certificate-authority": "../ca.pem"})
    assert kubeconfig.load(tmp_path / "home" / ".kube" / "config").ca == b"CA"


def test_impersonation_is_asked_for_with_every_part_of_it(tmp_path: Path) -> None:
    fields = {"as": "jörg", "as-uid": "7", "as-groups": ["a", "b"], "as-user-extra": {"acme.com/who": ["x", "y"]}}
    headers = Credentials(kubeconfig.load(user(tmp_path, token="t", **fields))).headers
    assert headers == (
        ("Impersonate-User", "jörg".encode()),
        ("Impersonate-Uid", b"7"),
        ("Impersonate-Group", b"a"),
        ("Impersonate-Group", b"b"),
        ("Impersonate-Extra-acme.com%2Fwho", b"x"),
        ("Impersonate-Extra-acme.com%2Fwho", b"y"),
    )


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"token": "a", "exec": EXEC}, {"token"}),
        ({"tokenFile": "token", "exec": EXEC}, {"token_file"}),
        ({"username": "a", "password": "b", "exec": EXEC}, {"basic"}),
        ({"client-certificate-data": "QQ==", "client-key-data": "QQ==", "exec": EXEC}, {"certificate"}),
        ({"client-certificate-data": "QQ==", "client-key-data": "QQ==", "token": "a"}, {"certificate", "token"}),
        ({"token": "a", "tokenFile": "token"}, {"token", "token_file"}),
        ({"exec": EXEC}, {"command"}),
    ],
)
def test_a_command_is_asked_only_where_nothing_else_is_given(
    tmp_path: Path, fields: dict[str, Any], kept: set[str]
) -> None:
    (tmp_path / "token").write_text("t")
    access = kubeconfig.load(user(tmp_path, **fields))
    names = ("token", "token_file", "basic", "certificate", "command")
    assert {name for name in names if getattr(access, name)} == kept


def test_a_relative_command_lies_beside_the_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for given, found in (("./login", str(tmp_path / "login")), ("bin/login", str(tmp_path / "bin" / "login"))):
        command = kubeconfig.load(user(tmp_path, exec={**EXEC, "command": given})).command
        assert command is not None
        assert command.argv[0] == found
    assert kubeconfig.load(user(tmp_path, exec={**EXEC, "command": sys.executable})).command is not None
