"""Every key that Chaos Toolkit specifies is done, or refused with its line: accepted and not done does not exist.

One document has every key that is taken. It is run once, and each row of the table says what was seen of its key.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness.documents import activity, control, document, provider, tolerance, variables
from harness.documents.document import Given
from harness.engine import run
from harness.engine.options import Options
from harness.errors import UsageError

STEPS = """
import time
from pathlib import Path

LOG = Path(__file__).with_name("log")

def note(*words):
    with LOG.open("a") as log:
        log.write(" ".join(map(str, words)) + "\\n")

def mark(name, value="done", secrets=None, configuration=None):
    note(name, value, (secrets or {}).get("token", "-"), configuration["asked"])
    return value

def wait_for(name):
    while name not in LOG.read_text():
        time.sleep(0.01)

def sleep():
    time.sleep(600)

def unanswered():
    raise RuntimeError("no answer")

def at_most(limit, value=None):
    note("compared", value["n"])
    return value["n"] <= limit
"""
CONTROL = """
from spec_steps import note

def before_experiment_control(context, label, secrets=None, extensions=None):
    note("control", label, "experiment", (secrets or {}).get("group", {}).get("token"), extensions)

def before_hypothesis_control(context, label):
    note("control", label, "hypothesis")

def before_activity_control(context, label):
    note("control", label, "before", context["name"])

def after_activity_control(context, state, label):
    note("control", label, "after", context["name"])
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of the run: the lines that its steps, controls and the server left, and its journal."""

    log: tuple[str, ...]
    events: tuple[dict[str, Any], ...]

    def has(self, *lines: str) -> bool:
        """Say whether each of these lines is there."""
        return all(line in self.log for line in lines)

    def step(self, name: str) -> dict[str, Any]:
        """Return what the journal says of a step of the method."""
        return next(one["data"] for one in self.events if one["type"] == "step" and one["data"]["name"] == name)

    def probe(self, name: str) -> dict[str, Any]:
        """Return what the journal says of a probe of the hypothesis."""
        return next(one["data"] for one in self.events if one["type"] == "probe" and one["data"]["name"] == name)


class Server(BaseHTTPRequestHandler):
    """Write down what is asked, and answer with a list."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with Path(self.server.log).open("a") as log:  # type: ignore[attr-defined]
            log.write(f"{self.command} {self.path} {self.headers['X-Spec']} {body}\n")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"items": [{"n": 1}, {"n": 2}]}')

    def log_message(self, *_: Any) -> None:
        """Say nothing on the terminal."""


def python(func: str, **more: Any) -> dict[str, Any]:
    return {"type": "python", "module": "spec_steps", "func": func, **more}


def step(name: str, called: Mapping[str, Any], kind: str = "action", **more: Any) -> dict[str, Any]:
    return {"type": kind, "name": name, "provider": called, **more}


def controls(label: str, **more: Any) -> dict[str, Any]:
    called = {"type": "python", "module": "spec_control", "arguments": {"label": label}, "secrets": ["group"]}
    return {"name": label, "provider": called, **more}


def whole(port: int, silent: int) -> dict[str, Any]:
    """Write the document: a server answers at the first port, nobody at the second."""

    def http(**more: Any) -> dict[str, Any]:
        asked = {"type": "http", "url": f"http://127.0.0.1:{port}/${{plain}}", "method": "POST", "secrets": ["group"]}
        return {**asked, "headers": {"X-Spec": "${token}", "Content-Type": "application/json"}, **more}

    def probe(name: str, value: Any, tolerated: Any) -> dict[str, Any]:
        return step(name, python("mark", arguments={"name": name, "value": value}), "probe", tolerance=tolerated)

    compared = python("at_most", arguments={"limit": 3})
    process = {"type": "process", "path": "sh", "secrets": ["group"]}
    return {
        "version": "1.0.0",
        "title": "Every key",
        "description": "Each key that is taken.",
        "tags": ["spec"],
        "contributions": {"reliability": "high"},
        "extensions": [{"name": "other"}],
        "controls": [controls("top"), controls("named", automatic=False), controls("early", scope="before")],
        # Asked once only; and rolled back all the same although a probe gives no answer.
        "runtime": {"hypothesis": {"strategy": "after-method-only"}, "rollbacks": {"strategy": "always"}},
        "configuration": {
            "plain": "shelf",
            "number": {"type": "env", "key": "SPEC_NUMBER", "env_var_type": "int"},
            "default": {"type": "env", "key": "SPEC_NOT_SET", "default": "by default"},
            "asked": {"type": "probe", "name": "ask", "provider": {**process, "arguments": "-c 'echo asked'"}},
        },
        "secrets": {"group": {"token": {"type": "env", "key": "SPEC_TOKEN"}}},
        "steady-state-hypothesis": {
            "title": "It holds",
            "controls": [controls("hypothesis")],
            "probes": [
                probe("number", 7, {"type": "range", "name": "r", "range": [1, 9]}),
                probe("part", {"n": 7}, {"type": "range", "range": [1, 9], "target": "n"}),
                probe("text", {"t": "abc"}, {"type": "regex", "name": "r", "pattern": "^a.c$", "target": "t"}),
                probe("path", {"l": [{"n": 1}]}, {"type": "jsonpath", "name": "j", "path": "$.l[*].n", "expect": [1]}),
                probe("count", {"l": {"a": [1, 2]}}, {"type": "jsonpath", "path": "$.a[*]", "count": 2, "target": "l"}),
                probe("compared", {"n": 3}, {"type": "probe", "name": "p", "provider": compared}),
                step("silent", python("unanswered"), "probe", tolerance=True),
            ],
        },
        "method": [
            step("call", python("mark", arguments={"name": "call", "value": "${number}"}, secrets=["group"]), "probe"),
            {"ref": "call"},
            step("shell", {**process, "arguments": ["-c", "echo shell ${default} ${asked} ${token} >> log"]}),
            step("post", http(arguments={"a": 1}), "probe"),
            step("late function", python("sleep", timeout=0.2)),
            step("late step", python("sleep"), timeout=0.2),
            step("late process", {**process, "arguments": ["-c", "sleep 600"], "timeout": 0.2}),
            step("late answer", http(url=f"http://127.0.0.1:{silent}/", timeout=0.2), "probe"),
            step("beside", python("wait_for", arguments={"name": "awaited"}), background=True),
            step(
                "awaited", python("mark", arguments={"name": "awaited"}), controls=[controls("step"), controls("named")]
            ),
            step("pauses", python("mark", arguments={"name": "pauses"}), pauses={"before": 0.2, "after": 0.3}),
            step("missed", python("mark", arguments={"name": "missed", "value": 5}), "probe", tolerance=4),
        ],
        "rollbacks": [step("back", python("mark", arguments={"name": "back"}))],
    }


SECRET = "open sesame"
See = Callable[[Seen], bool]


def says_nothing(_: Seen) -> bool:
    """Take a key that asks for nothing: a person reads it."""
    return True


def timed_out(name: str, status: str) -> See:
    return lambda seen: seen.step(name)["status"] == status


def ok(*names: str) -> See:
    return lambda seen: all(seen.probe(name)["ok"] for name in names)


def lines(*wanted: str) -> See:
    return lambda seen: seen.has(*wanted)


def absent(line: str, beside: str) -> See:
    return lambda seen: seen.has(beside) and not seen.has(line)


CALLED = lines(f"call 7 {SECRET} asked")
SHELL = lines(f"shell by default asked {SECRET}")
POSTED = lines(f'POST /shelf {SECRET} {{"a": 1}}')
CONTROLLED = lines("control top before call", "control top after call")
DONE: dict[str, See] = {
    "top.version": says_nothing,
    "top.contributions": says_nothing,
    "top.tags": says_nothing,
    "top.description": says_nothing,
    "top.title": lambda seen: any(one["data"].get("title") == "Every key" for one in seen.events),
    "top.controls": CONTROLLED,
    "top.runtime": lambda seen: len([line for line in seen.log if line.startswith("number 7")]) == 1,
    "top.configuration": CALLED,
    "top.secrets": CALLED,
    "top.steady-state-hypothesis": ok("number"),
    "top.method": CALLED,
    "top.rollbacks": lines("back done - asked"),
    "top.extensions": lines(f"control top experiment {SECRET} [{{'name': 'other'}}]"),
    "runtime.hypothesis": lambda seen: seen.log.index("number 7 - asked") > seen.log.index("missed 5 - asked"),
    "runtime.rollbacks": lambda seen: not seen.probe("silent")["ok"] and seen.has("back done - asked"),
    "hypothesis.title": says_nothing,
    "hypothesis.probes": ok("number"),
    "hypothesis.controls": lines("control hypothesis hypothesis"),
    "activity.type": lambda seen: seen.step("shell")["acts"] and not seen.step("call")["acts"],
    "activity.name": lambda seen: seen.step("call")["status"] == "succeeded",
    "activity.provider": CALLED,
    "activity.tolerance": lambda seen: seen.step("missed")["tolerance_met"] is False,
    "activity.pauses": lambda seen: seen.step("pauses")["duration"] >= 0.5,
    "activity.timeout": timed_out("late step", "timed out"),
    "activity.controls": lines("control step before awaited", "control step after awaited"),
    # It ends only when the step behind it has begun.
    "activity.background": lambda seen: seen.step("beside")["status"] == "succeeded",
    "activity.ref": lambda seen: seen.log.count(f"call 7 {SECRET} asked") == 2,
    "pauses.before": lambda seen: seen.step("pauses")["duration"] >= 0.5,
    "pauses.after": lambda seen: seen.step("pauses")["duration"] >= 0.5,
    "python.type": CALLED,
    "python.module": CALLED,
    "python.func": CALLED,
    "python.arguments": CALLED,
    "python.secrets": CALLED,
    "python.timeout": timed_out("late function", "timed out"),
    "process.type": SHELL,
    "process.path": SHELL,
    "process.arguments": SHELL,
    "process.secrets": SHELL,
    "process.timeout": timed_out("late process", "failed"),
    "http.type": POSTED,
    "http.url": POSTED,
    "http.method": POSTED,
    "http.headers": POSTED,
    "http.arguments": POSTED,
    "http.secrets": POSTED,
    "http.timeout": timed_out("late answer", "failed"),
    "control.name": lines("control named before awaited"),
    "control.provider": CONTROLLED,
    "control.scope": absent("control early after call", "control early before call"),
    "control.automatic": absent("control named before call", "control named before awaited"),
    "control.provider.type": CONTROLLED,
    "control.provider.module": CONTROLLED,
    "control.provider.arguments": CONTROLLED,
    "control.provider.secrets": lines(f"control top experiment {SECRET} [{{'name': 'other'}}]"),
    **dict.fromkeys(("range.type", "range.range"), ok("number")),
    **dict.fromkeys(("range.target",), ok("part")),
    **dict.fromkeys(("regex.type", "regex.pattern", "regex.target"), ok("text")),
    **dict.fromkeys(("jsonpath.type", "jsonpath.path", "jsonpath.expect"), ok("path")),
    **dict.fromkeys(("jsonpath.count", "jsonpath.target"), ok("count")),
    **dict.fromkeys(("range.name", "regex.name", "jsonpath.name", "probe.name"), says_nothing),
    **dict.fromkeys(("probe.type", "probe.provider"), lines("compared 3")),
    **dict.fromkeys(("configuration.env.type", "configuration.env.key", "configuration.env.env_var_type"), CALLED),
    "configuration.env.default": SHELL,
    "configuration.probe.type": SHELL,
    "configuration.probe.name": says_nothing,
    "configuration.probe.provider": SHELL,
    **dict.fromkeys(("secrets.env.type", "secrets.env.key"), CALLED),
}  # fmt: skip
# What takes more than a server on this machine to be seen, and is handed on to Chaos Toolkit's own code as it stands.
HANDED_ON = ("http.verify_tls", "http.max_retries")
# Refused where they would do nothing: alone, or without what they need.
ELSEWHERE = {"control.ref": "control alone", **dict.fromkeys(("vault.type", "vault.path", "vault.key"), "vault")}


def known() -> set[str]:
    """Name every key that the reading of a document takes."""
    groups: dict[str, tuple[str, ...]] = {
        "top": document.TOP,
        "hypothesis": document.KEYS_OF_HYPOTHESIS,
        "activity": activity.KEYS,
        "pauses": ("before", "after"),
        "runtime": ("hypothesis", "rollbacks"),
        **provider.PROVIDERS,
        "control": control.KEYS,
        "control.provider": control.PROVIDER,
        **tolerance.KINDS,
        "configuration.env": variables.ENV,
        "configuration.probe": activity.ASKED_BEFORE,
        "secrets.env": variables.SECRET_ENV,
        "vault": variables.VAULT,
    }
    return {f"{group}.{key}" for group, keys in groups.items() for key in keys}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Run the document once."""
    folder = tmp_path_factory.mktemp("spec")
    (folder / "spec_steps.py").write_text(STEPS)
    (folder / "spec_control.py").write_text(CONTROL)
    server, silent = ThreadingHTTPServer(("127.0.0.1", 0), Server), socket.create_server(("127.0.0.1", 0))
    server.log = str(folder / "log")  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    path = folder / "every.json"
    path.write_text(json.dumps(whole(server.server_address[1], silent.getsockname()[1])))
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        for name, value in {"SPEC_NUMBER": "7", "SPEC_TOKEN": SECRET, "HARNESS_CACHE": str(folder / "cache")}.items():
            patched.setenv(name, value)
        outcome = run.run(document.load(path), Options(runs=folder / "runs"))
    server.shutdown()
    server.server_close()
    silent.close()
    events = (json.loads(line) for line in (outcome.dir / "journal.jsonl").read_text().splitlines())
    return Seen(tuple((folder / "log").read_text().splitlines()), tuple(events))


@pytest.mark.case(14, "any key that Chaos Toolkit specifies", "done, or refused with its line")
@pytest.mark.parametrize("key", DONE)
def test_a_key_that_is_taken_is_done(seen: Seen, key: str) -> None:
    assert DONE[key](seen), seen.log


@pytest.mark.parametrize("key", HANDED_ON)
def test_a_key_that_is_handed_on_is_handed_on_as_it_stands(key: str) -> None:
    called = {"type": "http", "url": "http://127.0.0.1:1/", "verify_tls": False, "max_retries": 2}
    found = loaded(method=[step("a", called, "probe")])
    name = key.rpartition(".")[2]
    assert found.method[0].stated["provider"][name] == called[name]


def test_the_table_names_every_key_that_is_taken() -> None:
    assert known() == {*DONE, *HANDED_ON, *ELSEWHERE}


def loaded(**top: Any) -> Any:
    text = json.dumps({"title": "x", "description": "x", "method": [], **top}, indent=1)
    return document.loads(text, Path("x.json"), given=Given())


ACTION = {"type": "action", "name": "a", "provider": {"type": "process", "path": "true"}}
PROBE = {"type": "probe", "name": "a", "provider": {"type": "process", "path": "true"}}
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "dry of the document": ({"dry": "activities"}, "dry", "not read from a document"),
    "dry of a step": ({"method": [{**ACTION, "dry": "pause"}]}, "dry", "not read from a document"),
    "control alone": ({"controls": [{"name": "a", "ref": "b"}]}, "ref", "needs 'provider'"),
    "control of a process": ({"controls": [{"name": "a", "provider": {"type": "process"}}]}, "provider", "python"),
    "configuration from a file": ({"configuration": {"a": {"type": "file", "path": "x"}}}, "type", "from a file"),
    "configuration from Vault": ({"configuration": {"a": {"type": "vault", "path": "x"}}}, "type", "from a vault"),
    "secret from a file": ({"secrets": {"a": {"b": {"type": "file", "path": "x"}}}}, "type", "from a file"),
    "vault": ({"secrets": {"group": {"b": {"type": "vault", "key": "x"}}}}, "b", "needs 'path'"),
    "background of the hypothesis": (
        {"steady-state-hypothesis": {"title": "x", "probes": [{**PROBE, "tolerance": 0, "background": True}]}},
        "background",
        "does not run in the background",
    ),
    "an action in the hypothesis": (
        {"steady-state-hypothesis": {"title": "x", "probes": [{**ACTION, "tolerance": 0}]}},
        "type",
        "a hypothesis only looks",
    ),
    "a probe without tolerance": (
        {"steady-state-hypothesis": {"title": "x", "probes": [PROBE]}},
        "{",
        "needs a 'tolerance'",
    ),
    "strategy unknown": ({"runtime": {"hypothesis": {"strategy": "often"}}}, "strategy", "is no strategy"),
    "python of the runtime": ({"runtime": {"python": {"version": "3"}}}, "python", "unknown key 'python'"),
    "frequency": ({"runtime": {"hypothesis": {"frequency": 2}}}, "frequency", "unknown key 'frequency'"),
    "provider unknown": ({"method": [{**ACTION, "provider": {"type": "ssh"}}]}, "provider", "not python, process or"),
    "pause in words": ({"method": [{**ACTION, "pauses": {"before": "1 s"}}]}, "before", "is not a number"),
    "reference to nobody": ({"method": [{"ref": "nobody"}]}, "ref", "no activity is named 'nobody'"),
    "reference with a pause": ({"method": [ACTION, {"ref": "a", "pauses": {}}]}, "pauses", "unknown key 'pauses'"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_key_that_is_not_done_is_refused_by_its_line(what: str) -> None:
    top, key, words = REFUSED[what]
    with pytest.raises(UsageError) as caught:
        loaded(**top)
    text = json.dumps({"title": "x", "description": "x", "method": [], **top}, indent=1).splitlines()
    told = str(caught.value)
    assert words in told
    assert any(key in text[int(line.split(":")[1]) - 1] for line in told.splitlines() if line[:7] == "x.json:")
