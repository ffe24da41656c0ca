"""Credentials are as fresh as client-go's: token files are read again, commands asked again."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from harness.cluster.kube import Kube
from harness.cluster.kubeconfig import command
from harness.cluster.kubeconfig.access import Access, Command, Impersonation
from harness.cluster.kubeconfig.credentials import CERTIFICATE_SECONDS, TOKEN_SECONDS, Credentials
from harness.errors import ApiError, ClusterUnreachable, PreconditionFailed

V1 = "client.authentication.k8s.io/v1"


class Time:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def clock(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 11, 29, tzinfo=UTC) + timedelta(seconds=self.seconds)


def access(**fields: Any) -> Access:
    return Access(context="staging", server="https://one:6443", **fields)


def plugin(folder: Path, answer: dict[str, Any] | str, **fields: Any) -> Command:
    """A command that prints an answer and counts how often it was asked."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    path = folder / "login"
    path.write_text(f"#!{sys.executable}\nopen({str(folder / 'asked')!r}, 'a').write('x')\nprint({text!r})\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Command(**{"argv": (str(path),), "environment": (), "version": V1, "mode": "Never", **fields})


def pair(name: str) -> tuple[bytes, bytes]:
    """A client certificate and its key."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "-")
    words = ("openssl", "req", "-x509", *key, "-subj", f"/CN={name}")
    shown, found = subprocess.run(words, capture_output=True, check=True).stdout.split(b"-----BEGIN CERTIFICATE")
    return b"-----BEGIN CERTIFICATE" + found, shown


def credential(**status: str) -> dict[str, Any]:
    return {"apiVersion": V1, "kind": "ExecCredential", "status": status}


@pytest.mark.case(6, "a token that is rotated while a run goes on", "the file is read again")
def test_a_token_file_is_read_again_after_its_time(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one\n")
    time = Time()
    found = Credentials(access(token_file=tmp_path / "token"), clock=time.clock)
    assert found.signature().authorization == "Bearer one"
    (tmp_path / "token").write_text("two")
    time.seconds = TOKEN_SECONDS - 1
    assert found.signature().authorization == "Bearer one"
    time.seconds = TOKEN_SECONDS + 1
    assert found.due
    assert found.signature().authorization == "Bearer two"


def test_a_token_file_wins_over_a_token_and_one_that_is_gone_leaves_the_last(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("file")
    found = Credentials(access(token="given", token_file=path))
    first = found.signature()
    assert first.authorization == "Bearer file"
    path.unlink()
    assert not found.refused(first)
    assert found.signature() == first
    assert Credentials(access(token="given", token_file=path)).signature().authorization == "Bearer given"
    with pytest.raises(PreconditionFailed, match="token file"):
        Credentials(access(token_file=path)).signature()


def test_a_command_is_asked_once_until_its_answer_expires(tmp_path: Path) -> None:
    time = Time()
    until = (time.now() + timedelta(seconds=60)).isoformat()
    given = plugin(tmp_path, credential(token="one", expirationTimestamp=until))
    found = Credentials(access(command=given), now=time.now)
    assert [found.signature().authorization for _ in range(3)] == ["Bearer one"] * 3
    assert (tmp_path / "asked").read_text() == "x"
    time.seconds = 61
    assert found.signature().authorization == "Bearer one"
    assert (tmp_path / "asked").read_text() == "xx"


def test_a_command_may_give_a_certificate(tmp_path: Path) -> None:
    given = plugin(tmp_path, credential(clientCertificateData="CERT", clientKeyData="KEY"))
    signature = Credentials(access(command=given)).signature()
    assert (signature.authorization, signature.certificate, signature.key) == ("", b"CERT", b"KEY")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("nothing", "no ExecCredential"),
        ("[", "did not find expected"),
        ("[]", "no ExecCredential"),
        ({"apiVersion": V1 + "beta1", "kind": "ExecCredential", "status": {"token": "a"}}, "v1beta1"),
        ({"apiVersion": V1, "kind": "ExecCredential"}, "no status"),
        (credential(), "neither a token nor a certificate"),
        (credential(clientKeyData="KEY"), "only one of certificate and key"),
        (credential(token="a", expirationTimestamp="soon"), "soon"),
        ({"apiVersion": V1, "kind": "ExecCredential", "status": {"token": 7}}, "token is no text"),
        (credential(token="a\nb"), "no header"),
    ],
)
def test_an_answer_that_is_none_is_told(tmp_path: Path, answer: Any, said: str) -> None:
    with pytest.raises(PreconditionFailed) as caught:
        Credentials(access(command=plugin(tmp_path, answer))).signature()
    assert said in str(caught.value)


def test_a_command_that_is_missing_or_fails_is_told_with_its_hint(tmp_path: Path) -> None:
    missing = Command((str(tmp_path / "none"),), (), V1, "Never", hint="install\x1b[1m login")
    with pytest.raises(PreconditionFailed) as caught:
        command.ask(missing, "staging")
    assert (caught.value.why, caught.value.hint) == ("there is no such command", "install?[1m login")
    failing = Command((sys.executable, "-c", "import sys; sys.exit('log in first')"), (), V1, "Never")
    with pytest.raises(PreconditionFailed) as caught:
        command.ask(failing, "staging")
    assert caught.value.why == "exit code 1: log in first"


def test_a_command_that_needs_a_terminal_is_refused_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        with pytest.raises(PreconditionFailed, match="gave no credentials") as caught:
            command.ask(plugin(tmp_path, credential(token="a"), mode="Always"), "staging")
    assert "terminal" in caught.value.why
    assert not (tmp_path / "asked").exists()


def test_a_command_is_told_of_the_cluster_where_it_asked_for_that(tmp_path: Path) -> None:
    program = 'import os, json; print(json.dumps({**json.loads(os.environ["ANSWER"]), "x": 1}))'
    text = f"{program}; open({str(tmp_path / 'told')!r}, 'w').write(os.environ['KUBERNETES_EXEC_INFO'])"
    environment = (("ANSWER", json.dumps(credential(token="a"))),)
    cluster = {"server": "https://one", "certificate-authority-data": b"CA", "config": {"audience": "x"}}
    command.ask(Command((sys.executable, "-c", text), environment, V1, "Never", cluster=cluster), "staging")
    told = json.loads((tmp_path / "told").read_text())
    assert told["spec"] == {
        "interactive": False,
        "cluster": {"server": "https://one", "certificate-authority-data": "Q0E=", "config": {"audience": "x"}},
    }


def test_a_command_is_looked_for_where_we_would_find_it_and_may_answer_in_yaml_without_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As kubectl takes it: a variable of the command's own says nothing about where the command is."""
    answer = f"apiVersion: {V1}\nstatus:\n  token: one"
    given = plugin(tmp_path, answer, argv=("login",), environment=(("PATH", "/none"),))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert command.ask(given, "staging").token == "one"


def test_whoever_asks_with_what_is_held_does_not_wait_for_who_fetches_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, go_on = threading.Event(), threading.Event()
    answers = ["old", "new"]

    def ask(*_: object) -> command.Given:
        if len(answers) == 1:
            asked.set()
            go_on.wait()
        return command.Given(answers.pop(0))

    monkeypatch.setattr(command, "ask", ask)
    credentials = Credentials(access(command=Command(("login",), (), V1, "Never")))
    old = credentials.signature()
    with ThreadPoolExecutor() as pool:
        try:
            refused = pool.submit(credentials.refused, old)
            asked.wait()
            assert pool.submit(credentials.signature).result(timeout=20) == old
        finally:
            go_on.set()
        assert refused.result() is True
    assert credentials.signature().authorization == "Bearer new"


@pytest.mark.case(6, "a certificate that is rotated while a run goes on", "half of a pair is not used")
def test_half_of_a_pair_that_is_replaced_leaves_the_pair_before(tmp_path: Path) -> None:
    files = tmp_path / "crt", tmp_path / "key"
    old, new = pair("old"), pair("new")
    time = Time()
    given = access(certificate=old[0], key=old[1], certificate_files=files)
    credentials = Credentials(given, clock=time.clock, now=time.now)
    first = credentials.signature()
    for found in ((new[0], old[1]), (new[0], b""), new):
        for path, content in zip(files, found, strict=True):
            path.write_bytes(content)
        time.seconds += CERTIFICATE_SECONDS + 1
        now = credentials.signature()
        assert (now.certificate, now.key) == (new if found == new else (first.certificate, first.key))


# -- through the client ------------------------------------------------------------------------------------------------


def kube(access: Access, answer: Any) -> Kube:
    client = Kube(access)
    client._connection._client = httpx.AsyncClient(
        transport=httpx.MockTransport(answer), base_url="https://one", headers=client._connection._client.headers
    )
    return client


async def look(client: Kube) -> None:
    await client.get("/api/v1/nodes")


async def watch(client: Kube) -> None:
    async for _ in client.watch("/api/v1/nodes"):
        break


async def renew(client: Kube) -> None:
    await client.replace("/apis/coordination.k8s.io/v1/namespaces/shop/leases/chaos-run", {})


@pytest.mark.case(
    6, "a token that is rotated while a run goes on", "a refused request is signed anew, a watch and a renewal, too"
)
@pytest.mark.parametrize("ask", [look, watch, renew])
def test_a_refused_request_is_made_again_with_the_token_that_is_there_now(
    tmp_path: Path, ask: Callable[[Kube], Awaitable[None]]
) -> None:
    path = tmp_path / "token"
    path.write_text("old")
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["authorization"])
        if request.headers["authorization"] != "Bearer new":
            path.write_text("new")
            return httpx.Response(401, json={"reason": "Unauthorized"})
        return httpx.Response(200, text='{"type": "ADDED", "object": {"metadata": {}}}\n')

    client = kube(access(token_file=path), answer)

    async def twice() -> None:
        await ask(client)
        await ask(client)

    anyio.run(twice)
    assert asked == ["Bearer old", "Bearer new", "Bearer new"]


@pytest.mark.case(6, "a token that is rotated while several requests are on their way", "each is signed anew")
def test_a_request_that_is_refused_after_another_one_was_signed_anew_is_signed_anew_too(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old")
    asked: list[tuple[str, str]] = []
    late, quick_is_over = anyio.Event(), anyio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.path, request.headers["authorization"]))
        if request.headers["authorization"] == "Bearer new":
            return httpx.Response(200, json={})
        path.write_text("new")
        if request.url.path == "/late":
            late.set()
            await quick_is_over.wait()
        return httpx.Response(401, json={"reason": "Unauthorized"})

    client = kube(access(token_file=path), answer)

    async def both() -> None:
        async with anyio.create_task_group() as together:
            together.start_soon(client.get, "/late")
            await late.wait()
            await client.get("/quick")
            quick_is_over.set()

    anyio.run(both)
    assert asked == [(at, f"Bearer {who}") for at, who in (("/late", "old"), ("/quick", "old"))] + [
        ("/quick", "Bearer new"),
        ("/late", "Bearer new"),
    ]


def test_a_request_that_stays_refused_is_made_twice_at_most(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["authorization"])
        return httpx.Response(401, json={"reason": "Unauthorized"})

    with pytest.raises(ApiError, match="401"):
        anyio.run(lambda: kube(access(token="old"), answer).get("/api/v1/nodes"))
    assert len(asked) == 1


def test_credentials_that_cannot_be_had_in_the_middle_are_asked_for_again_like_a_server_that_is_away(
    tmp_path: Path,
) -> None:
    given = plugin(tmp_path, credential(token="one", expirationTimestamp="2020-01-01T00:00:00Z"))
    client = kube(access(command=given), lambda _: httpx.Response(200, json={}))
    (tmp_path / "login").unlink()
    with pytest.raises(ClusterUnreachable, match="gave no credentials"):
        anyio.run(lambda: client.get("/api/v1/nodes"))


@pytest.mark.case(7, "impersonation", "every request says whom it is made as")
def test_every_request_says_whom_it_is_made_as() -> None:
    seen: list[list[tuple[str, str]]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append([pair for pair in request.headers.multi_items() if pair[0].startswith("impersonate")])
        return httpx.Response(200, json={})

    who = Impersonation("somebody", groups=("a", "b"))
    anyio.run(lambda: kube(access(token="t", impersonation=who), answer).get("/api/v1/nodes"))
    assert seen == [
        [("impersonate-user", "somebody"), ("impersonate-group", "a"), ("impersonate-group", "b")],
    ]
