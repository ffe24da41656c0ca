"""A right that lacks ends no command as a bug would: it works without it, or says what mends it."""

from __future__ import annotations

import getpass
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from harness import cli
from harness.cluster.host import machine
from harness.cluster.host.counters import Shares
from harness.engine import contexts
from harness.errors import ApiError

DOCUMENT = """\
title: One pod is deleted
description: Deletes one pod.
method:
  - type: action
    name: delete one
    provider:
      type: python
      module: harness.chaostoolkit.actions
      func: pod_kill
      arguments: {target: {namespace: shop, selector: app=cart, pods: 1}}
extensions:
  - {name: harness, objectives: {recovery: {within: 9s}}, blast-radius: {namespaces: [shop], pods: 1}}
"""
REFERENCE = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "cart", "uid": "uid-cart", "controller": True}
POD = {
    "metadata": {
        "name": "cart-0",
        "namespace": "shop",
        "uid": "uid-0",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "ownerReferences": [REFERENCE],
    },
    "spec": {"nodeName": "worker", "containers": [{"name": "cart"}]},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}
NODE: dict[str, Any] = {"metadata": {"name": "worker", "uid": "uid-w"}, "spec": {}, "status": {}}
SET = {"metadata": {"name": "cart", "namespace": "shop", "uid": "uid-cart"}, "spec": {"replicas": 2}, "status": {}}
FAULT = {
    "kind": "Fault",
    "metadata": {"name": "f-1", "namespace": "shop"},
    "spec": {
        "run": "run-1",
        "id": "run-1-1",
        "kind": "pod_kill",
        "hand": "api",
        "target": {"kind": "pod", "name": "cart-0", "namespace": "shop", "uid": "uid-0"},
    },
}
SERVED = {
    "/version": {"gitVersion": "v1.34.0"},
    "/apis/apps/v1": {"resources": [{"name": "statefulsets", "kind": "StatefulSet", "namespaced": True}]},
    "/apis/chaos.harness.dev/v1alpha1": {"resources": [{"name": "faults"}, {"name": "nodefaults"}]},
    "/api/v1/namespaces/shop": {"metadata": {"name": "shop", "labels": {"chaos-harness/allowed": "true"}}},
    "/apis/apps/v1/namespaces/shop/statefulsets/cart": SET,
}
LISTED = {"pods": [POD], "nodes": [NODE], "statefulsets": [SET], "faults": [FAULT]}


class Server:
    """A cluster with one workload and one fault; of its requests some are refused, by number or by path."""

    context = "staging"
    server = "https://staging"
    kubeconfig = None
    namespace = "shop"

    def __init__(self, refuses: Callable[[int, str], bool]) -> None:
        self.refuses, self.asked = refuses, list[str]()

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close nothing."""

    def _ask(self, path: str) -> None:
        self.asked.append(path)
        if self.refuses(len(self.asked), path):
            raise ApiError(403, "Forbidden", f"somebody cannot reach {path}", where=path)

    async def get(self, path: str, **_: Any) -> dict[str, Any]:
        self._ask(path)
        if path not in SERVED:
            raise ApiError(404, "NotFound", "")
        return SERVED[path]

    async def get_text(self, path: str) -> str:
        self._ask(path)
        return "{}"

    async def list(self, path: str, **_: Any) -> list[dict[str, Any]]:
        self._ask(path)
        return list(LISTED.get(path.rpartition("/")[2], []))

    async def list_at(self, path: str, **_: Any) -> tuple[list[dict[str, Any]], str]:
        return await self.list(path), "1"

    async def watch(self, path: str, **_: Any) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        self._ask(path)
        for item in ():
            yield item

    async def create(self, path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        self._ask(path)
        return {**body, "status": {"allowed": not path.endswith("reviews") or _allowed(body)}}

    async def patch(self, path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        self._ask(path)
        return body

    async def delete(self, path: str, **_: Any) -> dict[str, Any]:
        self._ask(path)
        return {}


def _allowed(review: dict[str, Any]) -> bool:
    return bool(review["spec"]["resourceAttributes"]["subresource"] != "eviction")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[int, Server]]:
    """Run one command against such a cluster, and give its exit code with what was asked."""
    (tmp_path / "kill.yaml").write_text(DOCUMENT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(machine, "look", lambda seconds, beside: machine.Look(Shares(seconds, idle=0.9), {}))

    def command(refuses: Callable[[int, str], bool], *words: str) -> tuple[int, Server]:
        server = Server(refuses)
        monkeypatch.setattr(contexts, "connect", lambda kubeconfig, context: (server, None))
        monkeypatch.setattr(sys, "argv", ["harness", *words])
        return cli._run(), server

    return command


COMMANDS = [
    ("doctor",),
    ("doctor", "-n", "shop"),
    ("faults",),
    ("faults", "-n", "shop"),
    ("fingerprint",),
    ("fingerprint", "-n", "shop"),
    ("lever", "show"),
    ("lever", "on"),
    ("lever", "on", "-n", "shop"),
    ("lever", "off"),
    ("lever", "off", "-n", "shop"),
    ("plan", "kill.yaml"),
    ("undo",),
    ("undo", "-n", "shop"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_whichever_request_is_forbidden_the_command_works_or_says_what_lacks(
    run: Callable[..., tuple[int, Server]], capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, whole = run(lambda number, path: False, *words)
    assert (code, bool(whole.asked)) == (0 if words[0] != "doctor" else 4, True), "there is a fault left behind"
    for forbidden in range(1, len(whole.asked) + 1):
        code, server = run(lambda number, path, forbidden=forbidden: number == forbidden, *words)
        said = capsys.readouterr()
        # A fault whose resource may not be deleted was not undone.
        assert code in ((0, 4, 6) if words[0] == "undo" else (0, 4)), server.asked[forbidden - 1] + said.err
        assert "Traceback" not in said.err
        if code == 4 and words[0] != "doctor":
            assert "fix " in said.err, said.err


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_whoever_may_do_nothing_is_told_so(
    run: Callable[..., tuple[int, Server]], capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, _ = run(lambda number, path: True, *words)
    said = capsys.readouterr()
    assert (code, "Traceback" in said.err) == (0 if words[0] == "fingerprint" else 4, False)


def outside(number: int, path: str) -> bool:
    """Forbid what lies outside of the namespace `shop`, as a Role in it does; discovery and reviews are anybody's."""
    anybody = path in SERVED and "namespaces" not in path
    return not (anybody or path.endswith("reviews") or "/namespaces/shop/" in path)


@pytest.mark.case(22, "rights in one namespace only", "every command works there")
@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] != "doctor"], ids=" ".join)
def test_rights_in_the_contexts_namespace_are_enough(
    run: Callable[..., tuple[int, Server]], capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, _ = run(outside, *words)
    assert code == 0, capsys.readouterr().err


def test_the_doctor_looks_at_what_a_run_in_the_namespace_needs_and_names_what_lacks(
    run: Callable[..., tuple[int, Server]], capsys: pytest.CaptureFixture[str]
) -> None:
    def mine(number: int, path: str) -> bool:
        return outside(number, path) or path.endswith("/faults")

    code, server = run(mine, "doctor", "-n", "shop")
    said = " ".join(capsys.readouterr().out.split())
    assert code == 4
    assert "! reach only namespace shop is looked at" in said
    assert "v permissions all granted in namespace shop" in said
    assert "may be injected in namespace shop; pod_evict lacks create pods/eviction" in said
    assert "x left behind somebody cannot reach" in said
    assert "harness plan --role FILE" in said
    assert not [path for path in server.asked if "nodes" in path or "chaos-system" in path]


def test_a_lever_is_pulled_wherever_it_may_be(
    run: Callable[..., tuple[int, Server]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LISTED, "namespaces", [{"metadata": {"name": name}} for name in ("mail", "shop")])
    code, server = run(lambda number, path: "/mail/" in path, "lever", "on", "--reason", "enough")
    assert code == 4
    assert [path.split("/")[4] for path in server.asked if path.endswith("chaos-lever")] == [
        "chaos-system",
        "mail",
        "shop",
    ]
    said = capsys.readouterr().err
    assert "could not be pulled in mail; it was in chaos-system, shop" in said
    assert "kubectl create role chaos-lever --namespace mail --verb=get,create,patch,delete" in said


def test_a_fingerprint_names_what_nobody_may_look_at(
    run: Callable[..., tuple[int, Server]], capsys: pytest.CaptureFixture[str]
) -> None:
    def mine(number: int, path: str) -> bool:
        return outside(number, path) or path.endswith("services")

    code, server = run(mine, "fingerprint")
    said = capsys.readouterr()
    assert code == 0
    assert "unseen/services  forbidden" in said.out
    assert "statefulsets/shop/cart/replicas  2" in said.out
    assert "fault/shop/f-1  present" in said.out
    assert "only namespace shop" in said.err
    assert not [path for path in server.asked if path.startswith("/api/v1/nodes")]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"node/a/ready": 1}', "[" * 100_000])
def test_what_is_no_saved_fingerprint_is_refused(
    run: Callable[..., tuple[int, Server]], capsys: pytest.CaptureFixture[str], content: str
) -> None:
    Path("before.json").write_text(content)
    code, _ = run(lambda number, path: False, "fingerprint", "--compare", "before.json")
    assert code == 4
    assert "before.json: this is no saved fingerprint" in capsys.readouterr().err


def test_a_fingerprint_that_cannot_be_saved_is_no_bug(
    run: Callable[..., tuple[int, Server]], capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = run(lambda number, path: False, "fingerprint", "--save", "nowhere/before.json")
    assert code == 4
    assert "nowhere/before.json: it cannot be saved there" in capsys.readouterr().err


def test_a_lever_is_pulled_by_whoever_the_system_does_not_know(
    run: Callable[..., tuple[int, Server]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", nobody)
    code, _ = run(lambda number, path: False, "lever", "on")
    assert code == 0
