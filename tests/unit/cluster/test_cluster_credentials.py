"""Credentials are as fresh as client-go's: token files are read again, commands asked again."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from harness.cluster.kube import Kube
from harness.cluster.kubeconfig import command
from harness.cluster.kubeconfig.access import Access, Command, Impersonation
from harness.cluster.kubeconfig.credentials import TOKEN_SECONDS, Credentials
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
        ("nothing", "Expecting value"),
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
