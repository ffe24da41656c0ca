"""What answers in an API server's place, or a namespace that does not exist, is no place where nothing is broken."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness import cli
from harness.cluster.host import machine
from harness.cluster.host.counters import Shares
from tests.unit.cli.test_cli_rights import COMMANDS, DOCUMENT, Server

Answer = tuple[int, dict[str, str], bytes]
JSON = {"Content-Type": "application/json"}
STRANGERS: dict[str, Answer] = {
    "a login page": (200, {"Content-Type": "text/html"}, b"<html>Sign in</html>"),
    "a redirect to sign in": (302, {"Location": "https://sso.example/?next=x"}, b""),
    "an answer that is cut off": (200, JSON, b'{"kind": "List", "items": ['),
    "a list": (200, JSON, b"[]"),
    "a site without such a page": (404, {"Content-Type": "text/html"}, b"<html>Not found</html>"),
    "another API": (404, JSON, b'{"message": "no Route matched"}'),
}
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run one command with a context whose server gives one answer to everything."""
    said: list[Answer] = []

    class Stranger(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, body = said[0]
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    config = {
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me"}}],
        "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "me", "user": {}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    (tmp_path / "kill.yaml").write_text(DOCUMENT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HARNESS_CONTEXTS", "fake")
    monkeypatch.setattr(machine, "look", lambda seconds, beside: machine.Look(Shares(seconds, idle=0.9), {}))

    def command(answer: Answer, *words: str) -> tuple[int, str]:
        said[:] = [answer]
        monkeypatch.setattr(sys, "argv", ["harness", *words, "--kubeconfig", "config", "--context", "fake"])
        try:
            code = cli._run()
        except SystemExit as end:
            code = int(str(end.code))
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    yield command
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_what_is_no_api_server_is_never_a_cluster_where_nothing_is_broken(
    run: Run, words: tuple[str, ...], stranger: str
) -> None:
    code, said = run(STRANGERS[stranger], *words)
    assert code == 4, said
    assert "is no Kubernetes API server" in said or (words[0] == "doctor" and "x API server" in said)
    assert "Traceback" not in said


def test_an_api_of_another_kind_is_no_traceback_of_the_doctor(run: Run) -> None:
    code, said = run((200, JSON, b"{}"), "doctor")
    assert (code, "Traceback" in said) == (4, False)


NAMED = [words[:-1] for words in COMMANDS if words[-2:] == ("-n", "shop")]


@pytest.mark.parametrize("words", NAMED, ids=" ".join)
@pytest.mark.parametrize(
    ("name", "why"),
    [("shpo", "namespace 'shpo' does not exist"), ("a/b", "is not the name of a namespace"), ("..", "is not the name")],
)
def test_a_namespace_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, run: Run, words: tuple[str, ...], name: str, why: str
) -> None:
    server = Server(lambda number, path: False)
    monkeypatch.setattr("harness.engine.contexts.connect", lambda kubeconfig, context: (server, None))
    code, said = run(STRANGERS["a list"], *words, name)
    assert code == 4, said
    assert why in said
    assert not [path for path in server.asked if not path.startswith(("/version", f"/api/v1/namespaces/{name}"))]
